# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""One client connection of HTTP/1.1: requests in, answers out, one at a time and in order.

Rules:
* While an answer runs, what else arrives is held, up to PIPELINE_BYTES_MAX. Reading is not paused
  then: only by reading do we learn that the client has gone.
* While the client does not read what we wrote, nothing more is answered, and soon nothing read.
* A client that has gone cancels its answer at once, which frees the engine's slot.
* Every wait for the client has an alarm: for its request, for the next one, for it to read.
"""

import asyncio
from collections.abc import Sequence
from typing import cast

from bastide.core.limits import PIPELINE_BYTES_MAX
from bastide.dialects.openai import OPENAI
from bastide.dialects.surface import EVENT_STREAM, STOPPING, Family, Problem, Route
from bastide.gateway.host import Host, Patience
from bastide.gateway.inbound import Arrival, Inbound, Known, Request
from bastide.gateway.reply import Headers, Reply, refusal
from bastide.gateway.tls import address_of, peer_of

__all__ = ["Connection", "Patience"]

_WRITE_BUFFER_BYTES = 65_536
_NONE: list[Arrival] = []  # of all connections that wait; nothing is ever put into it
_BROKEN = Problem(500, "The gateway failed.", "internal_error", kind="server_error")
_SLOW = Problem(408, "The request took too long to arrive.", "request_timeout")


class Connection(asyncio.Protocol):
    """An `Outgoing` for the jobs of its requests."""

    __slots__ = (
        "__weakref__", "_alarm", "_arrivals", "_begun", "_bodiless", "_chunked", "_closed",
        "_complete", "_family", "_gone", "_held", "_ident", "_known", "_last", "_loop",
        "_patience", "_paused", "_reader", "_route", "_server", "_stalled", "_task", "_transport",
        "_writable",
    )  # fmt: skip

    def __init__(self, server: Host, patience: Patience) -> None:
        self._server = server
        self._patience = patience
        self._loop = asyncio.get_running_loop()
        self._known: Known  # not of the reader: to read a certificate again takes its time
        self._reader: Inbound | None = None  # made when something comes; none while a stream runs
        self._arrivals: list[Arrival] = _NONE  # mostly none, and few
        self._held: bytes | bytearray = b""
        self._transport: asyncio.Transport | None = None
        self._alarm: asyncio.TimerHandle | None = None
        self._stalled: asyncio.TimerHandle | None = None
        self._writable: asyncio.Future[None] | None = None
        self._task: asyncio.Task[None] | None = None
        # Of the request that is being answered, all that is needed; no family, no request.
        self._family: Family | None = None
        self._route: Route | None = None
        self._bodiless = False
        self._ident = ""
        self._begun = False  # the head of the current answer was sent
        self._chunked = False
        self._complete = False  # the current answer was sent to its end
        self._last = False  # no further request is read on this connection
        self._paused = False  # we do not read
        self._closed = False  # we have closed it
        self._gone = False  # it is closed

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin; the server has counted us in."""
        # uvloop's transports have the methods of asyncio.Transport but not its class.
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=_WRITE_BUFFER_BYTES)
        self._known = Known(peer_of(transport), address_of(transport))
        self._set_alarm(self._patience.request_s, self.close)

    def data_received(self, data: bytes) -> None:
        """Read, or hold while an answer runs or the client does not read."""
        if self._last:
            return  # lingering: read and forget, so that the client gets to read our refusal
        if self._family is not None or self._arrivals or self._writable is not None:
            held = self._held = self._held or bytearray()
            held += data
            if len(self._held) > PIPELINE_BYTES_MAX:
                self._refuse_more()
            return
        self._feed(data)

    def eof_received(self) -> None:
        """Take a half-closed connection as a client that has gone."""
        if self._task is not None:
            self._abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel the answer: nobody waits for it."""
        self._gone = True
        self._read_no_more()
        self._server.leave(self)
        self._set_alarm(0, None)
        self._set_stalled(False)
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)
        if self._task is not None:
            self._task.cancel()
            self._server.track(self._task)

    def pause_writing(self) -> None:
        """The client reads slower than we write."""
        self._writable = self._loop.create_future()
        self._set_stalled(True)

    def resume_writing(self) -> None:
        """The client has caught up: go on with what was held."""
        self._set_stalled(False)
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)
        self._writable = None
        self._read_on()
        self._advance()

    # What jobs call.

    def reply(self, reply: Reply) -> None:
        """Send a whole response."""
        reply, keep = reply.named(self._ident), self._keeps(reply)
        self._begun = self._complete = True
        self._write(self._server.pen.whole(reply, self._ident, keep, bodiless=self._bodiless))

    def stream(self, data: bytes, headers: Headers) -> asyncio.Future[None] | None:
        """Send a part of a stream; the first call sends the head too.

        What is returned, if anything, is done when a slow reader has caught up.
        """
        part = self._part(data) if self._begun else self._open(headers) + self._part(data)
        self._write(part)
        return self._writable

    def finish(self, data: bytes, headers: Headers) -> None:
        """Send the last part of a stream."""
        head = b"" if self._begun else self._open(headers)
        self._complete = True
        self._write(head + self._part(data) + (b"0\r\n\r\n" if self._chunked else b""))

    def fail(self, reply: Reply, event: bytes) -> None:
        """Send `reply` if nothing was sent yet; else `event`, and break the stream off."""
        if not self._begun:
            self.reply(reply)
        elif not self._complete:
            # No last chunk and no [DONE]: who ignores the event still sees a broken answer.
            self._last = True
            self._write(self._part(event))

    # What the server calls.

    def close(self) -> None:
        """Take no further request; close when the current answer has ended."""
        self._last = True
        if self._family is None:
            self._hang_up()

    @property
    def tasks(self) -> Sequence[asyncio.Task[None]]:
        """The answer that runs, if there is one."""
        return () if self._task is None else (self._task,)

    # The life of a request.

    def _feed(self, data: bytes) -> None:
        reader = self._reader or self._read_anew()
        was_reading = reader.reading
        arrivals = reader.feed(data)
        if reader.reading and (arrivals or not was_reading):
            self._set_alarm(self._patience.request_s, self._too_slow)
        self._arrivals = arrivals  # data is held while there are any
        self._advance()

    def _read_anew(self) -> Inbound:
        reader = self._reader = Inbound(self._screen, self._known, self._server.bodies)
        return reader

    def _read_no_more(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.forget()

    def _advance(self) -> None:
        """Answer what has arrived, until a job runs, the client does not read or all is done."""
        while self._family is None and not self._closed and not self._gone:
            if self._writable is not None:
                return  # or a client that sends and never reads would fill our memory
            arrivals = self._arrivals
            if arrivals:
                arrival = arrivals.pop(0)
                if not arrivals:
                    self._arrivals = _NONE
                self._begin(arrival)
            elif self._held and not self._last:
                held, self._held = bytes(self._held), b""
                self._feed(held)
                return
            else:
                return

    def _begin(self, arrival: Arrival) -> None:
        if isinstance(arrival, bytes):
            self._write(arrival)
            return
        self._ident = self._server.routes.new_ident()
        self._begun = self._complete = self._bodiless = False
        if isinstance(arrival, Reply):
            self._last = True
            self.reply(arrival)
            self._linger()
            return
        self._family, self._route = arrival.family, arrival.route
        self._bodiless, self._chunked = arrival.method == "HEAD", arrival.version == "1.1"
        self._set_alarm(0, None)
        if not arrival.keep_alive:
            self._last = True
        try:
            outcome = self._server.routes.respond(arrival, self._ident)
        except Exception as error:  # our bug: the client gets an answer, the log gets the place
            self._server.report(error)
            outcome = refusal(_BROKEN)
        if isinstance(outcome, Reply):
            self.reply(outcome)
            self._end()
        else:
            self._task = self._loop.create_task(outcome(self))
            self._task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """The job is over. Here, and in no coroutine: one cancelled early is never entered."""
        self._task = None
        if task.cancelled():
            # Either the client has gone, or the server stops and tells the client so.
            self._break_off(STOPPING)
        elif (error := task.exception()) is not None:  # our bug
            self._server.report(error)
            self._break_off(_BROKEN)
        self._end()
        if self._writable is None and not self._gone:
            self._read_on()
        self._advance()

    def _break_off(self, problem: Problem) -> None:
        family = self._family or OPENAI
        reply = refusal(problem, family, self._ident)
        self.fail(reply, family.event(problem, self._ident))

    def _end(self) -> None:
        self._family = self._route = None
        if self._gone:
            return
        if self._last:
            self._hang_up()
        elif not self._arrivals:
            # Also if something is held: it may be no whole request, and nothing else would ring.
            reading = self._reader is not None and self._reader.reading
            patience = self._patience.request_s if reading else self._patience.idle_s
            self._set_alarm(patience, self._too_slow if reading else self.close)

    def _screen(self, request: Request) -> Reply | None:
        try:
            return self._server.routes.screen(request)
        except Exception as error:  # our bug; llhttp would call it a bad request
            self._server.report(error)
            return refusal(_BROKEN)

    # Bytes and alarms.

    def _open(self, headers: Headers) -> bytes:
        self._begun = True
        if self._reader is not None and self._reader.resting:
            self._read_no_more()  # thousands of streams wait at once
        if not self._chunked:
            self._last = True
        route = self._route
        return self._server.pen.stream(
            headers,
            self._ident,
            not self._last,
            chunked=self._chunked,
            content_type=EVENT_STREAM if route is None else route.stream_type,
        )

    def _part(self, data: bytes) -> bytes:
        # An empty chunk would end the body.
        return b"%x\r\n%b\r\n" % (len(data), data) if self._chunked and data else data

    def _keeps(self, reply: Reply) -> bool:
        if reply.close:
            self._last = True
        return not self._last

    def _write(self, data: bytes) -> None:
        if self._transport is not None and not self._gone:
            self._transport.write(data)

    def _too_slow(self) -> None:
        self._begin(refusal(_SLOW, close=True))

    def _linger(self) -> None:
        """Close in two steps: what the client still sends must not reset what we said."""
        if self._transport is not None and not self._gone:
            self._closed = True
            if self._transport.can_write_eof():
                self._transport.write_eof()
            self._set_alarm(self._patience.linger_s, self._abort)

    def _hang_up(self) -> None:
        if self._transport is not None and not self._gone:
            self._closed = True
            self._transport.close()
            self._set_alarm(self._patience.write_s, self._abort)

    def _refuse_more(self) -> None:
        """Too much is held: cut who floods, let wait who does not read or asks the next at once.

        A client that has its whole answer may send a large request before our job for it is over.
        """
        answering = self._family is not None and not self._complete
        if answering or (self._family is None and self._writable is None):
            self._abort()
        elif self._transport is not None and not self._paused and not self._closed:
            self._paused = True
            self._transport.pause_reading()

    def _read_on(self) -> None:
        if self._paused and not self._closed and self._transport is not None:
            self._paused = False
            self._transport.resume_reading()

    def _abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def _set_alarm(self, seconds: float, ring: object) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        if callable(ring) and not self._gone:
            self._alarm = self._loop.call_later(seconds, ring)

    def _set_stalled(self, stalled: bool) -> None:
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None
        if stalled:
            self._stalled = self._loop.call_later(self._patience.write_s, self._abort)
