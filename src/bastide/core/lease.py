# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Lease: how much of a promise a replica gives before the others have heard of it.

A promise is one for all N replicas of a deployment, and each gives all of it to whoever comes
there. Without a limit each of them could give a whole burst before it hears of the others. So it
gives at most a lease, rate * max(burst_s / N, SHARE_LEASE_S), and the request that goes beyond it;
then it waits for the next exchange. While nobody answers, the lease grows by rate / N: a fixed part
of the promise, which is right without any exchange. One that joins others, or takes their place,
has no lease but that growth until it has heard of them. docs/adr/0065-no-gap.md derives the bound,
and 0075-totals.md that of the beginning.
"""

from collections.abc import Mapping

from bastide.core.limits import SHARE_LEASE_S
from bastide.core.ticket import Standing

__all__ = ["Lease"]

_FOREVER = float("-inf")


class Lease:
    """What one of `replicas` queues may give unheard. It knows no clock."""

    def __init__(self, replicas: int, joins: bool = False) -> None:
        self._least = self._replicas = replicas
        self._joins = joins  # it has not heard yet of those that took from the promise before
        self.heard_at = _FOREVER

    def begin(self, now: float) -> None:
        """Promises are known from now on."""
        if self.heard_at == _FOREVER:
            self.heard_at = now

    def heard(
        self,
        now: float,
        tenants: Mapping[str, Standing],
        units: Mapping[str, float],
        replicas: int,
        ahead: Mapping[str, float],
    ) -> None:
        """An exchange is over: the others took `units` more, and know of all but what was taken
        here since it began.

        `replicas` take from the promise now: more than in the plan while deployments change.
        `ahead` are clocks that others kept before this replica began.
        """
        for name, row in tenants.items():
            if name in ahead:
                row.join(now, ahead[name])
            if name in units:
                row.taken_elsewhere(self.heard_at, units[name])
            row.unheard = row.taken
        self.heard_at, self._joins = now, False
        self._replicas = max(self._least, replicas)

    def due_at(self, row: Standing) -> float:
        """When a tenant's next request is due: by its clock, and by its lease."""
        clock = row.used_until - row.promise.burst_s
        if self._replicas == 1 and not self._joins:
            return clock
        free_s = max(row.promise.burst_s / self._replicas, SHARE_LEASE_S)
        if self._joins:
            free_s = 0.0
        over_s = row.unheard / row.promise.tokens_per_s - free_s
        return max(clock, self.heard_at + over_s * self._replicas) if over_s >= 0 else clock
