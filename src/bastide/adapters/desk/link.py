# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The link to the desk: one connection for each call (dialects/frames.py).

So a large file holds up nobody else's call, and a caller that goes away ends its own.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from bastide.core.errors import Unavailable, of_code
from bastide.core.limits import CONTROL_TIMEOUT_S, DESK_PIECE_BYTES
from bastide.dialects import frames

__all__ = ["DeskLink"]

_READ_BYTES: Final = 262_144


class DeskLink:
    """Calls the desk behind a socket. Raises Unavailable if it is not there."""

    def __init__(self, socket: str) -> None:
        self._socket = socket

    async def ask(self, deed: str, fields: dict[str, Any], content: memoryview | None) -> Any:
        """Have one thing done; what it answers. Raises the error it answers."""
        async with self._call() as (writer, incoming):
            writer.write(frames.encode(1, deed, fields))
            if content is not None:
                for at in range(0, len(content), DESK_PIECE_BYTES):
                    piece = bytes(content[at : at + DESK_PIECE_BYTES])
                    writer.write(frames.encode(1, "piece", piece))
                    await writer.drain()
                writer.write(frames.encode(1, "end"))
            async for frame in incoming:
                return frames.decode(frame, object)
        raise Unavailable("the desk gave no answer")

    async def read(self, deed: str, fields: dict[str, Any]) -> AsyncIterator[bytes]:
        """The content of a file, piece by piece. Raises the error that the desk answers."""
        async with self._call() as (writer, incoming):
            writer.write(frames.encode(1, deed, fields))
            async for frame in incoming:
                if frame.kind == "end":
                    return
                yield frames.decode(frame, bytes)
        raise Unavailable("the desk broke off")

    @asynccontextmanager
    async def _call(
        self,
    ) -> AsyncGenerator[tuple[asyncio.StreamWriter, AsyncIterator[frames.Frame]]]:
        try:
            reader, writer = await asyncio.open_unix_connection(self._socket)
        except OSError as error:
            raise Unavailable("the desk is down: nobody answers its socket") from error
        try:
            yield writer, _frames(reader)
        except OSError as error:
            raise Unavailable("the connection to the desk broke") from error
        finally:
            writer.close()


async def _frames(reader: asyncio.StreamReader) -> AsyncIterator[frames.Frame]:
    async def read() -> bytes:
        try:
            async with asyncio.timeout(CONTROL_TIMEOUT_S):
                data = await reader.read(_READ_BYTES)
        except TimeoutError as error:
            raise Unavailable("the desk does not answer") from error
        if not data:
            raise Unavailable("the connection to the desk broke")
        return data

    async for frame in frames.frames_of(read):
        if frame.kind == "error":
            raise of_code(*frames.decode(frame, tuple[str, str, list[str], float]))
        yield frame
