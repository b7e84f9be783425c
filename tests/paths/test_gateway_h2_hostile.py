# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""HTTP/2 from those who mean harm: floods, bombs, lies about the protocol, and noise.

Each case ends with GOAWAY or a lost connection, nothing is left running, and the gateway goes on.
"""

import json
import random
import socket
from collections.abc import Callable, Iterator

import pytest
from h2.errors import ErrorCodes
from h2.settings import SettingCodes
from hpack import Encoder
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    PriorityFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bastide.core.limits import (
    H2_CLOSED_STREAMS_MAX,
    H2_STREAMS_MAX,
    H2_TOLL_MAX,
)
from bastide.gateway.h2_frames import Frames
from bastide.gateway.h2_head import answer_block
from paths.gateway_rig import MODEL, Rig, bugs, gateway
from paths.h2_client import Client, asking

BODY = json.dumps({"model": MODEL, "messages": [{"role": "user", "content": "Hi"}]}).encode()
STREAM_BODY = BODY[:-1] + b', "stream": true}'
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
MANY = 5_000  # far more than a burst may have


@pytest.fixture(scope="module")
def shared() -> Iterator[Rig]:
    with gateway() as made:
        yield made
        assert bugs(made) == []


@pytest.fixture
def rig(shared: Rig) -> Iterator[Rig]:
    shared.engine.hangs_after = None
    yield shared
    shared.until(lambda: shared.engine.running == 0)
    shared.until(lambda: shared.server.connections == 0)
    with shared.connect() as connected:
        client = Client(connected)
        assert client.status(client.get()) == 200


def head(stream: int, *, end_stream: bool = True, coder: Encoder | None = None) -> HeadersFrame:
    frame = HeadersFrame(stream, (coder or Encoder()).encode(asking(BODY, content_length="")))
    frame.flags |= {"END_HEADERS"}
    if end_stream:
        frame.flags |= {"END_STREAM"}
    return frame


def settings_frame() -> SettingsFrame:
    frame = SettingsFrame(0)
    frame.settings = {SettingCodes.INITIAL_WINDOW_SIZE: 65_535}
    return frame


def window(stream: int = 0) -> WindowUpdateFrame:
    frame = WindowUpdateFrame(stream)
    frame.window_increment = 1
    return frame


def repeated(make: Callable[[], Frame]) -> bytes:
    return make().serialize() * MANY


def rapid_resets() -> bytes:
    coder = Encoder()
    out = []
    for stream in range(1, 2 * MANY, 2):
        out += [head(stream, coder=coder).serialize(), RstStreamFrame(stream, 8).serialize()]
    return b"".join(out)


def continuations(payload: bytes) -> bytes:
    opening = HeadersFrame(1, Encoder().encode([(":method", "GET")]))
    return opening.serialize() + ContinuationFrame(1, payload).serialize() * MANY


FLOODS: dict[str, Callable[[], bytes]] = {
    "pings": lambda: repeated(lambda: PingFrame(0, b"12345678")),
    "settings": lambda: repeated(settings_frame),
    "priorities": lambda: repeated(lambda: PriorityFrame(5)),
    "window updates": lambda: repeated(window),
    "resets of one stream": lambda: head(1).serialize() + repeated(lambda: RstStreamFrame(1, 8)),
    "rapid resets": rapid_resets,
    "empty data": lambda: (
        head(1, end_stream=False).serialize() + repeated(lambda: DataFrame(1, b""))
    ),
    "data in crumbs": lambda: (
        head(1, end_stream=False).serialize() + repeated(lambda: DataFrame(1, b"x"))
    ),
    "empty continuations": lambda: continuations(b""),
    "full continuations": lambda: continuations(b"\x00" * 16_000),
    "goodbyes": lambda: repeated(lambda: GoAwayFrame(0)),
    "unknown frames": lambda: b"\x00\x00\x01\xfa\x00\x00\x00\x00\x00x" * MANY,
    # Each makes us reset a stream (CVE-2025-8671): its window overflows.
    "resets that we are made to send": lambda: b"".join(
        head(stream, end_stream=False).serialize()
        + window(stream).serialize()[:9]
        + b"\x7f\xff\xff\xff"
        for stream in range(1, 800, 2)
    ),
}


def send_until_cut(client: socket.socket, data: bytes) -> bytes:
    """Send as fast as it goes; what the server said. It must hang up."""
    said = b""
    client.settimeout(20)
    try:
        for start in range(0, len(data), 16_384):
            client.sendall(data[start : start + 16_384])
        while more := client.recv(65_536):
            said += more
    except ConnectionError:
        pass
    return said


@pytest.mark.attacks("C79")
@pytest.mark.parametrize("name", FLOODS)
def test_a_flood_is_cut(rig: Rig, name: str) -> None:
    before = len(rig.engine.requests)
    with rig.connect() as connected:
        send_until_cut(connected, PREFACE + settings_frame().serialize() + FLOODS[name]())
    # No flood brought more work than a burst may.
    assert len(rig.engine.requests) - before <= H2_TOLL_MAX / 5 + H2_STREAMS_MAX


@pytest.mark.attacks("C79")
def test_rapid_resets_by_a_client_that_reads(rig: Rig) -> None:
    """CVE-2023-44487: what is reset is not worked on, and too many resets are the end."""
    rig.engine.hangs_after = 0
    with rig.connect() as connected:
        client = Client(connected)
        try:
            for count in range(MANY):
                stream = client.ask(STREAM_BODY)
                client.frames.reset_stream(stream, ErrorCodes.CANCEL)
                client.send()
                assert rig.engine.running <= 2
                if count % 100 == 0:
                    client.until(client.get())
                if client.closed:
                    break
        except OSError:
            pass
        client.until_closed()
        assert client.goaway in (ErrorCodes.ENHANCE_YOUR_CALM, None)
    rig.until(lambda: rig.engine.running == 0)


def test_a_client_that_cancels_now_and_then_is_no_flood(rig: Rig) -> None:
    rig.engine.hangs_after = 1
    with rig.connect() as connected:
        client = Client(connected)
        for _ in range(60):
            streams = [client.ask(STREAM_BODY) for _ in range(2)]
            for stream in streams:
                client.frames.reset_stream(stream, ErrorCodes.CANCEL)
            client.send()
            assert client.status(client.get()) == 200
            rig.do(lambda: rig.clock.advance(50))  # 40 resets a second are nobody's flood


def test_more_streams_than_promised(rig: Rig) -> None:
    rig.engine.hangs_after = 0
    with rig.connect() as connected:
        client = Client(connected)
        client.until(client.get())
        coder = client.frames.encoder
        first = client.frames.get_next_available_stream_id()
        for index in range(H2_STREAMS_MAX + 1):
            frame = head(first + 2 * index, end_stream=False, coder=coder)
            connected.sendall(frame.serialize())
        client.until_closed()
        assert client.goaway is not None


@pytest.mark.parametrize(
    "data",
    [
        b"\x00\x40\x01\x00\x00\x00\x00\x00\x01",  # a frame that would be larger than we said
        b"\xff\xff\xff\x01\x04\x00\x00\x00\x01",
        b"\x00\x00\x01\x00\x00\x00\x00\x00\x00x",  # data of the connection itself
        HeadersFrame(2, Encoder().encode(asking(BODY)), flags=["END_HEADERS"]).serialize(),
        ContinuationFrame(1, b"").serialize(),
        HeadersFrame(1, b"\x80", flags=["END_HEADERS"]).serialize(),  # an index that is none
        HeadersFrame(1, b"\x3f\xff\xff\xff\xff\xff\x0f", flags=["END_HEADERS"]).serialize(),
        window(0).serialize()[:-4] + b"\x00\x00\x00\x00",
        b"\x00\x00\x05\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00",  # settings of five bytes
        RstStreamFrame(1, 8).serialize(),  # of a stream that never was
    ],
    ids=range(10),
)
def test_who_breaks_the_protocol_is_told_and_cut(rig: Rig, data: bytes) -> None:
    with rig.connect() as connected:
        said = send_until_cut(connected, PREFACE + settings_frame().serialize() + data)
    # 3: length, 1: type (7: GOAWAY), 1: flags, 4: stream 0
    assert b"\x07\x00\x00\x00\x00\x00" in said


MALFORMED: dict[str, list[tuple[str, str]]] = {
    "no path": [(":method", "GET"), (":scheme", "http"), (":authority", "x")],
    "two hosts": [*asking(BODY), ("host", "gateway.test"), ("host", "other.test")],
    "a host that is another": [*asking(BODY), ("host", "other.test")],
    "no authority": asking(BODY, authority=""),
    "two methods": [(":method", "GET"), *asking(BODY)],
    "a late pseudo-header": [*asking(BODY), (":path", "/healthz")],
    "an unknown pseudo-header": [(":protocol2", "x"), *asking(BODY)],
    "capitals": [*asking(BODY), ("X-Large", "1")],
    "a line feed in a value": [*asking(BODY), ("x-a", "1\r\nhost: y")],
    "a connection header": [*asking(BODY), ("connection", "close")],
    "a transfer coding": [*asking(BODY), ("transfer-encoding", "chunked")],
    "an empty name": [*asking(BODY), ("", "1")],
    "a length that is none": asking(BODY, content_length="seven"),
}


@pytest.mark.attacks("C81")
@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_requests_get_no_answer(rig: Rig, name: str) -> None:
    before = len(rig.engine.requests)
    with rig.connect() as connected:
        frame = HeadersFrame(1, Encoder().encode(MALFORMED[name]))
        frame.flags |= {"END_HEADERS"}
        body = DataFrame(1, BODY, flags=["END_STREAM"])
        said = send_until_cut(
            connected,
            PREFACE + settings_frame().serialize() + frame.serialize() + body.serialize(),
        )
    assert b"\x07\x00\x00\x00\x00\x00" in said
    assert len(rig.engine.requests) == before


def test_a_length_that_is_not_the_bodys(rig: Rig) -> None:
    before = len(rig.engine.requests)
    for length in (len(BODY) - 1, len(BODY) + 1):
        with rig.connect() as connected:
            frame = HeadersFrame(1, Encoder().encode(asking(BODY, content_length=str(length))))
            frame.flags |= {"END_HEADERS"}
            body = DataFrame(1, BODY, flags=["END_STREAM"])
            send_until_cut(
                connected,
                PREFACE + settings_frame().serialize() + frame.serialize() + body.serialize(),
            )
    assert len(rig.engine.requests) == before


@pytest.mark.attacks("C79")
def test_a_header_bomb(rig: Rig) -> None:
    """A few coded bytes that mean a megabyte (CVE-2016-6581)."""
    with rig.connect() as connected:
        coder = Encoder()
        coder.header_table_size = 4_096
        fields = [*asking(BODY, content_length=""), *[("x-bomb", "b" * 3_000)] * 400]
        frame = HeadersFrame(1, coder.encode(fields), flags=["END_HEADERS", "END_STREAM"])
        assert len(frame.data) < 16_000
        said = send_until_cut(connected, PREFACE + settings_frame().serialize() + frame.serialize())
    assert b"\x07\x00\x00\x00\x00\x00" in said


@pytest.mark.attacks("C80")
def test_what_is_kept_for_a_client_is_bounded() -> None:
    frames = Frames()
    frames.data_to_send()
    client = Frames.__mro__[1]()
    client.initiate_connection()
    client.update_settings({SettingCodes.HEADER_TABLE_SIZE: 1 << 30})
    frames.receive_data(client.data_to_send())
    for index in range(3 * H2_CLOSED_STREAMS_MAX):
        stream = client.get_next_available_stream_id()
        client.send_headers(stream, asking(BODY), end_stream=True)
        frames.receive_data(client.data_to_send())
        block = answer_block(200, "text/plain", (("x-receipt", str(index)),), "id", "now", None)
        frames.send_head(stream, block, last=True)
        client.receive_data(frames.data_to_send())
    assert not frames.encoder.header_table.dynamic_entries  # however large the client's may be
    assert len(frames._closed_streams) <= H2_CLOSED_STREAMS_MAX
    assert len(frames.streams) <= 2


# Noise

_noise = st.lists(
    st.one_of(
        st.binary(max_size=60),
        st.builds(
            lambda kind, flags, stream, payload: (
                len(payload).to_bytes(3) + bytes((kind, flags)) + stream.to_bytes(4) + payload
            ),
            st.integers(0, 12),
            st.integers(0, 255),
            st.integers(0, 9),
            st.binary(max_size=80),
        ),
        st.builds(
            lambda stream, end: head(stream, end_stream=end).serialize(),
            st.sampled_from((1, 3, 5)),
            st.booleans(),
        ),
        st.builds(
            lambda stream, cut: DataFrame(stream, BODY[:cut], flags=["END_STREAM"]).serialize(),
            st.sampled_from((1, 3, 5)),
            st.integers(0, len(BODY)),
        ),
    ),
    max_size=12,
)


@pytest.mark.attacks("C81")
@settings(
    max_examples=300,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(noise=_noise, seed=st.integers(0, 1 << 16))
def test_noise_breaks_nothing(shared: Rig, noise: list[bytes], seed: int) -> None:
    data = PREFACE + settings_frame().serialize() + b"".join(noise)
    chance = random.Random(seed)
    with shared.connect() as connected:
        try:
            while data:
                size = chance.choice((1, 9, 40, 4_096))
                connected.sendall(data[:size])
                data = data[size:]
            connected.shutdown(socket.SHUT_WR)
            connected.settimeout(20)
            while connected.recv(65_536):
                pass
        except OSError:  # cut off: as good an end as any
            pass
    shared.until(lambda: shared.engine.running == 0)
    shared.until(lambda: shared.server.connections == 0)
    assert bugs(shared) == []
