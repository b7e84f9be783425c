# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Ids of requests, and with ``r_`` before them of their receipts."""

from typing import Final

from bastide.ports import Clock, Entropy

__all__ = ["Idents"]

_CHANCE_BYTES: Final = 17  # of which 80 bits are taken
_CHANCE_AT_ONCE: Final = 64
_CROCKFORD: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_BY_BYTE: Final = bytes(ord(_CROCKFORD[byte & 31]) for byte in range(256))  # by the last five bits


class Idents:
    """Makes ids: 26 characters of Crockford base32, 48 bits of time and 80 of chance."""

    def __init__(self, clock: Clock, entropy: Entropy) -> None:
        self._clock = clock
        self._entropy = entropy
        # Fetched for many at once: a system call for each would cost more than all the rest of it.
        self._chance = b""
        self._letters = ""  # of each byte of it
        self._used = 0
        # The first characters stay the same for a quarter of a second.
        self._since = -1
        self._begin = ""

    def new(self) -> str:
        """A new id. They sort by time."""
        start, end = self._used, self._used + _CHANCE_BYTES
        if end > len(self._chance):
            self._chance = self._entropy.token(_CHANCE_BYTES * _CHANCE_AT_ONCE)
            self._letters = self._chance.translate(_BY_BYTE).decode()
            start, end = 0, _CHANCE_BYTES
        self._used = end
        now, chance = self._clock.now_ms(), self._chance
        if now >> 8 != self._since:
            self._since = now >> 8
            self._begin = "".join(_CROCKFORD[now >> shift & 31] for shift in range(43, 7, -5))
        # The last eight bits of the time and 2 of chance; 15 characters of chance; 3 bits more.
        return (
            self._begin
            + _CROCKFORD[now >> 3 & 31]
            + _CROCKFORD[(now & 7) << 2 | chance[start] & 3]
            + self._letters[start + 1 : end - 1]
            + _CROCKFORD[(chance[end - 1] & 7) << 2]
        )
