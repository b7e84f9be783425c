# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Frames: the wire format between Bastide's own processes, over Unix sockets, and over mutual TLS
where they are on two machines.

A frame is a big-endian u32 length and a MessagePack array ``[stream, kind, body]``. Streams
are numbered by the side that connects, from 1; stream 0 is for what the server sends unasked.

Runner:  ``generate`` GenerateRequest -> ``delta`` Delta ... (the last has `finish`);
         ``count`` GenerateRequest -> ``counted`` int; ``embed`` EmbedRequest -> ``embedded``
         Embedded; ``next_tokens`` [prompt, count] -> ``tokens`` [TokenChoice ...];
         ``health`` -> ``ok``;
         ``cancel`` ends a stream and has no answer.
Control: what may be asked is listed in gates/access/calls.py. ``receipt`` Receipt -> ``ok``;
         ``cut`` Cuts of a runner -> ``settled`` [receipt id ...], which need not be reported again;
         ``erasure``, ``status``, ``promise-key`` and ``taken`` are answered under their own names;
         all else is a map -> ``ok``. On stream 0 ``hello`` credential from who connects here, and
         from control ``snapshot`` Snapshot, and ``refused`` [code, message] before it hangs up.
Desk:    one call a connection, a map with `tenant` and what the deed needs. ``put_file``, then
         ``piece`` bytes ... ``end`` -> ``ok`` KeptFile; ``get_file`` -> ``piece`` ... ``end``;
         ``file`` -> ``ok`` KeptFile; ``delete_file`` -> ``ok`` id; ``create_batch``, ``batch``,
         ``cancel_batch`` -> ``ok`` Batch; ``list_files``, ``list_batches`` -> ``ok`` [rows, more].
         Its ``error`` is [code, message, reasons, retry_after_s].
Any request may be answered by ``error`` [code, message], with a code of core/errors.py; a runner
adds retry_after_s, which is 0 but for ``busy``.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from functools import cache
from struct import Struct
from typing import Any, TypeVar

import msgspec

from bastide.core.errors import Misconfigured
from bastide.core.limits import FRAME_BYTES_MAX

_T = TypeVar("_T")
_length_at = Struct("!I").unpack_from
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(tuple[int, str, msgspec.Raw])


class Frame(msgspec.Struct, frozen=True):
    """One frame whose body is still encoded; `decode` it by its kind."""

    stream: int
    kind: str
    body: bytes


def encode(stream: int, kind: str, body: Any = None) -> bytes:
    """Encode one frame. `body` is any dataclass or value that MessagePack can carry."""
    data = _encoder.encode((stream, kind, body))
    return len(data).to_bytes(4) + data


def decode(frame: Frame, kind: type[_T]) -> _T:
    """Read a frame's body as `kind`. Raises Misconfigured if it has another shape."""
    try:
        return _decoder_of(kind).decode(frame.body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise Misconfigured(f"a {frame.kind!r} frame is malformed: {error}") from error


@cache
def _decoder_of(kind: type[_T]) -> msgspec.msgpack.Decoder[_T]:
    return msgspec.msgpack.Decoder(kind)


class FrameReader:
    """Cuts a byte stream into frames. Feed it as bytes arrive."""

    def __init__(self, bytes_max: int = FRAME_BYTES_MAX) -> None:
        self._bytes_max = bytes_max
        self._rest = bytearray()  # of a frame that is not complete
        self._wanted = 0  # how long it is, as far as that is known

    def feed(self, data: bytes | bytearray | memoryview) -> list[Frame]:
        """Add bytes and return the frames that are complete.

        Raises Misconfigured for a frame that is too long or no MessagePack array of three.
        """
        # Bytes mostly come in whole frames; only what is left over is kept and waits for the rest.
        rest = self._rest
        if rest:
            rest += data
            if len(rest) < self._wanted:
                return []
            data = bytes(rest)
            rest.clear()
        elif not isinstance(data, bytes):
            data = bytes(data)
        frames: list[Frame] = []
        start, size = 0, len(data)
        while size - start >= 4:
            (length,) = _length_at(data, start)
            if length > self._bytes_max:
                raise Misconfigured(f"a frame of {length} bytes is longer than {self._bytes_max}")
            end = start + 4 + length
            if size < end:
                self._wanted = 4 + length
                break
            try:
                stream, kind, body = _decoder.decode(data[start + 4 : end])
            except (msgspec.DecodeError, RecursionError) as error:
                raise Misconfigured(f"a frame is malformed: {error}") from error
            frames.append(Frame(stream, kind, bytes(body)))
            start = end
        else:
            self._wanted = 4
        rest += data[start:]
        return frames


async def frames_of(read: Callable[[], Awaitable[bytes]]) -> AsyncIterator[Frame]:
    """The frames of a connection, until `read` gives no more bytes or raises.

    Raises Misconfigured for what is no frame.
    """
    cutter = FrameReader()
    while data := await read():
        for frame in cutter.feed(data):
            yield frame
