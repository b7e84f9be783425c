# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Bytes that no honest client sends, and clients that waste our time."""

import json
import socket
import threading
from collections.abc import Iterator

import pytest

from bastide.core.limits import (
    PIPELINE_BYTES_MAX,
    REQUEST_BODY_BYTES_MAX,
    REQUEST_HEADER_BYTES_MAX,
)
from bastide.gateway.connection import Patience
from paths.gateway_rig import (
    KEY,
    MODEL,
    STRANGE_KEY,
    Rig,
    bugs,
    gateway,
    read_response,
    request_bytes,
)

ASK = {"model": MODEL, "messages": [{"role": "user", "content": "Hi"}]}
BODY = json.dumps(ASK).encode()
GOOD = request_bytes(BODY)
HEALTH = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture(scope="module")
def rig() -> Iterator[Rig]:
    with gateway() as made:
        yield made
        assert bugs(made) == []


@pytest.fixture(scope="module")
def hasty() -> Iterator[Rig]:
    patience = Patience(request_s=0.3, idle_s=0.3, write_s=0.3, linger_s=0.3)
    with gateway(patience, connections_max=8) as made:
        yield made
        assert bugs(made) == []


def post(*lines: str, body: str = "") -> bytes:
    head = ["POST /v1/chat/completions HTTP/1.1", *lines]
    return ("\r\n".join(head) + "\r\n\r\n" + body).encode("latin-1")


AUTH = f"Authorization: Bearer {KEY}"
JSON = "Content-Type: application/json"
SMUGGLING = {
    "two lengths": post("Host: x", AUTH, JSON, "Content-Length: 2", "Content-Length: 2", body="{}"),
    "length list": post("Host: x", AUTH, JSON, "Content-Length: 2, 2", body="{}"),
    "length and coding": post(
        "Host: x", AUTH, JSON, "Content-Length: 2", "Transfer-Encoding: chunked", body="0\r\n\r\n"
    ),
    "coding and length": post(
        "Host: x", AUTH, JSON, "Transfer-Encoding: chunked", "Content-Length: 2", body="0\r\n\r\n"
    ),
    "signed length": post("Host: x", AUTH, JSON, "Content-Length: +2", body="{}"),
    "space before colon": post("Host: x", AUTH, JSON, "Content-Length : 2", body="{}"),
    "folded header": post("Host: x", AUTH, JSON, "X-A: b\r\n c", "Content-Length: 2", body="{}"),
    "folded after empty": post("Host: x", AUTH, JSON, "X-A:\r\n c", "Content-Length: 2", body="{}"),
    "unknown coding": post("Host: x", AUTH, JSON, "Transfer-Encoding: xchunked", body="0\r\n\r\n"),
    "coding list": post("Host: x", AUTH, JSON, "Transfer-Encoding: gzip, chunked"),
    "two codings": post(
        "Host: x", AUTH, JSON, "Transfer-Encoding: chunked", "Transfer-Encoding: chunked"
    ),
    "bad chunk size": post(
        "Host: x", AUTH, JSON, "Transfer-Encoding: chunked", body="0x2\r\n{}\r\n0\r\n\r\n"
    ),
    "chunk size overflow": post(
        "Host: x", AUTH, JSON, "Transfer-Encoding: chunked", body="f" * 17 + "\r\n{}"
    ),
    "trailer": post(
        "Host: x",
        AUTH,
        JSON,
        "Transfer-Encoding: chunked",
        body="2\r\n{}\r\n0\r\nX-Admin: yes\r\n\r\n",
    ),
    "bare line feeds": GOOD.replace(b"\r\n", b"\n"),
    "null in a header": post("Host: x", AUTH, JSON, "X-A: a\0b", "Content-Length: 2", body="{}"),
    "return in a header": post("Host: x", AUTH, JSON, "X-A: a\rb", "Content-Length: 2", body="{}"),
    "two hosts": post("Host: x", "Host: y", AUTH, JSON, "Content-Length: 2", body="{}"),
    "no host": post(AUTH, JSON, "Content-Length: 2", body="{}"),
    "two keys": post("Host: x", AUTH, f"Authorization: Bearer {STRANGE_KEY}", JSON),
    "upgrade": b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n",
    "HTTP/2 preface, not quite": b"PRI * HTTP/2.0\r\n\r\nSX\r\n\r\n",
    "HTTP/2.0": b"GET /healthz HTTP/2.0\r\nHost: x\r\n\r\n",
    "HTTP/0.9": b"GET /healthz\r\n\r\n",
    "unknown method": b"BREW / HTTP/1.1\r\nHost: x\r\n\r\n",
    "control bytes": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc",
    "bad target": b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n",
}


@pytest.mark.attacks("C52")
@pytest.mark.parametrize("name", SMUGGLING)
def test_ambiguous_requests_are_refused_and_the_connection_closed(rig: Rig, name: str) -> None:
    before = len(rig.engine.requests)
    with rig.connect() as talking:
        # What follows would be a second request to a server that read the first otherwise.
        talking.sendall(SMUGGLING[name] + GOOD)
        response = read_response(talking)
        if name == "upgrade" and response.status == 200:
            response = read_response(talking)
        assert response.status in (400, 501, 505), response
        assert response.headers["connection"] == "close"
        assert json.loads(response.body)["error"]["type"] == "invalid_request_error"
        assert read_response(talking).status == 0
    assert len(rig.engine.requests) == before


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("HEAD", "/nope", 404),
        ("POST", "/v1/edits", 404),
        ("GET", "/v1/chat/completions", 405),
        ("DELETE", "/v1/models/x", 405),
        ("POST", "/healthz", 405),
        ("OPTIONS", "/v1/chat/completions", 405),
        ("CONNECT", "x:1", 404),
        ("GET", "/v1/chat/../models", 404),
        ("GET", "//v1/models", 404),
        ("GET", "/healthz?deep=1", 200),
        ("GET", "http://x/healthz", 200),
    ],
)
def test_routes(rig: Rig, method: str, path: str, status: int) -> None:
    with rig.connect() as talking:
        talking.sendall(request_bytes(b"", method=method, path=path))
        response = _response_to(talking, method)
    assert response[0] == status
    assert response[1] == (b"" if method == "HEAD" else response[1])
    if status == 405:
        assert b"allow: " in response[2].lower()


def _response_to(talking: socket.socket, method: str) -> tuple[int, bytes, bytes]:
    if method != "HEAD":
        response = read_response(talking)
        return response.status, response.body, repr(response.headers).encode().replace(b"'", b"")
    talking.shutdown(socket.SHUT_WR)
    data = b"".join(iter(lambda: talking.recv(65_536), b""))
    head, _, body = data.partition(b"\r\n\r\n")
    return int(head.split(b" ")[1]), body, head


@pytest.mark.parametrize("media", ["", "application/x-www-form-urlencoded"])
def test_what_curl_says_by_itself_is_taken(rig: Rig, media: str) -> None:
    with rig.connect() as talking:
        talking.sendall(GOOD.replace(b"application/json", media.encode()))
        assert read_response(talking).status == 200


@pytest.mark.parametrize("media", ["text/plain", "multipart/form-data; boundary=x"])
def test_another_kind_of_body_is_refused(rig: Rig, media: str) -> None:
    with rig.connect() as talking:
        talking.sendall(GOOD.replace(b"application/json", media.encode()))
        assert read_response(talking).status == 415
        talking.sendall(GOOD.replace(b"Host: x", b"Host: x\r\nContent-Encoding: gzip"))
        assert read_response(talking).status == 415


# Sizes


def test_a_head_that_is_too_large(rig: Rig) -> None:
    filler = f"X-A: {'a' * REQUEST_HEADER_BYTES_MAX}\r\n"
    for data in (
        request_bytes(BODY, headers=filler),
        request_bytes(BODY, path="/" + "a" * REQUEST_HEADER_BYTES_MAX),
        request_bytes(BODY, headers="".join(f"X-{i}: a\r\n" for i in range(200))),
    ):
        with rig.connect() as talking:
            talking.sendall(data)
            assert read_response(talking).status == 431


def test_a_head_that_never_ends(rig: Rig) -> None:
    with rig.connect() as talking:
        talking.sendall(b"GET /healthz HTTP/1.1\r\nX-A: ")
        sent = 0
        with pytest.raises(OSError):
            while sent < 64 * REQUEST_HEADER_BYTES_MAX:
                sent += talking.send(b"a" * 4_096)
                talking.settimeout(0.01)
                try:
                    assert b" 431 " in talking.recv(65_536)
                    break
                except TimeoutError:
                    continue
                finally:
                    talking.settimeout(10)
            raise OSError("refused")
        assert sent <= 16 * REQUEST_HEADER_BYTES_MAX


@pytest.mark.parametrize("expect", ["", "Expect: 100-continue\r\n"])
def test_a_body_that_is_too_large_is_refused_before_it_is_read(rig: Rig, expect: str) -> None:
    head = request_bytes(b"", headers=expect).replace(
        b"Content-Length: 0", f"Content-Length: {REQUEST_BODY_BYTES_MAX + 1}".encode()
    )
    with rig.connect() as talking:
        talking.sendall(head)
        response = read_response(talking)
    assert response.status == 413
    assert json.loads(response.body)["error"]["code"] == "request_too_large"


def test_a_chunked_body_that_is_too_large(rig: Rig) -> None:
    with rig.connect() as talking:
        talking.sendall(post("Host: x", AUTH, JSON, "Transfer-Encoding: chunked"))
        chunk = b"10000\r\n" + b" " * 65_536 + b"\r\n"
        for _ in range(REQUEST_BODY_BYTES_MAX // 65_536 + 1):
            talking.sendall(chunk)
        assert read_response(talking).status == 413


def test_the_largest_body_is_read(rig: Rig) -> None:
    body = BODY + b" " * (REQUEST_BODY_BYTES_MAX - len(BODY))
    with rig.connect() as talking:
        talking.sendall(request_bytes(body))
        assert read_response(talking).status == 200
        talking.sendall(post("Host: x", AUTH, JSON, "Transfer-Encoding: chunked"))
        for start in range(0, 65_536, 1_000):
            part = body[start : start + 1_000]
            talking.sendall(b"%x\r\n%b\r\n" % (len(part), part))
        talking.sendall(b"0\r\n\r\n")
        assert read_response(talking).status == 200


@pytest.mark.attacks("C53")
def test_a_stranger_cannot_make_us_read_a_large_body(rig: Rig) -> None:
    head = request_bytes(b"", key=STRANGE_KEY).replace(b"Length: 0", b"Length: 1000000")
    with rig.connect() as talking:
        talking.sendall(head)
        response = read_response(talking)
        assert (response.status, response.headers["connection"]) == (401, "close")


# Order and continuation


def test_pipelined_requests_are_answered_one_at_a_time_in_order(rig: Rig) -> None:
    rig.engine.running_most = 0
    with rig.connect() as talking:
        talking.sendall(GOOD + HEALTH + GOOD + request_bytes(b"{}") + HEALTH)
        seen = [read_response(talking) for _ in range(5)]
    assert [response.status for response in seen] == [200, 200, 200, 400, 200]
    assert [b"choices" in response.body for response in seen] == [True, False, True, False, False]
    assert rig.engine.running_most == 1


def test_a_flood_behind_a_running_answer_ends_the_connection(rig: Rig) -> None:
    rig.engine.hangs_after = 0
    try:
        with rig.connect() as talking:
            talking.sendall(GOOD)
            rig.until(lambda: rig.engine.running)
            talking.sendall(HEALTH * (2 * PIPELINE_BYTES_MAX // len(HEALTH)))
            with pytest.raises(OSError):
                while talking.recv(65_536):
                    pass
                raise ConnectionResetError
        rig.until(lambda: not rig.engine.running)
    finally:
        rig.engine.hangs_after = None


def test_a_request_that_comes_byte_by_byte(rig: Rig) -> None:
    with rig.connect() as talking:
        talking.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in GOOD:
            talking.sendall(bytes((byte,)))
        assert read_response(talking).status == 200


def test_expect_continue(rig: Rig) -> None:
    head, _, body = request_bytes(BODY, headers="Expect: 100-continue\r\n").partition(b"\r\n\r\n")
    with rig.connect() as talking:
        talking.sendall(head + b"\r\n\r\n")
        assert read_response(talking).status == 100
        talking.sendall(body)
        assert read_response(talking).status == 200
        talking.sendall(GOOD.replace(b"Host: x", b"Host: x\r\nExpect: magic"))
        assert read_response(talking).status == 417
    with rig.connect() as talking:  # refused before the body is asked for
        talking.sendall(request_bytes(b"", key=STRANGE_KEY, headers="Expect: 100-continue\r\n"))
        assert read_response(talking).status == 401


# Time


@pytest.mark.attacks("C53")
def test_slow_senders_lose_their_connection(hasty: Rig) -> None:
    for start in (b"", GOOD[:20], GOOD[:-5]):
        with hasty.connect() as talking:
            talking.sendall(start)
            response = read_response(talking)
            # 408 if a request had begun, silence if none had.
            assert response.status == (408 if start else 0)
            assert talking.recv(1) == b""


def test_a_trickle_does_not_renew_the_time(hasty: Rig) -> None:
    with hasty.connect() as talking:
        talking.settimeout(0.05)
        got = b""
        for byte in GOOD:
            try:
                talking.sendall(bytes((byte,)))
                got = talking.recv(65_536)
                break
            except TimeoutError:
                continue
        assert b" 408 " in got


def test_idle_connections_are_closed_quietly(hasty: Rig) -> None:
    with hasty.connect() as talking:
        talking.sendall(HEALTH)
        assert read_response(talking).status == 200
        assert talking.recv(1) == b""


@pytest.mark.attacks("C53")
def test_a_client_that_does_not_read_loses_its_connection_and_its_slot(hasty: Rig) -> None:
    hasty.engine.words = ["x" * 65_536] * 1_000
    try:
        with hasty.connect() as talking:
            talking.sendall(request_bytes(BODY[:-1] + b', "stream": true}'))
            hasty.until(lambda: hasty.engine.running)
            hasty.until(lambda: not hasty.engine.running)
        hasty.until(lambda: hasty.control.receipts)
        assert hasty.control.receipts[-1].finish == "cancelled"
    finally:
        hasty.engine.words = ("x",)


@pytest.mark.attacks("C71")
@pytest.mark.parametrize("request_", [HEALTH, b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n"])
def test_a_client_that_asks_and_never_reads_does_not_fill_our_memory(
    rig: Rig, request_: bytes
) -> None:
    """Answers that need no engine are bounded, too: a stranger can have them without a key."""
    flood = request_ * 1_000
    with rig.connect() as talking:
        talking.settimeout(0.5)
        rig.until(lambda: rig.server.connections == 1)
        (connection,) = rig.server._connections
        with pytest.raises(OSError):  # our connection is full, or was cut
            for _ in range(1_000):
                talking.send(flood)
                assert connection._transport is not None
                assert connection._transport.get_write_buffer_size() < 1_000_000
    rig.until(lambda: rig.server.connections == 0)


def test_what_was_held_for_a_slow_reader_is_answered(rig: Rig) -> None:
    count = 20_000  # answers are larger than what the system buffers, requests are not
    with rig.connect() as talking:
        sending = threading.Thread(target=talking.sendall, args=(HEALTH * count,))
        sending.start()
        seen = sum(read_response(talking).status == 200 for _ in range(count))
        sending.join()
    assert seen == count


@pytest.mark.attacks("C164")
def test_connections_have_a_bound_and_the_next_one_waits_for_room(hasty: Rig) -> None:
    hasty.until(lambda: hasty.server.connections == 0)
    many = [hasty.connect() for _ in range(8)]
    hasty.until(lambda: hasty.server.connections == 8)
    with hasty.connect() as waiting:  # the kernel has it, and we do not
        waiting.sendall(HEALTH)
        waiting.settimeout(0.15)
        with pytest.raises(TimeoutError):
            waiting.recv(1)
        assert hasty.server.connections == 8
        for talking in many:
            talking.close()
        waiting.settimeout(10)
        assert read_response(waiting).status == 200
    hasty.until(lambda: hasty.server.connections == 0)
