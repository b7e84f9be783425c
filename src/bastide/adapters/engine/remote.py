# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The engine behind a runner's socket: one connection, many streams (dialects/frames.py).

The connection is made when it is needed and made again after it broke. It is always read, however
slow one consumer is: pieces that wait for a consumer are joined to one, so what waits is never
more than the text of an answer.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Sequence
from typing import Any

from bastide.core import errors
from bastide.core.chat import (
    Delta,
    Embedded,
    EmbedRequest,
    GenerateRequest,
    TokenChoice,
)
from bastide.core.errors import BastideError, Busy, Misconfigured, Unavailable
from bastide.dialects.frames import Frame, FrameReader, decode, encode

__all__ = ["RemoteEngine"]

_READ_BYTES = 65_536
_ERRORS: dict[str, type[BastideError]] = {
    kind.code: kind
    for kind in (
        errors.Refused,
        errors.NotAllowed,
        errors.NotProven,
        errors.NotFound,
        errors.Misconfigured,
        errors.TooLong,
        errors.Unavailable,
    )
}


class RemoteEngine:
    """An Engine over a Unix socket. Belongs to one event loop."""

    def __init__(self, socket: str) -> None:
        self._socket = socket
        self._link: _Link | None = None
        self._connecting = asyncio.Lock()
        self._closed = False

    async def generate(self, request: GenerateRequest) -> AsyncIterator[Delta]:
        """Answer a request piece by piece."""
        link = await self._connected()
        with link.stream() as (number, mailbox):
            await link.send(number, "generate", request)
            while True:
                delta = await mailbox.next_delta()
                yield delta
                if delta.finish is not None:
                    return

    async def count(self, request: GenerateRequest) -> int:
        """How many tokens the prompt of a request has."""
        return decode(await self._ask("count", request), int)

    async def embed(self, request: EmbedRequest) -> Embedded:
        """One vector for each text."""
        return decode(await self._ask("embed", request), Embedded)

    async def next_tokens(self, prompt: str, count: int) -> Sequence[TokenChoice]:
        """The `count` likeliest next tokens after `prompt`, likeliest first."""
        frame = await self._ask("next_tokens", [prompt, count])
        return decode(frame, list[TokenChoice])

    async def health(self) -> None:
        """Return if the engine can answer. Raises Unavailable."""
        await self._ask("health", None)

    async def close(self) -> None:
        """Disconnect. The engine itself goes on."""
        self._closed = True
        if self._link is not None:
            await self._link.close()

    async def _ask(self, kind: str, body: Any) -> Frame:
        link = await self._connected()
        with link.stream() as (number, mailbox):
            await link.send(number, kind, body)
            return await mailbox.next_frame()

    async def _connected(self) -> "_Link":
        async with self._connecting:
            if self._closed:
                raise Unavailable("the connection to the runner was closed")
            if self._link is None or self._link.broken:
                try:
                    streams = await asyncio.open_unix_connection(self._socket)
                except OSError as error:
                    raise Unavailable("the runner is down: nobody answers its socket") from error
                self._link = _Link(*streams)
            return self._link


class _Link:
    """One connection and the mailboxes of its open streams."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.broken = False
        self._reader = reader
        self._writer = writer
        self._mailboxes: dict[int, _Mailbox] = {}
        self._newest = 0
        self._reading = asyncio.ensure_future(self._read())

    @contextlib.contextmanager
    def stream(self) -> Any:
        """A number and a mailbox; leaving before the answer has ended cancels it."""
        self._newest += 1
        number = self._newest
        mailbox = self._mailboxes[number] = _Mailbox()
        try:
            yield number, mailbox
        finally:
            del self._mailboxes[number]
            if not mailbox.ended and not self.broken:
                self._writer.write(encode(number, "cancel"))

    async def send(self, number: int, kind: str, body: Any) -> None:
        """Send a request. Raises Unavailable."""
        try:
            self._writer.write(encode(number, kind, body))
            await self._writer.drain()
        except OSError as error:
            raise Unavailable("the connection to the runner broke") from error

    async def close(self) -> None:
        """Disconnect; open streams end with Unavailable."""
        self._reading.cancel()
        await asyncio.gather(self._reading, return_exceptions=True)

    async def _read(self) -> None:
        frames = FrameReader()
        try:
            while data := await self._reader.read(_READ_BYTES):
                for frame in frames.feed(data):
                    if (mailbox := self._mailboxes.get(frame.stream)) is not None:
                        mailbox.put(frame)
        except (OSError, Misconfigured):
            pass  # an unreadable stream cannot be read on: the same as a broken one
        finally:
            self.broken = True
            self._writer.transport.abort()
            for mailbox in self._mailboxes.values():
                mailbox.fail(Unavailable("the connection to the runner broke"))


class _Mailbox:
    """What has come for one stream and was not taken yet."""

    def __init__(self) -> None:
        self.ended = False
        self._arrived = asyncio.Event()
        self._deltas: deque[Delta] = deque()
        self._frame: Frame | None = None
        self._error: BastideError | None = None

    def put(self, frame: Frame) -> None:
        """Add a frame. Raises Misconfigured if it has not the shape of its kind."""
        if frame.kind == "error":
            self.fail(_error(*decode(frame, tuple[str, str, float])))
        elif frame.kind == "delta":
            delta = decode(frame, Delta)
            self._deltas.append(delta)
            if delta.finish is not None:
                self.ended = True
        else:
            self._frame, self.ended = frame, True
        self._arrived.set()

    def fail(self, error: BastideError) -> None:
        """End the stream with an error, unless it has ended."""
        if not self.ended:
            self._error, self.ended = error, True
        self._arrived.set()

    async def next_delta(self) -> Delta:
        """The next delta; texts that wait one behind the other come as one."""
        await self._arrived.wait()
        if not self._deltas:
            if self._error is not None:
                raise self._error
            frame = self._frame
            raise Unavailable(f"the runner answered with {frame.kind if frame else 'nothing'!r}")
        delta = self._deltas.popleft()
        if self._deltas and delta.call is None and self._deltas[0].call is None:
            delta = self._joined(delta)
        if not self._deltas and not self.ended:
            self._arrived.clear()
        return delta

    def _joined(self, delta: Delta) -> Delta:
        texts = [delta.text]
        while self._deltas and self._deltas[0].call is None:
            delta = self._deltas.popleft()
            texts.append(delta.text)
        return Delta("".join(texts), delta.finish, delta.usage)

    async def next_frame(self) -> Frame:
        """The one frame that answers."""
        await self._arrived.wait()
        if self._error is not None:
            raise self._error
        if self._frame is None:
            raise Unavailable("the runner answered with a delta")
        return self._frame


def _error(code: str, message: str, retry_after_s: float) -> BastideError:
    if code == Busy.code:
        return Busy(message, retry_after_s=retry_after_s)
    return _ERRORS.get(code, Unavailable)(message)
