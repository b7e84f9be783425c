# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The h2 library with our bounds: what we let a client make us keep, and what we tell it."""

from collections.abc import Iterable
from typing import Final

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.settings import SettingCodes, Settings
from hpack import NeverIndexedHeaderTuple
from hyperframe.frame import GoAwayFrame

from bastide.core.limits import (
    H2_CLOSED_STREAMS_MAX,
    H2_HEADER_TABLE_BYTES_MAX,
    H2_STREAMS_MAX,
    H2_WINDOW_BYTES,
    REQUEST_HEADER_BYTES_MAX,
)
from bastide.gateway.reply import Field

__all__ = ["Frames"]

_INDEXED: Final = frozenset(
    (
        ":status",
        "content-type",
        "x-content-type-options",
        "cache-control",
        "content-security-policy",
    )
)


class Frames(H2Connection):
    """Server side of one connection; its settings wait to be sent."""

    MAX_CLOSED_STREAMS = H2_CLOSED_STREAMS_MAX

    def __init__(self) -> None:
        super().__init__(
            H2Configuration(
                client_side=False,
                # What we send is made by us; validating it would cost as much as making it.
                validate_outbound_headers=False,
                normalize_outbound_headers=False,
            )
        )
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

    def send_head(self, stream: int, fields: Iterable[Field], *, last: bool) -> None:
        """Send the head of an answer; `last` if there is no body."""
        # What is different in every answer would only push the rest out of the client's table.
        heads = [
            field if field[0] in _INDEXED else NeverIndexedHeaderTuple(*field) for field in fields
        ]
        # A client may offer any size for its table; ours of what is in it stays small.
        self.encoder.header_table_size = min(
            self.encoder.header_table_size, H2_HEADER_TABLE_BYTES_MAX
        )
        self.send_headers(stream, heads, end_stream=last)

    def is_open(self, stream: int) -> bool:
        """True while a stream takes frames."""
        found = self.streams.get(stream)
        return found is not None and not found.closed

    def goaway(self, code: ErrorCodes) -> bytes:
        """A GOAWAY after which what runs may end; h2's own would end it (python-hyper/h2)."""
        return GoAwayFrame(0, self.highest_inbound_stream_id, int(code)).serialize()
