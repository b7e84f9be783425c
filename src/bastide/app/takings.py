# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What replicas took from promises, told from one to the others (core/taken.py).

By model: answers of a deployment that another has replaced may still run for minutes, and what they
take is a part of the same promise.
"""

from bastide.core.share import Cost
from bastide.core.snapshot import Snapshot
from bastide.core.taken import Heard, Report, Taken

__all__ = ["Takings"]


class Takings:
    """A model to whose tenants nothing is promised any more is forgotten."""

    def __init__(self, cost: Cost) -> None:
        self._token = max(cost.prompt, cost.output)
        self._taken: dict[str, Taken] = {}

    def tell(self, now: float, snapshot: Snapshot, report: Report) -> Heard:
        """What the others took, for a replica that says what it took.

        Of a model to whose tenants nothing is promised, nothing is counted. Raises Misconfigured
        or Unavailable, as core/taken.py says.
        """
        shares = snapshot.shares
        self._taken = {model: row for model, row in self._taken.items() if shares.get(model)}
        promised = shares.get(report.model)
        if not promised:
            return Heard(0, {}, (), {}, 0)
        rates = {tenant: row.tokens_per_s for tenant, row in promised.items()}
        rows = (*snapshot.served.values(), *snapshot.coming)
        tokens = [row.slots * row.context_tokens for row in rows if row.name == report.model]
        at_once = self._token * max(tokens, default=0)
        return self._taken.setdefault(report.model, Taken()).tell(now, report, rates, at_once)
