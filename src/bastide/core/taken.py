# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Taken: what the replicas of one model took from promises, so that each knows of the others.

A promise is one for the whole model: each replica gives all of it to whoever comes there, and
counts what the others gave. Control adds up, and tells each what the rest took since it asked last.
While one deployment takes another's place, replicas of both are among them.
"""

from collections.abc import Mapping

__all__ = ["Replica", "Taken"]

Replica = tuple[str, int]
"""A deployment's digest and the number of one of its replicas."""


class Taken:
    """Units by tenant. It knows no clock."""

    def __init__(self) -> None:
        self._all: dict[str, float] = {}
        self._seen: dict[Replica, dict[str, float]] = {}  # by replica: all when it asked last

    def tell(
        self, replica: Replica, units: Mapping[str, float], first: bool = False
    ) -> dict[str, float]:
        """Add what a replica took; what the others took since its last call, however long ago.

        `first`: it has just begun, and its clocks with it: what was before is not its concern.
        """
        seen = None if first else self._seen.get(replica)
        for tenant, more in units.items():
            self._all[tenant] = self._all.get(tenant, 0.0) + more
        self._seen[replica] = dict(self._all)
        if seen is None:
            return {}
        others = {
            tenant: total - seen.get(tenant, 0.0) - units.get(tenant, 0.0)
            for tenant, total in self._all.items()
        }
        return {tenant: more for tenant, more in others.items() if abs(more) > 1e-9}

    def forget(self, deployment: str) -> None:
        """Forget the replicas of a deployment that has ended."""
        self._seen = {key: row for key, row in self._seen.items() if key[0] != deployment}
