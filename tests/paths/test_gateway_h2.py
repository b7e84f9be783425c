# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""HTTP/2 without TLS: answers, streams side by side, slow readers, resets and ends."""

import dataclasses
import json
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from h2.errors import ErrorCodes
from h2.settings import SettingCodes

from bastide.core.limits import (
    H2_BODIES_BYTES_MAX,
    H2_FRAME_BYTES,
    H2_STREAMS_MAX,
    H2_WINDOW_BYTES,
    REQUEST_BODY_BYTES_MAX,
    REQUEST_HEADER_BYTES_MAX,
)
from bastide.gateway.connection import Patience
from paths.gateway_rig import KEY, MODEL, NARROW_KEY, STRANGE_KEY, Rig, bugs, gateway, make_snapshot
from paths.h2_client import Client, asking

ASKED: dict[str, Any] = {"model": MODEL, "messages": [{"role": "user", "content": "Hi"}]}
BODY = json.dumps(ASKED).encode()
STREAM_BODY = json.dumps({**ASKED, "stream": True}).encode()


@pytest.fixture
def rig() -> Iterator[Rig]:
    with gateway() as made:
        yield made
        assert bugs(made) == []


@pytest.fixture
def client(rig: Rig) -> Iterator[Client]:
    with rig.connect() as connected:
        yield Client(connected)


def test_an_answer_whole_and_streamed(rig: Rig, client: Client) -> None:
    whole, streamed = client.ask(BODY), client.ask(STREAM_BODY)
    client.until(whole, streamed)
    answer = json.loads(client.bodies[whole])
    assert answer["choices"][0]["message"]["content"] == "Hello wörld!"
    assert client.heads[whole]["content-length"] == str(len(client.bodies[whole]))
    assert client.heads[whole]["x-bastide-receipt"].startswith("r_")
    assert client.bodies[streamed].endswith(b"data: [DONE]\n\n")
    assert client.heads[streamed]["content-type"].startswith("text/event-stream")
    assert {whole, streamed} <= client.ended
    assert client.resets == {}
    assert len(rig.control.receipts) == 2


@pytest.mark.attacks("C175")
def test_keys_that_share_a_connection_stay_apart(rig: Rig, client: Client) -> None:
    """Who a connection's last request came from is remembered, and is no other key's caller."""
    keys = [KEY, NARROW_KEY, KEY, STRANGE_KEY, NARROW_KEY, KEY] * 2
    heads = [asking(BODY, authorization=f"Bearer {key}") for key in keys]
    streams = [client.ask(BODY, fields) for fields in heads]  # all of them run at once
    client.until(*streams)
    expected = {KEY: "200", NARROW_KEY: "403", STRANGE_KEY: "401"}
    assert [client.heads[row][":status"] for row in streams] == [expected[key] for key in keys]
    assert {row.key for row in rig.control.receipts} == {"k_wide"}
    without_keys = dataclasses.replace(make_snapshot(version=2), keys={})
    rig.do(lambda: rig.control.publish(without_keys))
    assert client.status(client.ask(BODY)) == 401  # a revocation counts on an open connection, too


def test_httpx_speaks_it(rig: Rig) -> None:
    with httpx.Client(http1=False, http2=True) as http:
        answer = http.post(
            f"http://127.0.0.1:{rig.port}/v1/chat/completions",
            content=BODY,
            headers={"authorization": f"Bearer {KEY}", "content-type": "application/json"},
        )
    assert (answer.http_version, answer.status_code) == ("HTTP/2", 200)
    assert answer.json()["model"] == MODEL


def test_curl_speaks_it_by_prior_knowledge(rig: Rig) -> None:
    done = subprocess.run(
        [
            *("curl", "-sS", "--http2-prior-knowledge", "-N", "--data-binary", "@-"),
            *("-H", f"Authorization: Bearer {KEY}", "-H", "Content-Type: application/json"),
            *("-w", "%{http_version} %{http_code}"),
            f"http://127.0.0.1:{rig.port}/v1/chat/completions",
        ],
        input=STREAM_BODY,
        capture_output=True,
        check=True,
    )
    assert done.stdout.endswith(b"data: [DONE]\n\n2 200")


def test_http1_on_the_same_port_goes_on(rig: Rig) -> None:
    with httpx.Client() as http:
        answer = http.get(f"http://127.0.0.1:{rig.port}/healthz")
    assert (answer.http_version, answer.status_code) == ("HTTP/1.1", 200)


def test_a_preface_in_pieces(rig: Rig) -> None:
    with rig.connect() as connected:
        held = bytearray()

        class Slow:
            def settimeout(self, seconds: float) -> None:
                connected.settimeout(seconds)

            def sendall(self, data: bytes) -> None:
                held.extend(data)

            def recv(self, count: int) -> bytes:
                for byte in held:
                    connected.sendall(bytes((byte,)))
                held.clear()
                return connected.recv(count)

        client = Client(Slow())  # type: ignore[arg-type]
        assert client.status(client.get()) == 200


def test_what_the_server_promises_a_client(client: Client) -> None:
    client.until(client.get())
    assert client.settings[SettingCodes.MAX_CONCURRENT_STREAMS] == H2_STREAMS_MAX
    assert client.settings[SettingCodes.MAX_HEADER_LIST_SIZE] == REQUEST_HEADER_BYTES_MAX
    assert client.settings.get(SettingCodes.ENABLE_PUSH, 0) == 0


def test_streams_do_not_wait_for_each_other(rig: Rig, client: Client) -> None:
    rig.engine.hangs_after = 1
    first = client.ask(STREAM_BODY)
    while b"Hel" not in client.bodies[first]:
        client.read()
    assert client.status(client.get()) == 200
    assert first not in client.ended


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"authorization": f"Bearer {STRANGE_KEY}"}, 401),
        ({"authorization": ""}, 401),
        ({"path": "/nowhere"}, 404),
        ({"path": "*"}, 404),
        ({"method": "DELETE"}, 405),
        ({"content_type": "text/plain"}, 415),
        ({"expect": "a miracle"}, 417),
        ({"path": "/v1/chat/completions\x7f"}, 400),
        ({"x_long": "x" * REQUEST_HEADER_BYTES_MAX}, 431),
        ({"content_length": str(REQUEST_BODY_BYTES_MAX + 1)}, 413),
    ],
    ids=str,
)
def test_a_refusal_by_the_head_ends_the_stream_and_nothing_else(
    rig: Rig, client: Client, changes: dict[str, str], status: int
) -> None:
    stream = client.ask(BODY, asking(BODY, **changes), end=False)
    assert client.status(stream) == status
    assert "error" in json.loads(client.bodies[stream])
    # It has a while to stop sending, and then need not send the rest (RFC 9113, 8.1).
    assert stream not in client.resets
    while stream not in client.resets:
        client.read()
    assert client.resets[stream] == ErrorCodes.NO_ERROR
    assert client.status(client.ask(BODY)) == 200


@pytest.mark.parametrize("size", [100, 100_000, 20_000_000])
def test_curl_shows_a_refusal_while_it_sends(rig: Rig, tmp_path: Path, size: int) -> None:
    """With a reset at once, it shows nothing of the two larger ones: status 92."""
    (tmp_path / "body").write_bytes(b"x" * size)
    told = subprocess.run(
        ["curl", "-sS", "--http2-prior-knowledge", "--data-binary", f"@{tmp_path}/body",
         "-H", "Content-Type: application/json", "-w", "%{http_code}",
         f"{rig.url}/v1/chat/completions"],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert told.stdout.endswith("413" if size > REQUEST_BODY_BYTES_MAX else "401")


def test_who_goes_on_sending_after_a_refusal_is_reset(rig: Rig, client: Client) -> None:
    unknown = asking(b"", content_length="", authorization="Bearer x")
    # 1. Bytes: a window's worth is read and forgotten, and no more.
    stream = client.ask(b"", unknown, end=False)
    assert client.status(stream) == 401
    sent = 0
    while stream not in client.resets:
        room = min(client.frames.local_flow_control_window(stream), 16_384)
        if room and sent <= H2_WINDOW_BYTES:
            client.frames.send_data(stream, b"x" * room)
            client.send()
            sent += room
        else:
            client.read()
    assert sent > H2_WINDOW_BYTES
    # 2. Number: the oldest makes room.
    streams = [client.ask(b"", unknown, end=False) for _ in range(17)]
    client.until(*streams)
    while not client.resets.keys() & set(streams):
        client.read()
    assert client.resets[streams[0]] == ErrorCodes.NO_ERROR
    # 3. Who ends in time is not reset, and nothing is left of it.
    client.frames.send_data(streams[-1], b"", end_stream=True)
    client.send()
    while len(client.resets) < 17:  # the first, and 16 of these in time
        client.read()
    assert streams[-1] not in client.resets
    assert client.status(client.ask(BODY)) == 200


def test_a_refusal_by_the_head_says_its_id_where_the_family_does(client: Client) -> None:
    stream = client.ask(b"{}", asking(b"{}", path="/v1/messages", authorization="Bearer x"))
    client.until(stream)
    told = json.loads(client.bodies[stream])
    assert client.heads[stream][":status"] == "401"
    assert told["request_id"] == client.heads[stream]["request-id"]


def test_two_keys_are_refused(client: Client) -> None:
    fields = [*asking(BODY), ("authorization", f"Bearer {STRANGE_KEY}")]
    assert client.status(client.ask(BODY, fields)) == 400


def test_a_body_that_grows_too_large_and_trailers(client: Client) -> None:
    growing = client.ask(BODY, asking(BODY, content_length=""), end=False)
    sent = 0
    while sent <= REQUEST_BODY_BYTES_MAX and growing not in client.heads:
        room = min(client.frames.local_flow_control_window(growing), 16_384)
        if room:
            client.frames.send_data(growing, b"x" * room)
            client.send()
            sent += room
        else:
            client.read()
    assert client.status(growing) == 413
    trailing = client.ask(BODY, end=False)
    client.frames.send_data(trailing, BODY)
    client.frames.send_headers(trailing, [("x-late", "1")], end_stream=True)
    client.send()
    assert client.status(trailing) == 400


@pytest.mark.attacks("C80")
def test_bodies_that_never_end_are_bounded_together(rig: Rig, client: Client) -> None:
    size = REQUEST_BODY_BYTES_MAX - 1
    streams = []
    for _ in range(H2_BODIES_BYTES_MAX // size + 1):
        stream = client.ask(BODY, asking(BODY, content_length=""), end=False)
        streams.append(stream)
        sent = 0
        while sent < size and stream not in client.resets:
            room = min(client.frames.local_flow_control_window(stream), 16_384, size - sent)
            if room:
                client.frames.send_data(stream, b"x" * room)
                client.send()
                sent += room
            else:
                client.read()
    client.until(streams[-1])
    assert client.resets == {streams[-1]: ErrorCodes.REFUSED_STREAM}


def test_expect_is_answered(client: Client) -> None:
    stream = client.ask(BODY, asking(BODY, expect="100-continue"), end=False)
    while not client.informed:
        client.read()
    client.frames.send_data(stream, BODY, end_stream=True)
    client.send()
    assert client.status(stream) == 200


def test_head_has_no_body(client: Client) -> None:
    stream = client.frames.get_next_available_stream_id()
    fields = [(":method", "HEAD"), (":path", "/healthz"), (":scheme", "http"), (":authority", "x")]
    client.frames.send_headers(stream, fields, end_stream=True)
    client.send()
    assert client.status(stream) == 200
    assert client.bodies[stream] == b""


# Slow readers


@pytest.mark.attacks("C80")
def test_a_slow_reader_blocks_its_own_stream_only(rig: Rig) -> None:
    rig.engine.words = ["x" * 1_000] * 200
    with rig.connect() as connected:
        client = Client(connected, generous=False, window=4_096)
        slow = client.ask(STREAM_BODY)
        while len(client.bodies[slow]) < 4_096:
            client.read()
        # Its answer stands still: the engine is not asked for more than what waits.
        assert rig.engine.running == 1
        assert rig.do(lambda: len(rig.engine.requests)) == 1
        client.frames.increment_flow_control_window(1 << 20)
        rig.engine.words = ["short"]
        other = client.ask(BODY)
        client.until(other)
        assert b"short" in client.bodies[other]
        assert slow not in client.ended
        client.frames.increment_flow_control_window(1 << 20, slow)
        client.send()
        client.until(slow)
        assert slow in client.ended
        assert client.bodies[slow].count(b"x" * 1_000) == 200


def test_a_client_that_takes_nothing_loses_its_answer(rig: Rig) -> None:
    with gateway(Patience(write_s=0.1)) as other, other.connect() as connected:
        client = Client(connected, generous=False, window=0)
        stream = client.ask(STREAM_BODY)
        client.until(stream)
        assert client.resets[stream] == ErrorCodes.CANCEL
        other.until(lambda: other.engine.running == 0)
        other.until(lambda: other.control.receipts)
        assert other.control.receipts[0].finish == "cancelled"


def test_a_window_that_opens_byte_by_byte_does_not_help(rig: Rig) -> None:
    with gateway(Patience(write_s=0.3)) as other, other.connect() as connected:
        other.engine.words = ["x" * 100_000]
        client = Client(connected, generous=False, window=0)
        stream = client.ask(BODY)
        while stream not in client.resets:
            client.frames.increment_flow_control_window(1, stream)
            client.send()
            client.read()
        assert client.resets[stream] == ErrorCodes.CANCEL
        assert 0 < len(client.bodies[stream]) < H2_FRAME_BYTES


def test_a_client_that_asks_and_never_reads_costs_no_memory() -> None:
    with gateway(Patience(write_s=1.0)) as rig, rig.connect() as connected:
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        client = Client(connected, window=(1 << 31) - 1)
        client.frames.increment_flow_control_window((1 << 31) - 1 - 65_535)
        client.send()
        connected.settimeout(20)
        asked = 0
        with pytest.raises(OSError):  # at first it is not read any more, and then cut off
            while True:
                stream = client.frames.get_next_available_stream_id()
                fields = [(":method", "GET"), (":path", "/nowhere" + "x" * 90)]
                fields += [(":scheme", "http"), (":authority", "x")]
                client.frames.send_headers(stream, fields, end_stream=True)
                client.frames.streams.pop(stream)
                client.send()
                asked += 1
        # What is answered and not read stays within the buffers of the two sockets and ours.
        assert asked > 100
        rig.until(lambda: rig.server.connections == 0)


def test_large_answers_take_turns(rig: Rig) -> None:
    rig.engine.words = ["y" * 200_000]
    with rig.connect() as connected:
        client = Client(connected)
        streams = [client.ask(BODY) for _ in range(2)]
        # Both want to be sent before anything is read, so neither is through before the other.
        rig.until(lambda: len(rig.engine.requests) == 2)
        order: list[int] = []
        while not set(streams) <= client.ended:
            before = {stream: len(client.bodies[stream]) for stream in streams}
            client.read()
            order += [s for s in streams if len(client.bodies[s]) > before[s]]
        assert order.index(streams[1]) < len(order) - 1 - order[::-1].index(streams[0])
        assert all(b"y" * 200_000 in client.bodies[stream] for stream in streams)
