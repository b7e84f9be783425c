# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""A caller of HTTP/2, for requests that are read as a whole."""

import asyncio
import functools
import time
from typing import Any

import h2.config
import h2.connection
import h2.events

ROOM_BYTES = 1 << 30  # that the server may send before it hears from us


@functools.lru_cache
def in_h2(request: bytes) -> tuple[list[tuple[str, str]], bytes]:
    """The fields and the body of a request of HTTP/1.1."""
    head, _, body = request.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    method, path, _ = first.split(" ")
    fields = dict(line.split(": ", 1) for line in lines)
    host = fields.pop("Host")
    begin = [(":method", method), (":path", path), (":scheme", "http"), (":authority", host)]
    return [*begin, *((name.lower(), value) for name, value in fields.items())], body


class H2Caller(asyncio.Protocol):
    """One connection; several may `ask` at once, each on a stream of its own."""

    def __init__(self) -> None:
        config = h2.config.H2Configuration(
            validate_inbound_headers=False, validate_outbound_headers=False
        )
        self._frames = h2.connection.H2Connection(config)
        self._done: dict[int, asyncio.Future[None]] = {}
        self._refused: set[int] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport
        self._frames.initiate_connection()
        self._frames.increment_flow_control_window(ROOM_BYTES)
        self.transport.write(self._frames.data_to_send())

    def connection_lost(self, exc: Exception | None) -> None:
        for done in self._done.values():
            if not done.done():
                done.set_exception(ConnectionError("the server hung up"))

    def data_received(self, data: bytes) -> None:
        for event in self._frames.receive_data(data):
            if isinstance(event, h2.events.ResponseReceived):
                if (b":status", b"200") not in event.headers:
                    self._refused.add(event.stream_id)
            elif isinstance(event, h2.events.StreamEnded):
                self._done[event.stream_id].set_result(None)
            elif isinstance(event, h2.events.StreamReset):
                self._done[event.stream_id].set_exception(ConnectionError("a stream was reset"))
        if out := self._frames.data_to_send():
            self.transport.write(out)

    async def ask(self, request: bytes) -> tuple[float, float]:
        """Returns twice the seconds to the end of the answer."""
        fields, body = in_h2(request)
        began, stream = time.perf_counter(), self._frames.get_next_available_stream_id()
        done = self._done[stream] = asyncio.get_running_loop().create_future()
        self._frames.send_headers(stream, fields)
        self._frames.send_data(stream, body, end_stream=True)
        self.transport.write(self._frames.data_to_send())
        try:
            await done
        finally:
            del self._done[stream]
        if stream in self._refused:
            raise RuntimeError("the server did not answer 200")
        seconds = time.perf_counter() - began
        return seconds, seconds
