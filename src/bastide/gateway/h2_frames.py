# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The h2 library with our bounds: what we let a client make us keep, and what we tell it.

What comes is h2's: it reads, checks and keeps the state of each stream. What goes, heads and data,
is written here, because h2 takes a tenth of a millisecond for the two frames of an answer
(docs/adr/0047-answers-over-http2.md). Each function below tells h2's state machine what it sends,
and takes what it sends from h2's windows, so h2 goes on to know every stream.
"""

from struct import Struct
from typing import Final

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.settings import SettingCodes, Settings
from h2.stream import H2Stream, StreamInputs
from hyperframe.frame import GoAwayFrame

from bastide.core.limits import (
    H2_CLOSED_STREAMS_MAX,
    H2_STREAMS_MAX,
    H2_WINDOW_BYTES,
    REQUEST_HEADER_BYTES_MAX,
)
from bastide.gateway.h2_head import CONTINUE_BLOCK, NO_TABLE

__all__ = ["Frames"]

_HEAD: Final = Struct("!HBBBI").pack  # length: 16 bits and 8; type, flags, stream
_DATA, _HEADERS, _CONTINUATION = 0, 1, 9
_END_STREAM, _END_HEADERS = 0x1, 0x4


class Frames(H2Connection):
    """Server side of one connection; its settings wait to be sent."""

    MAX_CLOSED_STREAMS = H2_CLOSED_STREAMS_MAX

    def __init__(self) -> None:
        self._out = bytearray()
        self._told = False  # that we use no table of the client's
        super().__init__(H2Configuration(client_side=False))
        self.local_settings = Settings(
            client=False,
            initial_values={
                SettingCodes.MAX_CONCURRENT_STREAMS: H2_STREAMS_MAX,
                SettingCodes.MAX_HEADER_LIST_SIZE: REQUEST_HEADER_BYTES_MAX,
                SettingCodes.INITIAL_WINDOW_SIZE: H2_WINDOW_BYTES,
            },
        )
        self.initiate_connection()
        self.increment_flow_control_window(H2_WINDOW_BYTES)

    def send_head(self, stream: int, block: bytes, *, last: bool) -> None:
        """Send the head of an answer; `last` if there is no body."""
        state = self.streams[stream].state_machine
        state.process_input(StreamInputs.SEND_HEADERS)
        if last:
            state.process_input(StreamInputs.SEND_END_STREAM)
        self._write_block(stream, block, _END_STREAM if last else 0)

    def send_continue(self, stream: int) -> None:
        """Ask for the body of a request (``100 Continue``)."""
        self.streams[stream].state_machine.process_input(StreamInputs.SEND_INFORMATIONAL_HEADERS)
        self._write_block(stream, CONTINUE_BLOCK, 0)

    def send_part(self, stream: int, data: bytes, *, last: bool) -> None:
        """Send a part of an answer for which there is `room`, on a stream that is open."""
        size, found = len(data), self.streams[stream]
        if last:
            found.state_machine.process_input(StreamInputs.SEND_END_STREAM)
        found.outbound_flow_control_window -= size
        self.outbound_flow_control_window -= size
        head = _HEAD(size >> 8, size & 0xFF, _DATA, _END_STREAM if last else 0, stream)
        self._write(head, data)

    def room(self, stream: int) -> int:
        """How many bytes a client takes on a stream that is open."""
        return min(
            self.outbound_flow_control_window, self.streams[stream].outbound_flow_control_window
        )

    def data_to_send(self, amount: int | None = None) -> bytes:
        """All that is to be sent, in its order."""
        self._out += super().data_to_send()
        data = bytes(self._out)
        self._out.clear()
        return data

    def _write_block(self, stream: int, block: bytes, flags: int) -> None:
        if not self._told:
            self._told, block = True, NO_TABLE + block
        kind, most = _HEADERS, self.max_outbound_frame_size
        while len(block) > most:
            self._write(_HEAD(most >> 8, most & 0xFF, kind, flags, stream), block[:most])
            kind, flags, block = _CONTINUATION, 0, block[most:]
        size = len(block)
        self._write(_HEAD(size >> 8, size & 0xFF, kind, flags | _END_HEADERS, stream), block)

    def _write(self, head: bytes, payload: bytes) -> None:
        """Write a frame of ours after what h2 has written."""
        self._out += super().data_to_send()
        self._out += head
        self._out += payload

    def is_open(self, stream: int) -> bool:
        """True while a stream takes frames."""
        found: H2Stream | None = self.streams.get(stream)
        return found is not None and not found.closed

    def goaway(self, code: ErrorCodes) -> bytes:
        """A GOAWAY after which what runs may end; h2's own would end it (python-hyper/h2)."""
        return GoAwayFrame(0, self.highest_inbound_stream_id, int(code)).serialize()
