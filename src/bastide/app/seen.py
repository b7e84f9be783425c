# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Signatures that the gateway has taken, so that none is taken again much later.

One table for all workers, in memory that the supervisor makes and each worker inherits: what one
has seen is known to all, also to one that is started later (docs/adr/0083-seen-signatures.md).

* The time in a signature has whole seconds: two equal calls of one second, and an SDK's retry
  within it, look the same. So one may come again for SIGNATURE_REPEAT_S after it first came.
* A place is free again after twice the skew: then the signature's own time is over, whatever the
  clocks were. Where no place is free, a new signature is refused: an old one is never forgotten.
* A table knows nothing of what came before it was made, so `born_ms` bounds what is taken.
"""

import fcntl
import mmap
import os
from struct import Struct
from typing import Final

from bastide.core.errors import NotProven, Unavailable
from bastide.core.limits import SIGNATURE_REPEAT_S, SIGNATURE_SKEW_MAX_S, SIGNATURES_SEEN_MAX

__all__ = ["Seen", "make_table"]

_HEAD: Final = Struct("<q")  # when the table was made, in ms
_ENTRY: Final = Struct("<16sd")  # the beginning of a signature, and when it first came
_NEVER: Final = bytes(16)  # a place that was never used
_PROBES: Final = 64  # places in which a signature may stand


def make_table(now_ms: int, places: int = SIGNATURES_SEEN_MAX) -> int:
    """A descriptor of an empty table. It takes memory only as it fills."""
    descriptor = os.memfd_create("seen", os.MFD_CLOEXEC)
    os.ftruncate(descriptor, _HEAD.size + places * _ENTRY.size)
    os.pwrite(descriptor, _HEAD.pack(now_ms), 0)
    return descriptor


class Seen:
    """The table behind a descriptor, which is this object's from now on."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._table = mmap.mmap(descriptor, 0)
        self._places = (len(self._table) - _HEAD.size) // _ENTRY.size
        (self.born_ms,) = _HEAD.unpack_from(self._table)

    def take(self, signature: str, now_s: float) -> None:
        """Remember a verified signature. `now_s` is the monotonic time, which all workers share.

        Raises NotProven if it came before, and not just now; Unavailable if there is no place.
        """
        mark = bytes.fromhex(signature)[: len(_NEVER)]
        # A lock of the process, not of the descriptor, which the workers share; it ends with it.
        fcntl.lockf(self._descriptor, fcntl.LOCK_EX)
        try:
            first = self._first(mark, now_s)
        finally:
            fcntl.lockf(self._descriptor, fcntl.LOCK_UN)
        if now_s - first > SIGNATURE_REPEAT_S:
            raise NotProven("Signature already used: sign every request anew.")

    def _first(self, mark: bytes, now_s: float) -> float:
        """When it first came, which may be now."""
        free = None
        begin = int.from_bytes(mark)
        for step in range(_PROBES):
            place = _HEAD.size + (begin + step) % self._places * _ENTRY.size
            held, first = _ENTRY.unpack_from(self._table, place)
            if held == _NEVER:
                free = place if free is None else free
                break  # nothing was ever put further on
            if now_s - first > 2 * SIGNATURE_SKEW_MAX_S:
                free = place if free is None else free
            elif held == mark:
                return first
        if free is None:
            raise Unavailable(
                "Too many signed requests came lately to tell a repeated one.",
                fix="sign fewer, or show API keys",
            )
        _ENTRY.pack_into(self._table, free, mark, now_s)
        return now_s
