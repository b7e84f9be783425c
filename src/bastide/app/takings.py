# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What replicas took from promises, told from one to the others (core/taken.py).

By model: answers of a deployment that another has replaced may still run for minutes, and what they
take is a part of the same promise.
"""

from collections.abc import Mapping

from bastide.core.share import Promise
from bastide.core.taken import Heard, Report, Taken

__all__ = ["Takings"]


class Takings:
    """A model to whose tenants nothing is promised any more is forgotten."""

    def __init__(self) -> None:
        self._taken: dict[str, Taken] = {}

    def tell(
        self, now: float, shares: Mapping[str, Mapping[str, Promise]], report: Report
    ) -> Heard:
        """What the others took, for a replica that says what it took.

        `shares` is what is promised, by model and tenant. Of a model to whose tenants nothing is,
        nothing is counted.
        """
        self._taken = {model: row for model, row in self._taken.items() if shares.get(model)}
        promised = shares.get(report.model)
        if not promised:
            return Heard(0, {}, (), {}, 0)
        rates = {tenant: row.tokens_per_s for tenant, row in promised.items()}
        return self._taken.setdefault(report.model, Taken()).tell(now, report, rates)
