# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Streams whose answer is out before their request has come: most of these are refusals.

RFC 9113, 8.1, lets a server reset such a stream at once, without an error. Clients that are sending
at that moment take the reset for an error and show no answer: curl 7.88 ends with status 92, before
nginx as before us. So what still comes is read and forgotten for a while, as over HTTP/1.1, and
only who goes on is reset. All of it is bounded: time and bytes of a stream, and their number.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from bastide.core.limits import H2_WINDOW_BYTES

__all__ = ["Linger"]

_STREAMS_MAX: Final = 16  # of a connection; then the oldest is reset


class Linger:
    """Of one connection. `reset` ends a stream that is open still."""

    def __init__(self, patience_s: float, reset: Callable[[int], None]) -> None:
        self._patience_s, self._reset = patience_s, reset
        self._rows: dict[int, tuple[asyncio.TimerHandle, int]] = {}  # and what it may send yet

    def add(self, stream: int) -> None:
        """Its answer is out, and its request is not in."""
        if len(self._rows) >= _STREAMS_MAX:
            self._over(next(iter(self._rows)))
        loop = asyncio.get_running_loop()
        alarm = loop.call_later(self._patience_s, self._over, stream)
        self._rows[stream] = alarm, H2_WINDOW_BYTES

    def took(self, stream: int, size: int) -> None:
        """Bytes came of a stream, and were forgotten."""
        row = self._rows.get(stream)
        if row is None:
            return
        alarm, left = row
        if size > left:
            self._over(stream)
        else:
            self._rows[stream] = alarm, left - size

    def ended(self, stream: int) -> bool:
        """The client has ended it; whether it was one of these."""
        row = self._rows.pop(stream, None)
        if row is not None:
            row[0].cancel()
        return row is not None

    def close(self) -> None:
        """The connection is over."""
        for stream in tuple(self._rows):
            self.ended(stream)

    def _over(self, stream: int) -> None:
        if self.ended(stream):
            self._reset(stream)
