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
from typing import cast

from bastide.core.limits import PIPELINE_BYTES_MAX
from bastide.dialects.openai import OPENAI
from bastide.dialects.surface import EVENT_STREAM, STOPPING, Problem
from bastide.gateway.answering import Job
from bastide.gateway.host import Host, Patience
from bastide.gateway.inbound import Arrival, Inbound, Request
from bastide.gateway.reply import Headers, Reply, refusal
from bastide.gateway.tls import address_of, peer_of

__all__ = ["Connection", "Patience"]

_WRITE_BUFFER_BYTES = 65_536
_BROKEN = Problem(500, "The gateway failed.", "internal_error", kind="server_error")
_SLOW = Problem(408, "The request took too long to arrive.", "request_timeout")


class Connection(asyncio.Protocol):
    """An `Outgoing` for the jobs of its requests."""

    __slots__ = (
        "__weakref__", "_alarm", "_arrivals", "_begun", "_chunked", "_closed", "_complete",
        "_gone", "_held", "_ident", "_inbound", "_last", "_loop", "_patience", "_paused",
        "_request", "_server", "_stalled", "_task", "_transport", "_writable",
    )  # fmt: skip

    def __init__(self, server: Host, patience: Patience) -> None:
        self._server = server
        self._patience = patience
        self._loop = asyncio.get_running_loop()
        self._inbound: Inbound  # from the start of the connection
        self._arrivals: list[Arrival] = []  # mostly none, and few
        self._held = bytearray()
        self._transport: asyncio.Transport | None = None
        self._alarm: asyncio.TimerHandle | None = None
        self._stalled: asyncio.TimerHandle | None = None
        self._writable: asyncio.Future[None] | None = None
        self._task: asyncio.Task[None] | None = None
        self._request: Request | None = None
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
        """Begin, if there is room."""
        # uvloop's transports have the methods of asyncio.Transport but not its class.
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=_WRITE_BUFFER_BYTES)
        peer, address = peer_of(self._transport), address_of(self._transport)
        self._inbound = Inbound(self._screen, peer, address, self._server.bodies)
        if not self._server.enter(self, transport):
            self._transport.abort()
            return
        self._set_alarm(self._patience.request_s, self.close)

    def data_received(self, data: bytes) -> None:
        """Read, or hold while an answer runs or the client does not read."""
        if self._last:
            return  # lingering: read and forget, so that the client gets to read our refusal
        if self._request is not None or self._arrivals or self._writable is not None:
            self._held += data
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
        self._inbound.forget()
        self._server.leave(self)
        self._set_alarm(0, None)
        self._set_stalled(False)
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)
        if self._task is not None:
            self._task.cancel()

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
        if self._paused and not self._closed and self._transport is not None:
            self._paused = False
            self._transport.resume_reading()
        self._advance()

    # What jobs call.

    def reply(self, reply: Reply) -> None:
        """Send a whole response."""
        request, keep = self._request, self._keeps(reply)
        bodiless = request is not None and request.method == "HEAD"
        self._begun = self._complete = True
        self._write(self._server.pen.whole(reply, self._ident, keep, bodiless=bodiless))

    async def stream(self, data: bytes, headers: Headers) -> None:
        """Send a part of a stream; the first call sends the head too. Waits for slow readers."""
        head = b"" if self._begun else self._open(headers)
        self._write(head + self._part(data))
        if self._writable is not None:
            await self._writable

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
        if self._request is None:
            self._hang_up()

    def interrupt(self) -> None:
        """Stop the current answer, and tell the client."""
        if self._task is not None:
            self._task.cancel()

    # The life of a request.

    def _feed(self, data: bytes) -> None:
        was_reading = self._inbound.reading
        arrivals = self._inbound.feed(data)
        if self._inbound.reading and (arrivals or not was_reading):
            self._set_alarm(self._patience.request_s, self._too_slow)
        self._arrivals.extend(arrivals)
        self._advance()

    def _advance(self) -> None:
        """Answer what has arrived, until a job runs, the client does not read or all is done."""
        while self._request is None and not self._closed and not self._gone:
            if self._writable is not None:
                return  # or a client that sends and never reads would fill our memory
            if self._arrivals:
                self._begin(self._arrivals.pop(0))
            elif self._held and not self._last:
                held, self._held = bytes(self._held), bytearray()
                self._feed(held)
                return
            else:
                return

    def _begin(self, arrival: Arrival) -> None:
        if isinstance(arrival, bytes):
            self._write(arrival)
            return
        self._ident = self._server.routes.new_ident()
        self._begun = self._complete = self._chunked = False
        if isinstance(arrival, Reply):
            self._last = True
            self.reply(arrival)
            self._linger()
            return
        self._request = arrival
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
            arrival.forget()
            self._task = self._loop.create_task(self._run(outcome))
            self._server.track(self._task)

    async def _run(self, job: Job) -> None:
        try:
            await job(self)
        except asyncio.CancelledError:
            # Either the client has gone, or the server stops and tells the client so.
            self._break_off(STOPPING)
        except Exception as error:  # our bug
            self._server.report(error)
            self._break_off(_BROKEN)
        finally:
            self._task = None
            self._end()
            self._advance()

    def _break_off(self, problem: Problem) -> None:
        family = OPENAI if self._request is None else self._request.family
        reply = refusal(problem, family, self._ident)
        self.fail(reply, family.event(problem, self._ident))

    def _end(self) -> None:
        self._request = None
        if self._gone:
            return
        if self._last:
            self._hang_up()
        elif not self._arrivals:
            # Also if something is held: it may be no whole request, and nothing else would ring.
            reading = self._inbound.reading
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
        request = self._request
        assert request is not None
        self._begun = True
        self._inbound.rest()
        self._chunked = request.version == "1.1"
        if not self._chunked:
            self._last = True
        route = request.route
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
        """Too much is held: wait for a client that does not read, cut one that floods."""
        if self._request is not None or self._writable is None:
            self._abort()
        elif self._transport is not None and not self._paused and not self._closed:
            self._paused = True
            self._transport.pause_reading()

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
