# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Walks over the frames of HTTP/2 before they are parsed, and cuts off who floods us with them.

Frames that bring no request forward pay toll from a purse that fills slowly: pings, settings,
priorities, window updates, resets, small or empty data (CVE-2019-9511 to -9518, CVE-2023-44487).
What we send a client fills its purse too, because it may answer that with window updates. Header
blocks are bounded in bytes while they arrive (CVE-2024-27316), and so is each frame: the parser
behind would wait for a whole frame before it looks at its length.

GOAWAY is not passed on: the parser would take it as the end of the answers that still run, which
it is not (RFC 9113, 6.8).
"""

from typing import Final

from h2.errors import ErrorCodes

from bastide.core.limits import (
    H2_FRAME_BYTES,
    H2_HEADER_BLOCK_BYTES_MAX,
    H2_RESET_TOLL,
    H2_SMALL_DATA_BYTES,
    H2_TOLL_MAX,
    H2_TOLL_PER_S,
)

__all__ = ["Toll"]

_PREFACE_BYTES: Final = 24
_HEAD_BYTES: Final = 9
_DATA, _HEADERS, _RESET, _SETTINGS, _GOAWAY, _CONTINUATION = 0, 1, 3, 4, 7, 9
_END_STREAM, _END_HEADERS = 0x1, 0x4


class Toll:
    """One connection's purse. Once `cut` is set, nothing more of the connection is to be read."""

    def __init__(self, now: float) -> None:
        self.cut: ErrorCodes | None = None
        self._purse = H2_TOLL_MAX
        self._at = now
        self._head = b""  # of a frame, as far as it has come
        self._left = _PREFACE_BYTES  # of the payload that passes now; the preface is no frame
        self._drop = False
        self._block_bytes = 0

    def pass_on(self, data: bytes, now: float) -> bytes:
        """What of the data the parser may see."""
        passed_s = max(0.0, now - self._at)  # a clock that is set back takes nothing away
        self._purse = min(H2_TOLL_MAX, self._purse + passed_s * H2_TOLL_PER_S)
        self._at = now
        if self._head:
            data, self._head = self._head + data, b""
        # Mostly nothing is dropped, and what came is passed on as it is.
        kept: list[bytes] = []
        position = begin = 0  # of what passes and is not in `kept` yet
        size = len(data)
        while position < size and self.cut is None:
            if self._left == 0:
                if size - position < _HEAD_BYTES:
                    self._head = data[position:]
                    size = position
                    break
                self._enter_frame(data, position)
                if self.cut is not None:
                    size = position
                    break
                if self._drop:
                    kept.append(data[begin:position])
                position += _HEAD_BYTES
            passed = min(self._left, size - position)
            position += passed
            self._left -= passed
            if self._drop:
                begin = position
        if not kept and begin == 0 and size == len(data):
            return data
        return b"".join((*kept, data[begin:size]))

    def charge(self, toll: float) -> None:
        """Take toll for what the frames themselves do not show."""
        self._purse -= toll
        if self._purse < 0:
            self.cut = ErrorCodes.ENHANCE_YOUR_CALM

    def credit(self, frames: int) -> None:
        """Frames that we sent, for which the client may owe us window updates."""
        self._purse = min(H2_TOLL_MAX, self._purse + 2 * frames)

    def _enter_frame(self, data: bytes, at: int) -> None:
        length = int.from_bytes(data[at : at + 3])
        kind, flags = data[at + 3], data[at + 4]
        self._left, self._drop = length, kind == _GOAWAY
        if length > H2_FRAME_BYTES:
            self.cut = ErrorCodes.FRAME_SIZE_ERROR
        elif kind == _DATA:
            if length < H2_SMALL_DATA_BYTES and not flags & _END_STREAM:
                self.charge(1)
        elif kind in (_HEADERS, _CONTINUATION):
            self._block_bytes += length
            if self._block_bytes > H2_HEADER_BLOCK_BYTES_MAX:
                self.cut = ErrorCodes.ENHANCE_YOUR_CALM
            if flags & _END_HEADERS:
                self._block_bytes = 0
            if kind == _CONTINUATION:
                self.charge(1)
        elif kind == _RESET:
            self.charge(H2_RESET_TOLL)
        elif kind == _SETTINGS:
            self.charge(1 + length / 64)
        else:
            self.charge(1)
