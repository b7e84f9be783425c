# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Which guard a tenant's request has. Policies are made ready once, not per request."""

import json

from bastide.core.erasure import ErasureList
from bastide.core.errors import Unavailable
from bastide.core.guard import EVERYONE, GuardPolicy
from bastide.core.snapshot import Snapshot
from bastide.detectors.guard import Guard, Kit, make_kit

__all__ = ["Guards"]


class Guards:
    """Policies that are ready, by their text, for one erasure list at a time."""

    def __init__(self) -> None:
        self._kits: dict[str, Kit] = {}
        self._listed: ErasureList | None = None
        self._version = 0

    def guard(
        self, snapshot: Snapshot, listed: ErasureList | None, tenant: str, now_ms: int
    ) -> Guard | None:
        """A guard for one request, or None if no policy is set for its tenant.

        Raises Unavailable if the policy needs an erasure list that has not come yet: an answer
        must not slip through while a gateway starts.
        """
        text = snapshot.guards.get(tenant) or snapshot.guards.get(EVERYONE)
        if text is None:
            return None
        if listed is not self._listed or snapshot.version != self._version:
            self._kits.clear()
            self._listed, self._version = listed, snapshot.version
        kit = self._kits.get(text)
        if kit is None:
            kit = make_kit(GuardPolicy.from_json(json.loads(text)), listed)
            self._kits[text] = kit
        if kit.erases and snapshot.erasure and listed is None:
            raise Unavailable("The erasure list is not here yet. Try again.")
        return Guard(kit, tenant, now_ms)
