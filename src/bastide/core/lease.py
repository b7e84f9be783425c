# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Lease: how much of a promise a replica gives before the others have heard of it.

A promise is one for all N replicas of a deployment, and each gives all of it to whoever comes
there. Without a limit each of them could give a whole burst before it hears of the others. So it
gives at most a lease, rate * max(burst_s / N, SHARE_LEASE_S), and the request that goes beyond it;
then it waits for the next exchange. While nobody answers, the lease grows by rate / N: a fixed part
of the promise, which is right without any exchange. docs/adr/0065-no-gap.md derives the bound.
"""

from collections.abc import Iterable

from bastide.core.limits import SHARE_LEASE_S
from bastide.core.ticket import Standing

__all__ = ["Lease"]

_FOREVER = float("-inf")


class Lease:
    """What one of `replicas` queues may give unheard. It knows no clock."""

    def __init__(self, replicas: int) -> None:
        self._replicas = replicas
        self.heard_at = _FOREVER

    def begin(self, now: float) -> None:
        """Promises are known from now on."""
        if self.heard_at == _FOREVER:
            self.heard_at = now

    def heard(self, now: float, rows: Iterable[Standing]) -> None:
        """An exchange is over: the others know of all but what was taken since it began."""
        self.heard_at = now
        for row in rows:
            row.unheard = row.taken

    def due_at(self, row: Standing) -> float:
        """When a tenant's next request is due: by its clock, and by its lease."""
        clock = row.used_until - row.promise.burst_s
        if self._replicas == 1:
            return clock
        free_s = max(row.promise.burst_s / self._replicas, SHARE_LEASE_S)
        over_s = row.unheard / row.promise.tokens_per_s - free_s
        return max(clock, self.heard_at + over_s * self._replicas) if over_s >= 0 else clock
