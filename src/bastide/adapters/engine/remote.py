# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The engine behind a runner's socket: one connection, many streams (dialects/frames.py).

The connection is made when it is needed and made again after it broke. It is always read, however
slow one consumer is: pieces that wait for a consumer are joined to one, so what waits is never
more than the text of an answer.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Final, cast

from bastide.core.chat import (
    Delta,
    Embedded,
    EmbedRequest,
    GenerateRequest,
    TokenChoice,
)
from bastide.core.errors import BastideError, Down, Misconfigured, Unavailable, of_code
from bastide.dialects.frames import Frame, FrameReader, decode, encode
from bastide.ports import Dial

__all__ = ["RemoteEngine"]

_DOWN: Final = "the runner is down: it cannot be reached"


class RemoteEngine:
    """An Engine over a Unix socket, or over what connects to one of another machine.

    Belongs to one event loop. `told` hears why the runner is away, once for each reason, and ""
    when it is there again.
    """

    def __init__(self, socket: str | Dial, told: Callable[[str], None] = lambda _: None) -> None:
        self._socket = socket
        self._told, self._why = told, ""
        self._link: _Link | None = None
        self._connecting = asyncio.Lock()
        self._closed = False

    def generate(self, request: GenerateRequest) -> AsyncIterator[Delta]:
        """Answer a request piece by piece."""
        return _Answer(self, request)

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
            self._link.abort()

    async def _ask(self, kind: str, body: Any) -> Frame:
        link = await self.linked()
        mailbox = link.open(kind, body)
        try:
            return await mailbox.next_frame()
        finally:
            link.shut(mailbox)

    async def linked(self) -> "_Link":
        """The connection, made if there is none. Raises Unavailable."""
        link = self._link
        return await self._connected() if link is None or link.broken else link

    async def _connected(self) -> "_Link":
        async with self._connecting:
            if self._closed:
                raise Unavailable("the connection to the runner was closed")
            if self._link is None or self._link.broken:
                self._link = await self._dialled()
            return self._link

    async def _dialled(self) -> "_Link":
        loop = asyncio.get_running_loop()
        try:
            if isinstance(self._socket, str):
                link = (await loop.create_unix_connection(self._link_of, self._socket))[1]
            else:
                link = await self._socket(self._link_of)
        except (BastideError, OSError) as error:  # it names machines, and clients get to read ours
            self._tell(error.message if isinstance(error, BastideError) else _system(error))
            raise Down(_DOWN) from error
        self._tell("")
        return link

    def _link_of(self) -> "_Link":
        return _Link(self._tell)

    def _tell(self, why: str) -> None:
        if why != self._why and not self._closed:
            self._why = why
            self._told(why)


class _Answer:
    """The deltas of one answer; the request is sent when the first is asked for.

    No generator: making, hooking and closing one costs more than all else that is done here.
    """

    __slots__ = ("_ended", "_engine", "_link", "_mailbox", "_request")

    def __init__(self, engine: RemoteEngine, request: GenerateRequest) -> None:
        self._engine = engine
        self._request: GenerateRequest | None = request  # until it is sent
        self._link: _Link | None = None
        self._mailbox: _Mailbox | None = None
        self._ended = False

    def __aiter__(self) -> AsyncIterator[Delta]:
        return self

    async def __anext__(self) -> Delta:
        if self._ended:
            raise StopAsyncIteration
        mailbox = self._mailbox
        try:
            if mailbox is None:
                link = self._link = await self._engine.linked()
                mailbox = self._mailbox = link.open("generate", self._request)
                self._request = None
                if link.writable is not None:
                    # Shielded: who gives up waiting must not end the wait of the others.
                    await asyncio.shield(link.writable)
            if mailbox.empty:
                await mailbox.news()
            delta = mailbox.take()
        except BaseException:
            self._end()
            raise
        if delta.finish is not None:
            self._end()
        return delta

    async def aclose(self) -> None:
        """Cancel what has not ended."""
        self._end()

    def _end(self) -> None:
        self._ended = True
        link, self._link = self._link, None
        if link is not None and self._mailbox is not None:
            link.shut(self._mailbox)


class _Link(asyncio.Protocol):
    """One connection and the mailboxes of its open streams.

    A protocol and no stream reader: that costs half the CPU of an answer's way through here.
    """

    def __init__(self, told: Callable[[str], None] = lambda _: None) -> None:
        self._told = told
        self.broken = False
        self.writable: asyncio.Future[None] | None = None  # while the runner reads too slowly
        self._mailboxes: dict[int, _Mailbox] = {}
        self._newest = 0
        self._frames = FrameReader()
        self._transport: asyncio.Transport | None = None
        # Asking for it each time is a system call (getpid) before Python 3.12.
        self._loop = asyncio.get_running_loop()
        self._unsent: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        # uvloop's transports have the methods of asyncio.Transport but not its class.
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Put each frame where it belongs."""
        try:
            for frame in self._frames.feed(data):
                if (mailbox := self._mailboxes.get(frame.stream)) is not None:
                    mailbox.put(frame)
        except Misconfigured:
            self.abort()  # an unreadable stream cannot be read on: the same as a broken one

    def connection_lost(self, exc: Exception | None) -> None:
        """End every stream."""
        self.broken = True
        self._told("its connection broke" + ("" if exc is None else f": {_system(exc)}"))
        self.resume_writing()
        for mailbox in self._mailboxes.values():
            mailbox.fail(Unavailable("the connection to the runner broke"))

    def pause_writing(self) -> None:
        """The runner reads slower than we write."""
        self.writable = self._loop.create_future()

    def resume_writing(self) -> None:
        """It has caught up, or is gone."""
        waiting, self.writable = self.writable, None
        if waiting is not None and not waiting.done():
            waiting.set_result(None)

    def open(self, kind: str, body: Any) -> "_Mailbox":
        """Send a request. What comes back is in the mailbox."""
        self._newest += 1
        mailbox = self._mailboxes[self._newest] = _Mailbox(self._newest, self._loop)
        if self.broken or self._transport is None:
            mailbox.fail(Unavailable("the connection to the runner broke"))
        else:
            self._send(encode(self._newest, kind, body))
        return mailbox

    def shut(self, mailbox: "_Mailbox") -> None:
        """Forget a stream; one whose answer has not ended is cancelled."""
        self._mailboxes.pop(mailbox.number, None)
        if not mailbox.ended and not self.broken and self._transport is not None:
            self._send(encode(mailbox.number, "cancel"))

    def _send(self, frame: bytes) -> None:
        """Write soon, together with what else is written in this turn of the loop."""
        if not self._unsent:
            self._loop.call_soon(self._flush)
        self._unsent.append(frame)

    def _flush(self) -> None:
        unsent, self._unsent = self._unsent, []
        if self._transport is not None and not self.broken:
            self._transport.write(b"".join(unsent))

    def abort(self) -> None:
        """Break the connection."""
        self.broken = True
        if self._transport is not None:
            self._transport.abort()


class _Mailbox:
    """What has come for one stream and was not taken yet.

    Small: thousands of them wait at once. What has come is a list, because it is taken as a whole
    but for pieces of calls.
    """

    __slots__ = ("_deltas", "_error", "_frame", "_loop", "_waiting", "ended", "number")

    def __init__(self, number: int, loop: asyncio.AbstractEventLoop) -> None:
        self.number = number
        self.ended = False
        self._loop = loop
        self._waiting: asyncio.Future[None] | None = None
        self._deltas: list[Delta] = []
        self._frame: Frame | None = None
        self._error: BastideError | None = None

    def put(self, frame: Frame) -> None:
        """Add a frame. Raises Misconfigured if it has not the shape of its kind."""
        if frame.kind == "error":
            code, message, after_s = decode(frame, tuple[str, str, float])
            self.fail(of_code(code, message, retry_after_s=after_s))
        elif frame.kind == "delta":
            delta = decode(frame, Delta)
            self._deltas.append(delta)
            if delta.finish is not None:
                self.ended = True
        else:
            self._frame, self.ended = frame, True
        self._wake()

    def fail(self, error: BastideError) -> None:
        """End the stream with an error, unless it has ended."""
        if not self.ended:
            self._error, self.ended = error, True
        self._wake()

    @property
    def empty(self) -> bool:
        """True while nothing has come, and something may."""
        return not self._deltas and not self.ended

    def news(self) -> asyncio.Future[None]:
        """What is done once something has come. For an empty one, and one caller at a time."""
        self._waiting = self._loop.create_future()
        return self._waiting

    def take(self) -> Delta:
        """The next delta; texts that wait one behind the other come as one. Raises its error."""
        deltas = self._deltas
        if not deltas:
            if self._error is not None:
                raise self._error
            frame = self._frame
            raise Unavailable(f"the runner answered with {frame.kind if frame else 'nothing'!r}")
        if len(deltas) == 1:
            return deltas.pop()
        count = next((at for at, delta in enumerate(deltas) if delta.call is not None), len(deltas))
        if count < 2:
            return deltas.pop(0)
        last = deltas[count - 1]
        text = "".join([delta.text for delta in deltas[:count]])
        del deltas[:count]
        return Delta(text, last.finish, last.usage, met=last.met)

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None and not waiting.done():
            waiting.set_result(None)

    async def next_frame(self) -> Frame:
        """The one frame that answers."""
        if self.empty:
            await self.news()
        if self._error is not None:
            raise self._error
        if self._frame is None:
            raise Unavailable("the runner answered with a delta")
        return self._frame


def _system(error: Exception) -> str:
    """What the system says of an error, and nothing that anybody sent."""
    said = error.strerror if isinstance(error, OSError) else None
    return said or type(error).__name__
