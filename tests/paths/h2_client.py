# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""A client of HTTP/2 that does what it is told, also what no good client does."""

import socket
from collections import defaultdict
from typing import Any

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.settings

from paths.gateway_rig import KEY

Fields = list[tuple[str, str]]


def asking(body: bytes, **changes: str) -> Fields:
    """The head of a chat request; `changes` by field name, `_` for `-`, empty to leave it out."""
    fields = {
        ":method": "POST",
        ":path": "/v1/chat/completions",
        ":scheme": "http",
        ":authority": "gateway.test",
        "authorization": f"Bearer {KEY}",
        "content-type": "application/json",
        "content-length": str(len(body)),
    }
    for name, value in changes.items():
        long = name.replace("_", "-")
        fields[f":{long}" if f":{long}" in fields else long] = value
    return [(name, value) for name, value in fields.items() if value]


class Client:
    """One connection. It gives the server room to send unless `generous` is False."""

    def __init__(
        self, connected: socket.socket, *, generous: bool = True, window: int | None = None
    ) -> None:
        self.socket = connected
        self.socket.settimeout(20)
        self.generous = generous
        config = h2.config.H2Configuration(
            validate_outbound_headers=False, normalize_outbound_headers=False
        )
        self.frames = h2.connection.H2Connection(config)
        if window is not None:
            self.frames.local_settings = h2.settings.Settings(
                initial_values={h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: window}
            )
        self.frames.initiate_connection()
        self.heads: dict[int, dict[str, str]] = {}
        self.bodies: dict[int, bytes] = defaultdict(bytes)
        self.informed: list[int] = []
        self.ended: set[int] = set()
        self.resets: dict[int, int] = {}
        self.goaway: int | None = None
        self.closed = False
        self.settings: dict[Any, int] = {}
        self.send()

    def send(self, more: bytes = b"") -> None:
        self.socket.sendall(self.frames.data_to_send() + more)

    def ask(self, body: bytes, fields: Fields | None = None, *, end: bool = True) -> int:
        """Begin a request; return its stream."""
        stream = self.frames.get_next_available_stream_id()
        self.frames.send_headers(stream, asking(body) if fields is None else fields)
        if end:
            self.frames.send_data(stream, body, end_stream=True)
        self.send()
        return stream

    def get(self, path: str = "/healthz") -> int:
        stream = self.frames.get_next_available_stream_id()
        fields = [(":method", "GET"), (":path", path), (":scheme", "http"), (":authority", "x")]
        self.frames.send_headers(stream, fields, end_stream=True)
        self.send()
        return stream

    def read(self) -> None:
        """Take what comes next."""
        try:
            data = self.socket.recv(65_536)
        except ConnectionError:
            data = b""
        if not data:
            self.closed = True
            return
        for event in self.frames.receive_data(data):
            self._take(event)
        try:
            self.send()
        except OSError:
            self.closed = True

    def until(self, *streams: int) -> None:
        """Read until these are over, one way or another."""
        while not self.closed and not all(s in self.ended or s in self.resets for s in streams):
            self.read()

    def until_closed(self) -> None:
        while not self.closed:
            self.read()

    def status(self, stream: int) -> int:
        self.until(stream)
        return int(self.heads[stream][":status"])

    def _take(self, event: h2.events.Event) -> None:
        match event:
            case h2.events.InformationalResponseReceived():
                self.informed.append(event.stream_id)
            case h2.events.ResponseReceived():
                self.heads[event.stream_id] = {
                    name.decode(): value.decode() for name, value in event.headers
                }
            case h2.events.DataReceived():
                self.bodies[event.stream_id] += event.data
                if self.generous and event.flow_controlled_length:
                    self.frames.acknowledge_received_data(
                        event.flow_controlled_length, event.stream_id
                    )
            case h2.events.StreamEnded():
                self.ended.add(event.stream_id)
            case h2.events.StreamReset():
                self.resets[event.stream_id] = int(event.error_code)
            case h2.events.ConnectionTerminated():
                self.goaway = int(event.error_code)
            case h2.events.RemoteSettingsChanged():
                for code, change in event.changed_settings.items():
                    self.settings[code] = change.new_value
            case _:
                pass
