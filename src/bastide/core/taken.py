# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Taken: what the replicas of one deployment took from promises, so that each knows of the others.

A promise is one for the whole deployment: each replica gives all of it to whoever comes there, and
counts what the others gave. Control adds up, and tells each what the rest took since it asked last.
"""

from collections.abc import Mapping

from bastide.core.limits import TAKEN_SILENCE_S

__all__ = ["Taken"]


class Taken:
    """Units by tenant. It knows no clock: every call says what time it is, in seconds."""

    def __init__(self) -> None:
        self._all: dict[str, float] = {}
        self._seen: dict[int, tuple[float, dict[str, float]]] = {}  # by replica: when, and all then

    def tell(self, now: float, replica: int, units: Mapping[str, float]) -> dict[str, float]:
        """Add what a replica took; what the others took since its last call.

        Of one that was silent for TAKEN_SILENCE_S, what it missed is over: a clock of promises
        would by now have caught up.
        """
        at, seen = self._seen.get(replica, (float("-inf"), {}))
        for tenant, more in units.items():
            self._all[tenant] = self._all.get(tenant, 0.0) + more
        self._seen[replica] = now, dict(self._all)
        if now - at > TAKEN_SILENCE_S:
            return {}
        others = {
            tenant: total - seen.get(tenant, 0.0) - units.get(tenant, 0.0)
            for tenant, total in self._all.items()
        }
        return {tenant: more for tenant, more in others.items() if abs(more) > 1e-9}
