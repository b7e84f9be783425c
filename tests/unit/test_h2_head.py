# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Header blocks without a table, read by two decoders that others wrote, and their frames by h2."""

import h2.connection
import h2.events
import h2.settings
import pytest
from hpack import Decoder
from hypothesis import given
from hypothesis import strategies as st

from bastide.gateway.h2_frames import Frames
from bastide.gateway.h2_head import CONTINUE_BLOCK, NO_TABLE, answer_block
from bastide.gateway.reply import SECURITY

DATE = "Thu, 26 Nov 2026 16:00:00 GMT"
_TEXT = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=400)
_NAME = st.text(st.sampled_from("abcdefghijklmnopqrstuvwxyz-0123456789"), min_size=1, max_size=40)


@pytest.mark.attacks("C167")
@given(
    status=st.integers(200, 599),
    media=_TEXT,
    headers=st.lists(st.tuples(_NAME, _TEXT), max_size=6),
    length=st.none() | st.integers(0, 2**53),
)
def test_a_block_reads_as_what_was_written(
    status: int, media: str, headers: list[tuple[str, str]], length: int | None
) -> None:
    block = answer_block(status, media, tuple(headers), "01J", DATE, length)
    decoder = Decoder()
    assert decoder.decode(NO_TABLE + block) == [
        (":status", str(status)),
        ("content-type", media),
        *SECURITY,
        ("date", DATE),
        ("x-request-id", "req_01J"),
        ("request-id", "req_01J"),
        ("x-amzn-requestid", "req_01J"),
        *headers,
        *([] if length is None else [("content-length", str(length))]),
    ]
    assert not decoder.header_table.dynamic_entries  # so each block can be read alone
    assert decoder.decode(CONTINUE_BLOCK) == [(":status", "100")]


def connected(**settings: int) -> tuple[Frames, h2.connection.H2Connection, int]:
    """A server, a client of another make, and the stream of its request."""
    server, client = Frames(), h2.connection.H2Connection()
    client.local_settings = h2.settings.Settings(
        initial_values={
            getattr(h2.settings.SettingCodes, name): value for name, value in settings.items()
        }
    )
    client.initiate_connection()
    fields = [(":method", "GET"), (":path", "/"), (":scheme", "http"), (":authority", "x")]
    client.send_headers(1, fields, end_stream=True)
    client.receive_data(server.data_to_send())
    server.receive_data(client.data_to_send())
    return server, client, 1


@pytest.mark.attacks("C167")
@pytest.mark.parametrize("table_bytes", [0, 100, 4_096, 1 << 20])
def test_a_client_with_any_table_reads_the_frames(table_bytes: int) -> None:
    server, client, stream = connected(HEADER_TABLE_SIZE=table_bytes)
    server.send_continue(stream)
    server.send_head(stream, answer_block(200, "text/plain", (), "01J", DATE, 5), last=False)
    server.send_part(stream, b"Hel", last=False)
    server.send_part(stream, b"lo", last=True)
    events = client.receive_data(server.data_to_send())
    kinds = [type(event) for event in events]
    assert h2.events.InformationalResponseReceived in kinds
    assert h2.events.ResponseReceived in kinds
    assert kinds[-1] is h2.events.StreamEnded
    said = b"".join(row.data or b"" for row in events if isinstance(row, h2.events.DataReceived))
    assert said == b"Hello"
    assert not server.is_open(stream)
    # Neither side has put anything into a table: no block needs an earlier one.
    assert not client.decoder.header_table.dynamic_entries
    assert not server.encoder.header_table.dynamic_entries


def test_what_is_sent_counts_in_the_windows() -> None:
    server, client, stream = connected(INITIAL_WINDOW_SIZE=10)
    server.send_head(stream, answer_block(200, "text/plain", (), "01J", DATE, None), last=False)
    assert server.room(stream) == 10
    server.send_part(stream, b"x" * 10, last=False)
    assert server.room(stream) == server.local_flow_control_window(stream) == 0
    client.receive_data(server.data_to_send())
    client.increment_flow_control_window(7, stream)
    server.receive_data(client.data_to_send())
    assert server.room(stream) == server.local_flow_control_window(stream) == 7


def test_a_head_that_is_too_large_for_a_frame_goes_in_several() -> None:
    server, client, stream = connected()
    long = "x" * 40_000
    client.max_inbound_frame_size = 16_384
    block = answer_block(200, "text/plain", (("x-long", long),), "01J", DATE, None)
    server.send_head(stream, block, last=True)
    events = client.receive_data(server.data_to_send())
    heads = [row for row in events if isinstance(row, h2.events.ResponseReceived)]
    assert (b"x-long", long.encode()) in (heads[0].headers or ())
    assert any(isinstance(row, h2.events.StreamEnded) for row in events)


def test_the_order_of_h2s_frames_and_ours_is_that_of_the_calls() -> None:
    server, _, stream = connected()
    server.send_head(stream, answer_block(200, "text/plain", (), "01J", DATE, None), last=False)
    server.reset_stream(stream)
    server.data_to_send()
    server.ping(b"12345678")
    sent = server.data_to_send()
    assert sent[3] == 6  # type PING
    server, _, stream = connected()
    server.ping(b"12345678")
    server.send_head(stream, answer_block(200, "text/plain", (), "01J", DATE, None), last=False)
    sent = server.data_to_send()
    kinds = []
    while sent:
        kinds.append(sent[3])
        sent = sent[9 + int.from_bytes(sent[:3]) :]
    assert kinds[-2:] == [6, 1]
