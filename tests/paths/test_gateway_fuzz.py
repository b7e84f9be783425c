# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Whatever a client sends: never a 500, never a hang, never a broken server."""

import json
import re
import socket
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bastide.gateway.connection import Patience
from bastide.gateway.inbound import Bodies, Inbound, Known, Request
from paths.gateway_rig import KEY, MODEL, Rig, bugs, gateway, read_response, request_bytes

BODY = json.dumps({"model": MODEL, "messages": [{"role": "user", "content": "Hi"}]}).encode()
GOOD = request_bytes(BODY)
HEALTH = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
FUZZ = settings(
    max_examples=150,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
PIECES = st.sampled_from(
    [
        b"POST /v1/chat/completions HTTP/1.1\r\n",
        b"GET /healthz HTTP/1.1\r\n",
        b"GET /v1/models/%00 HTTP/1.0\r\n",
        b"Host: x\r\n",
        b"Authorization: Bearer " + KEY.encode() + b"\r\n",
        b"Content-Type: application/json\r\n",
        b"Content-Length: 5\r\n",
        b"Content-Length: %d\r\n" % len(BODY),
        b"Transfer-Encoding: chunked\r\n",
        b"Expect: 100-continue\r\n",
        b"Connection: close\r\n",
        b"\r\n",
        b"5\r\n{    \r\n0\r\n\r\n",
        BODY,
        GOOD,
        HEALTH,
    ]
)


@pytest.fixture(scope="module")
def rig() -> Iterator[Rig]:
    patience = Patience(request_s=0.5, idle_s=0.5, write_s=0.5, linger_s=0.1)
    with gateway(patience) as made:
        yield made
        made.until(lambda: made.server.connections == 0)
        assert bugs(made) == []
        assert made.engine.running == 0


def _statuses(rig: Rig, data: bytes) -> list[int]:
    """Send bytes, close our side, and read all that comes until the other side closes."""
    with rig.connect() as talking:
        answered = b""
        try:
            talking.sendall(data)
            talking.shutdown(socket.SHUT_WR)
            while more := talking.recv(65_536):
                answered += more
        except ConnectionError:
            pass
    return [int(found) for found in re.findall(rb"HTTP/1\.1 (\d{3}) ", answered)]


@pytest.mark.attacks("C55")
@FUZZ
@given(st.lists(PIECES | st.binary(max_size=40), max_size=12))
def test_raw_bytes(rig: Rig, pieces: list[bytes]) -> None:
    assert all(status < 500 or status in (501, 505) for status in _statuses(rig, b"".join(pieces)))


@pytest.mark.attacks("C55")
@FUZZ
@given(st.integers(0, len(GOOD) - 1), st.binary(min_size=0, max_size=3), st.integers(0, 3))
def test_damaged_requests(rig: Rig, place: int, noise: bytes, removed: int) -> None:
    data = GOOD[:place] + noise + GOOD[place + removed :]
    assert all(status < 500 or status in (501, 505) for status in _statuses(rig, data))


FIELDS = st.sampled_from(
    ["model", "messages", "stream", "stop", "max_tokens", "temperature", "n", "tools", "seed", "x"]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["role", "content", "type", "text"]), inner, max_size=3)
    ),
    max_leaves=8,
)


@FUZZ
@given(st.dictionaries(FIELDS, JSON, max_size=5), st.booleans())
def test_json_bodies(rig: Rig, changes: dict[str, object], chat: bool) -> None:
    start = {**json.loads(BODY), "prompt": "x"}
    path = "/v1/chat/completions" if chat else "/v1/completions"
    data = request_bytes(json.dumps({**start, **changes}).encode(), path=path)
    with rig.connect() as talking:
        talking.sendall(data + HEALTH)
        first = read_response(talking)
        assert first.status in (200, 400, 404)
        assert read_response(talking).status == 200  # the connection is still in step


@settings(derandomize=True)
@given(st.data())
def test_it_does_not_matter_where_a_stream_of_requests_is_cut(data: st.DataObject) -> None:
    stream = GOOD + HEALTH + request_bytes(b"[1]") + GOOD
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    inbound = Inbound(lambda request: None, Known(), Bodies())
    arrivals = []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        arrivals += inbound.feed(stream[start:end])
    assert all(isinstance(row, Request) for row in arrivals)
    seen = [(row.path, row.body) for row in arrivals if isinstance(row, Request)]
    path = "/v1/chat/completions"
    assert seen == [(path, BODY), ("/healthz", b""), (path, b"[1]"), (path, BODY)]
