# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What replicas took from promises, told from one to the others (core/taken.py)."""

from collections.abc import Mapping, Set

from bastide.core.taken import Taken

__all__ = ["Takings"]


class Takings:
    """By deployment; one that is not served any more is forgotten."""

    def __init__(self) -> None:
        self._taken: dict[str, Taken] = {}

    def tell(
        self,
        now: float,
        served: Set[str],
        deployment: str,
        replica: int,
        units: Mapping[str, float],
    ) -> dict[str, float]:
        """What the others took, for a replica that says what it took."""
        self._taken = {name: row for name, row in self._taken.items() if name in served}
        if deployment not in served:
            return {}
        return self._taken.setdefault(deployment, Taken()).tell(now, replica, units)
