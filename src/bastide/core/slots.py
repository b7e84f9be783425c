# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Slots: which slot of an engine answers a request, and whether it may reuse what the slot holds.

A slot keeps the tokens of its last request, and an engine answers the same beginning 25 to 130
times sooner. So whoever may reuse a slot can tell what was asked there. Hence:

1. *Never across.* A slot is reused only by the owner of all that it holds. The owner is who the
   engine has proven to have read a prompt there (`read`): an engine that refuses a request keeps
   what the slot held before. From the moment a slot is given to another owner until that proof, it
   belongs to nobody, and what it holds may be reused by nobody.
2. *Within a tenant, where it pays.* Of the owner's free slots, the one with the longest common
   prefix, if that is at least half of what the slot holds; else a slot that nobody owns, else the
   one that was not used for longest, whosever it is.

So the choice rests on the asker's own prompts, and on who used which slot when; on no other
tenant's words (tests/unit/test_slots.py).
"""

from dataclasses import dataclass

from bastide.core.prefix import Prefix, shared

__all__ = ["Lease", "Slots"]


@dataclass(frozen=True, slots=True)
class Lease:
    """A slot while one request has it. With `reuse`, what it holds is its owner's own."""

    slot: int
    owner: str | None  # None is nobody, who never meets themselves
    prefix: Prefix
    reuse: bool


@dataclass(slots=True)
class _Row:
    """What is known of one slot."""

    owner: str | None = None
    prefix: Prefix = ()
    used: int = 0  # a count of leases, not a time
    free: bool = True
    known: bool = True  # False once a request may still be on its way into it


class Slots:
    """All slots of one engine. At most as many leases may be out as there are slots."""

    def __init__(self, count: int) -> None:
        self._rows = [_Row() for _ in range(count)]
        self._leases = 0

    def take(self, owner: str | None, prefix: Prefix = ()) -> Lease:
        """A free slot. Raises ValueError if there is none."""
        slot = self._best(owner, prefix)
        row = self._rows[slot]
        reuse = owner is not None and row.owner == owner
        if not reuse:
            row.owner, row.prefix = None, ()
        self._leases += 1
        row.used, row.free = self._leases, False
        return Lease(slot, owner, prefix, reuse)

    def read(self, lease: Lease) -> None:
        """The engine has begun to answer: the slot holds this prompt and nothing older."""
        row = self._rows[lease.slot]
        if row.known:
            row.owner, row.prefix = lease.owner, lease.prefix

    def release(self, lease: Lease, sure: bool = True) -> None:
        """The request is over, however it ended.

        Unless that is `sure`, the engine may yet read its prompt into the slot, at any time: the
        slot stays in use, but is never reused again.
        """
        row = self._rows[lease.slot]
        row.free = True
        if not sure:
            row.known, row.owner, row.prefix = False, None, ()

    def _best(self, owner: str | None, prefix: Prefix) -> int:
        free = [slot for slot, row in enumerate(self._rows) if row.free]
        best, most = None, 0
        for slot in free if owner is not None else ():
            row = self._rows[slot]
            common = shared(row.prefix, prefix) if row.owner == owner else 0
            if common > most and 2 * common >= len(row.prefix):
                best, most = slot, common
        if best is not None:
            return best
        return min(
            free, key=lambda slot: (self._rows[slot].owner is not None, self._rows[slot].used)
        )
