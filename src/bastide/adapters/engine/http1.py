# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""A small HTTP/1.1 client over one Unix socket, with keep-alive and streamed answers.

The server is an engine that may be hostile: every size is bounded, and a connection that was not
read to the end of its answer is aborted, which tells the engine to stop.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager

import httptools

from bastide.core.limits import (
    ENGINE_REPLY_BYTES_MAX,
    ENGINE_SILENCE_MAX_S,
    REQUEST_HEADER_BYTES_MAX,
)

__all__ = ["Answer", "BrokenAnswerError", "UnixHttp"]

_READ_BYTES = 65_536
Over = Callable[[bool], None]


class BrokenAnswerError(OSError):
    """The connection ended, or what came is no HTTP."""


class _Connection:
    """One connection and the parser of its current answer (the callbacks are httptools')."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.reused = False
        self._begin()

    async def send(self, request: bytes) -> None:
        self._begin()
        self._writer.write(request)
        await self._writer.drain()

    async def receive(self) -> None:
        """Read once and parse. Raises BrokenAnswerError at the end, or after a long silence."""
        try:
            async with asyncio.timeout(ENGINE_SILENCE_MAX_S):
                data = await self._reader.read(_READ_BYTES)
            if not data:
                raise BrokenAnswerError("the engine closed the connection")
            self.silent = False
            self._parser.feed_data(data)
        except TimeoutError as error:
            silence = f"the engine has said nothing for {ENGINE_SILENCE_MAX_S:.0f} s"
            raise BrokenAnswerError(silence) from error
        except httptools.HttpParserError as error:
            raise BrokenAnswerError(f"the engine's answer is no HTTP: {error}") from error
        if not self.headed:
            self._header_bytes += len(data)
            if self._header_bytes > REQUEST_HEADER_BYTES_MAX:
                raise BrokenAnswerError("the header of the engine's answer is too long")

    @property
    def status(self) -> int:
        return self._parser.get_status_code()

    @property
    def reusable(self) -> bool:
        return self.complete and self.keep and not self._writer.is_closing()

    def take(self) -> bytes:
        """Body bytes that arrived since the last call."""
        data = b"".join(self._body)
        self._body.clear()
        return data

    def abort(self) -> None:
        self._writer.transport.abort()

    def _begin(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._body: list[bytes] = []
        self._header_bytes = 0
        self.silent = True
        self.headed = False
        self.complete = False
        self.keep = False

    def on_headers_complete(self) -> None:
        self.headed = True
        self.keep = self._parser.should_keep_alive()

    def on_body(self, data: bytes) -> None:
        self._body.append(data)

    def on_message_complete(self) -> None:
        self.complete = True


class Answer:
    """A status and a body that is still arriving."""

    def __init__(self, connection: _Connection) -> None:
        self._connection = connection
        self.status = connection.status

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body as it arrives. Raises BrokenAnswerError if it is cut."""
        while True:
            if data := self._connection.take():
                yield data
            if self._connection.complete:
                return
            await self._connection.receive()

    async def lines(self) -> AsyncIterator[bytes]:
        """The body, line by line, without the line ends."""
        rest = b""
        async for data in self.chunks():
            *whole, rest = (rest + data).split(b"\n")
            if len(rest) > ENGINE_REPLY_BYTES_MAX:
                raise BrokenAnswerError("a line of the engine's answer is too long")
            for line in whole:
                yield line.rstrip(b"\r")

    async def read(self) -> bytes:
        """The whole body."""
        body = bytearray()
        async for data in self.chunks():
            body += data
            if len(body) > ENGINE_REPLY_BYTES_MAX:
                raise BrokenAnswerError("the engine's answer is too long")
        return bytes(body)


class UnixHttp:
    """Requests to one Unix socket. Idle connections are kept, at most `idle_max`."""

    def __init__(self, path: str, idle_max: int) -> None:
        self._path = path
        self._idle_max = idle_max
        self._idle: list[_Connection] = []
        self._open: set[_Connection] = set()

    @asynccontextmanager
    async def ask(
        self, method: str, target: str, body: bytes = b"", over: Over | None = None
    ) -> AsyncGenerator[Answer]:
        """Send a request; leaving the block early aborts it. Raises OSError.

        `over` is called once, when the server can do nothing more for this request, and is told
        whether that is sure. Who is cancelled before the server has begun to answer goes at once,
        but `over` waits: until then nobody knows whether the server has read the request.
        """
        head = f"{method} {target} HTTP/1.1\r\nhost: engine\r\n"
        if body:
            head += f"content-type: application/json\r\ncontent-length: {len(body)}\r\n"
        connection = await self._begun(head.encode() + b"\r\n" + body, over)
        try:
            yield Answer(connection)
        finally:
            self._open.discard(connection)
            if connection.reusable and len(self._idle) < self._idle_max:
                connection.reused = True
                self._idle.append(connection)
            else:
                connection.abort()
            if over is not None:
                over(True)

    def close(self) -> None:
        """Abort every connection; answers that are read end with BrokenAnswerError."""
        for connection in (*self._idle, *self._open):
            connection.abort()
        self._idle.clear()

    async def _begun(self, request: bytes, over: Over | None) -> _Connection:
        if over is None:
            return await self._begin(request)
        beginning = asyncio.ensure_future(self._begin(request))
        try:
            return await asyncio.shield(beginning)
        except BaseException:
            beginning.add_done_callback(lambda done: self._drop(done, over))
            raise

    def _drop(self, beginning: "asyncio.Future[_Connection]", over: Over) -> None:
        """Nobody waits for this answer any more."""
        begun = not beginning.cancelled() and beginning.exception() is None
        if begun:
            connection = beginning.result()
            self._open.discard(connection)
            connection.abort()
        over(begun)

    async def _begin(self, request: bytes) -> _Connection:
        while True:
            connection = self._idle.pop() if self._idle else await self._connect()
            self._open.add(connection)
            try:
                await connection.send(request)
                while not connection.headed:
                    await connection.receive()
            except BaseException as error:
                self._open.discard(connection)
                connection.abort()
                # An idle connection may be closed by the server at any moment (after 5 s here).
                # If not one byte was answered, the request may be sent again.
                if isinstance(error, OSError) and connection.reused and connection.silent:
                    continue
                raise
            return connection

    async def _connect(self) -> _Connection:
        return _Connection(*await asyncio.open_unix_connection(self._path))
