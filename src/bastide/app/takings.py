# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What replicas took from promises, told from one to the others (core/taken.py).

By model: answers of a deployment that another has replaced may still run for minutes, and what they
take is a part of the same promise.
"""

from collections.abc import Iterable, Mapping

from bastide.core.limits import TAKEN_KEPT_S
from bastide.core.snapshot import Served
from bastide.core.taken import Taken

__all__ = ["Takings"]


class Takings:
    """A model that is not served any more is forgotten, and so are replicas that are silent."""

    def __init__(self) -> None:
        self._taken: dict[str, Taken] = {}
        self._models: dict[str, tuple[str, float]] = {}  # by deployment; when it was last known

    def tell(
        self,
        now: float,
        served: Iterable[Served],
        deployment: str,
        replica: int,
        units: Mapping[str, float],
        first: bool = False,
    ) -> dict[str, float]:
        """What the others took, for a replica that says what it took."""
        self._models.update((row.deployment, (row.name, now)) for row in served)
        known = self._models.get(deployment)
        if known is None:
            return {}
        self._models[deployment] = known[0], now
        for gone in [row for row, (_, at) in self._models.items() if now - at > TAKEN_KEPT_S]:
            self._taken[self._models.pop(gone)[0]].forget(gone)
        models = {model for model, _ in self._models.values()}
        self._taken = {model: row for model, row in self._taken.items() if model in models}
        return self._taken.setdefault(known[0], Taken()).tell((deployment, replica), units, first)
