# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""One client connection of HTTP/2 (RFC 9113): many requests at once, each on its stream.

h2 keeps the protocol's state; this file moves bytes, bounds and clocks. Rules:
* A client that does not take an answer blocks that answer only, up to a limit in time.
* While the connection itself is not read, we do not read it either.
* A reset by the client cancels its answer at once, which frees the engine's slot.
* A cancelled stream counts until its answer has really ended.
* Who floods, or breaks the protocol, gets GOAWAY and loses the connection.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final, cast

from h2.errors import ErrorCodes
from h2.events import (
    DataReceived,
    Event,
    RequestReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
)
from h2.exceptions import H2Error

from bastide.core.limits import (
    BODIES_BYTES_MAX,
    BODY_BYTES_FREE,
    H2_BODIES_BYTES_MAX,
    H2_FRAME_BYTES,
    H2_RESET_TOLL,
    H2_STREAMS_MAX,
    REQUEST_BODY_BYTES_MAX,
)
from bastide.dialects.families import find_route
from bastide.dialects.surface import Problem
from bastide.gateway.h2_frames import Frames
from bastide.gateway.h2_linger import Linger
from bastide.gateway.h2_request import read_request
from bastide.gateway.h2_stream import BROKEN, Exchange
from bastide.gateway.h2_toll import Toll
from bastide.gateway.host import Host, Patience
from bastide.gateway.inbound import OVERLOADED, Known, Request
from bastide.gateway.reply import Reply, refusal
from bastide.gateway.tls import address_of, peer_of

__all__ = ["H2Connection"]

_WRITE_BUFFER_BYTES: Final = 65_536
_SLOW = Problem(408, "The request took too long to arrive.", "request_timeout")
_TOO_LARGE = Problem(
    413, f"The body is larger than {REQUEST_BODY_BYTES_MAX} bytes.", "request_too_large"
)
_TRAILERS = Problem(400, "Trailers are not supported.", "invalid_http")


class H2Connection(asyncio.Protocol):
    """The `Line` of its exchanges."""

    def __init__(self, host: Host, patience: Patience) -> None:
        self.host = host
        self._patience = patience
        self.loop = asyncio.get_running_loop()
        self._frames = Frames()
        self._toll = Toll(host.now_ms() / 1000)
        self._exchanges: dict[int, Exchange] = {}
        self._waiting: deque[Exchange] = deque()  # exchanges whose bytes the client does not take
        self._linger = Linger(patience.linger_s, self._refuse_rest)
        self._held_bytes = 0  # of bodies that are not complete
        self._transport: asyncio.Transport | None = None
        self._alarm: asyncio.TimerHandle | None = None
        self._known: Known
        self._reading = False  # `data_received` runs: what is to be sent goes out at its end
        self._paused = False  # the client does not read the connection
        self._last = False  # no further request is taken
        self._closed = False
        self._takers: dict[type[Event], Callable[[Any], None]] = {
            RequestReceived: self._begin,
            DataReceived: self._hold,
            StreamEnded: self._respond,
            TrailersReceived: self._refuse_trailers,
            StreamReset: self._cancel,
        }

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin; the server has counted us in."""
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=_WRITE_BUFFER_BYTES)
        self._known = Known(peer_of(transport), address_of(transport))
        self._set_alarm(self._patience.request_s, self.close)
        self._flush()

    def data_received(self, data: bytes) -> None:
        """Read frames, as far as they are paid for."""
        if self._closed:
            return
        kept = self._toll.pass_on(data, self.host.now_ms() / 1000)
        self._reading = True
        try:
            if self._toll.cut is None:
                for event in self._frames.receive_data(kept):
                    taker = self._takers.get(type(event))
                    if taker is not None and self._toll.cut is None and not self._closed:
                        taker(event)
        except H2Error:
            self._flush()  # h2 has written the GOAWAY
            self._hang_up()
        except Exception as error:  # our bug, or h2's
            self.host.report(error)
            self._say_goaway(ErrorCodes.INTERNAL_ERROR)
            self._hang_up()
        finally:
            self._reading = False
        if self._toll.cut is not None:
            self._say_goaway(self._toll.cut)
            self._hang_up()
        self._pump()

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel all answers: nobody waits for them."""
        self._closed = True
        self.host.leave(self)
        self._give_up_all()
        self._set_alarm(0, None)

    def pause_writing(self) -> None:
        """The client does not read: neither do we, or its requests would fill our memory."""
        self._paused = True
        if self._transport is not None and not self._closed:
            self._transport.pause_reading()
            self._set_alarm(self._patience.write_s, self._abort)

    def resume_writing(self) -> None:
        """The client has caught up."""
        self._paused = False
        if self._transport is not None and not self._closed:
            self._set_alarm(0, None)
            if not self._exchanges:
                self._rest()
            self._transport.resume_reading()
            self._pump()

    # What exchanges call.

    def open(self, exchange: Exchange, block: bytes, last: bool) -> None:
        """Send the head of an answer."""
        if not self._alive(exchange):
            return
        self._frames.send_head(exchange.stream_id, block, last=last)
        if last:
            self._end(exchange)
        self._flush()

    def push(self, exchange: Exchange) -> None:
        """Send what waits in an exchange, as far as the client takes it."""
        while self._push_frame(exchange):
            pass
        self._flush()

    def reset(self, exchange: Exchange, code: ErrorCodes) -> None:
        """End a stream for both sides."""
        if self._alive(exchange):
            self._frames.reset_stream(exchange.stream_id, code)
            exchange.give_up()
            self._flush()

    def settle(self, exchange: Exchange) -> None:
        """Forget an exchange, if nothing is left to do for it."""
        if not exchange.gone or exchange.task is not None:
            return
        if self._exchanges.pop(exchange.stream_id, None) is None:
            return
        if not exchange.heard:
            self._hold_bytes(-exchange.body_bytes)
        if not self._exchanges:
            self._rest()

    # What the server calls.

    def close(self) -> None:
        """Take no further request; close when the last answer has ended.

        A request that is not complete is none yet, and refused: its client may send it again.
        GOAWAY comes at the end, not before: httpcore gives up what runs as soon as it reads one.
        """
        self._last = True
        for exchange in list(self._exchanges.values()):
            if not (exchange.heard or exchange.complete):
                self.reset(exchange, ErrorCodes.REFUSED_STREAM)
        if not self._exchanges:
            self._rest()

    @property
    def tasks(self) -> Sequence[asyncio.Task[None]]:
        """The answers that run."""
        return [row.task for row in self._exchanges.values() if row.task is not None]

    # What arrives.

    def _begin(self, event: RequestReceived) -> None:
        stream = event.stream_id or 0
        if self._last or len(self._exchanges) >= H2_STREAMS_MAX:
            self._toll.charge(H2_RESET_TOLL)
            self._frames.reset_stream(stream, ErrorCodes.REFUSED_STREAM)
            return
        request, problem = read_request(event.headers or ())
        known = request.known = self._known
        request.peer, request.address = known.peer, known.address
        exchange = Exchange(self, stream, request, self.host.routes.new_ident())
        self._exchanges[stream] = exchange
        self._set_alarm(0, None)
        if problem is not None:
            request.family = find_route(request.path, request.query, request.headers)[0]
            exchange.refuse(problem)
            return
        refused = self._screen(request)
        if refused is not None:
            exchange.reply(refused)
        elif event.stream_ended is None:
            if b"expect" in request.headers:
                self._frames.send_continue(stream)
            exchange.set_alarm(self._patience.request_s, lambda: exchange.refuse(_SLOW))

    def _hold(self, event: DataReceived) -> None:
        stream, data = event.stream_id or 0, event.data or b""
        if event.flow_controlled_length:
            self._frames.acknowledge_received_data(event.flow_controlled_length, stream)
        exchange = self._exchanges.get(stream)
        if exchange is None or exchange.complete:
            self._linger.took(stream, len(data))
            return
        exchange.body.append(data)
        exchange.body_bytes += len(data)
        self._hold_bytes(len(data))
        if exchange.body_bytes > REQUEST_BODY_BYTES_MAX:
            exchange.refuse(_TOO_LARGE)
        elif self.host.bodies.held > BODIES_BYTES_MAX and exchange.body_bytes > BODY_BYTES_FREE:
            exchange.refuse(OVERLOADED)
        elif self._held_bytes > H2_BODIES_BYTES_MAX:
            self.reset(exchange, ErrorCodes.REFUSED_STREAM)

    def _hold_bytes(self, count: int) -> None:
        """Count bytes of bodies that are not complete, here and for all connections together."""
        self._held_bytes += count
        self.host.bodies.held += count

    def _respond(self, event: StreamEnded) -> None:
        exchange = self._exchanges.get(event.stream_id or 0)
        if exchange is None or exchange.heard:
            self._linger.ended(event.stream_id or 0)
            return
        exchange.heard = True
        self._hold_bytes(-exchange.body_bytes)
        if exchange.complete:
            return
        exchange.set_alarm(0, None)
        request = exchange.request
        request.body, exchange.body = b"".join(exchange.body), []
        try:
            outcome = self.host.routes.respond(request, exchange.ident)
        except Exception as error:  # our bug: the client gets an answer, the log gets the place
            self.host.report(error)
            outcome = refusal(BROKEN, request.family, exchange.ident)
        if isinstance(outcome, Reply):
            exchange.reply(outcome)
        else:
            exchange.run(outcome)

    def _refuse_trailers(self, event: TrailersReceived) -> None:
        exchange = self._exchanges.get(event.stream_id or 0)
        if exchange is not None and not exchange.complete:
            exchange.refuse(_TRAILERS)

    def _cancel(self, event: StreamReset) -> None:
        if not event.remote_reset:
            self._toll.charge(H2_RESET_TOLL)  # what makes us reset a stream is a reset too
        self._linger.ended(event.stream_id or 0)
        exchange = self._exchanges.get(event.stream_id or 0)
        if exchange is not None and not exchange.gone:
            exchange.give_up()

    def _screen(self, request: Request) -> Reply | None:
        try:
            return self.host.routes.screen(request)
        except Exception as error:  # our bug
            self.host.report(error)
            return refusal(BROKEN, request.family)

    # What goes out.

    def _push_frame(self, exchange: Exchange) -> bool:
        """Send one frame of an exchange. True if there is more, and room for it perhaps."""
        pending = exchange.pending
        if not self._alive(exchange) or not (pending or exchange.complete):
            return False
        stream = exchange.stream_id
        room = 0 if self._paused else self._frames.room(stream)
        if pending and room <= 0:
            if exchange not in self._waiting:
                self._waiting.append(exchange)
            exchange.took(0, self._patience.write_s)
            return False
        room = min(room, self._frames.max_outbound_frame_size, H2_FRAME_BYTES)
        part = bytes(pending[:room])
        del pending[:room]
        done = exchange.complete and not pending
        if part or not exchange.broken:
            self._frames.send_part(stream, part, last=done and not exchange.broken)
            self._toll.credit(1)
        exchange.took(len(part), self._patience.write_s)
        if done:
            if exchange.broken:
                self._frames.reset_stream(stream, ErrorCodes.INTERNAL_ERROR)
            self._end(exchange)
        return bool(pending)

    def _pump(self) -> None:
        """Send what waits, a frame of each exchange in turn."""
        moved = True
        while moved and not self._closed:
            moved = False
            for _ in range(len(self._waiting)):
                exchange = self._waiting.popleft()
                if self._push_frame(exchange):  # if it is blocked, it waits again already
                    self._waiting.append(exchange)
                    moved = True
        self._flush()

    def _end(self, exchange: Exchange) -> None:
        """The answer is out. What the client still sends of its request is not wanted."""
        if self._alive(exchange):
            self._linger.add(exchange.stream_id)
        exchange.leave()

    def _refuse_rest(self, stream: int) -> None:
        if not self._closed and self._frames.is_open(stream):
            self._frames.reset_stream(stream, ErrorCodes.NO_ERROR)
            self._flush()

    def _alive(self, exchange: Exchange) -> bool:
        """True while the stream takes frames. A reset may have been read and not yet told."""
        return not (exchange.gone or self._closed) and self._frames.is_open(exchange.stream_id)

    def _flush(self) -> None:
        if not self._reading and self._transport is not None and not self._closed:
            data = self._frames.data_to_send()
            if data:
                self._transport.write(data)

    def _say_goaway(self, code: ErrorCodes) -> None:
        if self._transport is not None and not self._closed:
            self._transport.write(self._frames.data_to_send() + self._frames.goaway(code))

    def _hang_up(self) -> None:
        if self._closed or self._transport is None:
            return
        reading, self._reading = self._reading, False
        self._flush()
        self._reading = reading
        self._closed = True
        self._give_up_all()
        self._transport.close()
        self._set_alarm(self._patience.write_s, self._abort)

    def _give_up_all(self) -> None:
        self._waiting.clear()
        self._linger.close()
        for exchange in list(self._exchanges.values()):
            exchange.give_up()

    def _rest(self) -> None:
        """No request is there: wait for the next one, or go."""
        if self._closed:
            return
        if self._last:
            self._say_goaway(ErrorCodes.NO_ERROR)
            self._hang_up()
        elif not self._paused:
            self._set_alarm(self._patience.idle_s, self.close)

    def _abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def _set_alarm(self, seconds: float, ring: object) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        if callable(ring):
            self._alarm = self.loop.call_later(seconds, ring)
