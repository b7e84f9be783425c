# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""One request and its answer on one stream of an HTTP/2 connection.

An answer that failed ends with its family's event and then RST_STREAM, never with END_STREAM: a
client that ignores the event still sees that it is not whole.
"""

import asyncio
from collections.abc import Awaitable
from typing import Protocol

from h2.errors import ErrorCodes

from bastide.core.limits import H2_FRAME_BYTES
from bastide.dialects.surface import EVENT_STREAM, STOPPING, Problem
from bastide.gateway.answering import Job
from bastide.gateway.h2_head import answer_block
from bastide.gateway.host import Host
from bastide.gateway.inbound import Request
from bastide.gateway.reply import Headers, Reply, refusal

__all__ = ["BROKEN", "Exchange", "Line"]

BROKEN = Problem(500, "The gateway failed.", "internal_error", kind="server_error")


class Line(Protocol):
    """The connection, as its exchanges see it."""

    host: Host
    loop: asyncio.AbstractEventLoop  # asking for it is a system call (getpid) before Python 3.12

    def open(self, exchange: "Exchange", block: bytes, last: bool) -> None:
        """Send the head of an answer."""
        ...

    def push(self, exchange: "Exchange") -> None:
        """Send what waits in an exchange, as far as the client takes it."""
        ...

    def reset(self, exchange: "Exchange", code: ErrorCodes) -> None:
        """End a stream for both sides."""
        ...

    def settle(self, exchange: "Exchange") -> None:
        """Forget an exchange, if nothing is left to do for it."""
        ...


class Exchange:
    """An `Outgoing` for the job of its request."""

    def __init__(self, line: Line, stream: int, request: Request, ident: str) -> None:
        self.stream_id = stream
        self.request = request
        self.pending = bytearray()  # of the answer, until the client takes it
        self.body: list[bytes] = []
        self.body_bytes = 0
        self.heard = False  # the request is complete
        self.complete = False  # nothing will be added to `pending`
        self.broken = False  # and after it comes a reset
        self.gone = False  # the stream is closed
        self.task: asyncio.Task[None] | None = None
        self._line = line
        self.ident = ident
        self._begun = False
        self._room: asyncio.Future[None] | None = None
        self._alarm: asyncio.TimerHandle | None = None
        self._moved = 0

    # What jobs call.

    def reply(self, reply: Reply) -> None:
        """Send a whole response."""
        if self.gone:
            return
        reply = reply.named(self.ident)
        self._begun = self.complete = True
        bodiless = self.request.method == "HEAD" or not reply.body
        if not bodiless:
            self.pending += reply.body
        date, length = self._line.host.pen.date, len(reply.body)
        block = answer_block(
            reply.status, reply.content_type, reply.headers, self.ident, date, length
        )
        self._line.open(self, block, bodiless)
        self._line.push(self)

    def stream(self, data: bytes, headers: Headers) -> Awaitable[None] | None:
        """Send a part of a stream; the first call sends the head too.

        What is returned, if anything, is done when a slow reader has caught up.
        """
        if self.gone:
            return None
        self._open(headers)
        self.pending += data
        self._line.push(self)
        return self._taken() if self.pending else None

    async def _taken(self) -> None:
        while self.pending and not self.gone:
            self._room = self._line.loop.create_future()
            await self._room

    def finish(self, data: bytes, headers: Headers) -> None:
        """Send the last part of a stream."""
        if self.gone:
            return
        self._open(headers)
        self.pending += data
        self.complete = True
        self._line.push(self)

    def fail(self, reply: Reply, event: bytes) -> None:
        """Send `reply` if nothing was sent yet; else `event`, and break the stream off."""
        if self.gone or self.complete:
            return
        if not self._begun:
            self.reply(reply)
            return
        self.pending += event
        self.complete = self.broken = True
        self._line.push(self)

    # What the connection calls.

    def run(self, job: Job) -> None:
        """Answer by a job."""
        self.request.forget()
        self.task = self._line.loop.create_task(job(self))
        self.task.add_done_callback(self._ended)

    def refuse(self, problem: Problem) -> None:
        """Answer with a refusal."""
        self.reply(refusal(problem, self.request.family, self.ident))

    def give_up(self) -> None:
        """The stream was cut: nobody waits for the answer."""
        if self.task is not None:
            self.task.cancel()
            self._line.host.track(self.task)
        self.leave()

    def leave(self) -> None:
        """The stream is closed. A job that has said all may go on to its own end."""
        self.gone = self.complete = True
        self.pending.clear()
        self.body.clear()
        self.set_alarm(0, None)
        self._wake()
        self._line.settle(self)

    def took(self, count: int, patience_s: float) -> None:
        """The client took some bytes of what waited; 0 only says that some still wait."""
        self._moved += count
        if not self.pending:
            self.set_alarm(0, None)
            self._wake()
        elif self._alarm is None or self._moved >= H2_FRAME_BYTES:
            # A client that takes a byte now and then is as slow as one that takes none.
            self.set_alarm(patience_s, lambda: self._line.reset(self, ErrorCodes.CANCEL))

    def set_alarm(self, seconds: float, ring: object) -> None:
        """Wait for the client no longer than this."""
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        self._moved = 0
        if callable(ring):
            self._alarm = self._line.loop.call_later(seconds, ring)

    def _open(self, headers: Headers) -> None:
        if self._begun:
            return
        self._begun = True
        route = self.request.route
        media = EVENT_STREAM if route is None else route.stream_type
        date = self._line.host.pen.date
        self._line.open(self, answer_block(200, media, headers, self.ident, date, None), False)

    def _wake(self) -> None:
        if self._room is not None and not self._room.done():
            self._room.set_result(None)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """The job is over. Here, and in no coroutine: one cancelled early is never entered."""
        self.task = None
        error = None if task.cancelled() else task.exception()
        if error is not None:  # our bug: the client gets an answer, the log gets the place
            self._line.host.report(error)
        self._break_off(STOPPING if error is None else BROKEN)
        self._line.settle(self)

    def _break_off(self, problem: Problem) -> None:
        family = self.request.family
        self.fail(refusal(problem, family, self.ident), family.event(problem, self.ident))
