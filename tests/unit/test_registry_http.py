# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""A registry that lies: where credentials go, where uploads go, and what a broken line costs.

The servers are real and on loopback; what they answer is scripted. To see these tests fail I once
broke the code: with the header `Authorization` also at other origins, and without `_next`'s
comparison, the first two failed.
"""

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from bastide.adapters.registry.login import Login, bearer_token
from bastide.adapters.registry.oci import OciRegistry, Where, open_registry
from bastide.adapters.store.memory import MemoryReader
from bastide.core.errors import Misconfigured, NotAllowed, NotProven, Unavailable
from bastide.core.limits import OCI_CHUNK_BYTES
from bastide.core.subject import Digest

LOGIN = Login("firm", "secret")
BASIC = LOGIN.basic()


class Scripted:
    """A server that answers by a function, and remembers what it was asked."""

    def __init__(self, answer: Callable[["Scripted", BaseHTTPRequestHandler, bytes], None]) -> None:
        self.seen: list[tuple[str, str, str | None]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def _any(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                outer.seen.append((self.command, self.path, self.headers.get("Authorization")))
                answer(outer, self, body)

            do_GET = do_HEAD = do_POST = do_PATCH = do_PUT = _any  # noqa: N815

            def log_message(self, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.host = f"127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def reply(to: BaseHTTPRequestHandler, status: int, body: bytes = b"", **head: str) -> None:
    to.send_response(status)
    for name, value in head.items():
        to.send_header(name.replace("_", "-"), value)
    to.send_header("Content-Length", str(len(body)))
    to.end_headers()
    to.wfile.write(body)


@pytest.fixture
def start() -> Iterator[Callable[..., Scripted]]:
    running: list[Scripted] = []

    def make(answer: Callable[[Scripted, BaseHTTPRequestHandler, bytes], None]) -> Scripted:
        running.append(Scripted(answer))
        return running[-1]

    yield make
    for server in running:
        server.close()


def registry(server: Scripted, login: Login | None = LOGIN) -> OciRegistry:
    where = Where(server.host, "a", plain=True, login=login)
    return OciRegistry(where, lambda seconds: None)


@pytest.mark.attacks("C140")
def test_an_upload_is_not_sent_elsewhere(start: Callable[..., Scripted]) -> None:
    thief = start(lambda server, to, body: reply(to, 202))
    ours = start(
        lambda server, to, body: reply(
            to, 202, Location=f"http://{thief.host}/v2/a/blobs/uploads/1"
        )
    )
    with pytest.raises(NotProven, match="another host"):
        registry(ours).put_blob(Digest.of(b"x"), MemoryReader(b"x"))
    assert thief.seen == []


@pytest.mark.attacks("C140")
def test_a_download_is_redirected_without_the_password(start: Callable[..., Scripted]) -> None:
    cloud = start(lambda server, to, body: reply(to, 200, b"content"))

    def answer(server: Scripted, to: BaseHTTPRequestHandler, body: bytes) -> None:
        if to.headers.get("Authorization") is None:
            reply(to, 401, WWW_Authenticate='Basic realm="x"')
        else:
            reply(to, 307, Location=f"http://{cloud.host}/signed")

    ours = start(answer)
    assert b"".join(registry(ours).blob(Digest.of(b"content"))) == b"content"
    assert [seen[2] for seen in ours.seen] == [None, BASIC]
    assert cloud.seen == [("GET", "/signed", None)]


def test_a_redirect_from_tls_to_clear_text_is_refused(start: Callable[..., Scripted]) -> None:
    ours = start(lambda server, to, body: reply(to, 307, Location="http://127.0.0.1:1/x"))
    asked = registry(ours)
    asked._where = Where(ours.host, "a")  # as if it had been reached over TLS
    with pytest.raises(NotProven, match="without TLS"):
        list(asked.blob(Digest.of(b"x")))


@pytest.mark.attacks("C140")
def test_the_token_is_fetched_only_where_it_may_be() -> None:
    asked: list[tuple[str, str | None]] = []

    def fetch(url: str, head: dict[str, str]) -> bytes:
        asked.append((url, head.get("Authorization")))
        return b'{"token": "t0k"}'

    challenge = 'Bearer realm="https://{}/token?x=1",service="reg",scope="repository:a:pull"'
    here = challenge.format("reg.example")
    assert bearer_token(here, {"reg.example"}, False, LOGIN, fetch) == "Bearer t0k"
    assert asked == [
        ("https://reg.example/token?x=1&service=reg&scope=repository%3Aa%3Apull", BASIC)
    ]
    for wrong, why in (
        (challenge.format("thief.example"), "another host"),
        (here.replace("https:", "http:"), "no TLS"),
        ("Bearer nothing", "no TLS"),
    ):
        with pytest.raises(NotAllowed, match=why):
            bearer_token(wrong, {"reg.example"}, False, LOGIN, fetch)
    assert len(asked) == 1


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"token": 1}', b'{"token": "a\\r\\nb"}'])
def test_a_token_that_is_none(body: bytes) -> None:
    with pytest.raises(NotAllowed, match="no token"):
        bearer_token('Bearer realm="https://r/t"', {"r"}, False, None, lambda url, head: body)


def test_an_upload_goes_on_where_the_registry_says_it_is(start: Callable[..., Scripted]) -> None:
    """The first chunk arrives by half, and the connection breaks."""
    data = bytes(range(256)) * (OCI_CHUNK_BYTES // 256 + 1)
    arrived = bytearray()
    half = OCI_CHUNK_BYTES // 2

    def answer(server: Scripted, to: BaseHTTPRequestHandler, body: bytes) -> None:
        if to.command == "POST":
            reply(to, 202, Location="/v2/a/blobs/uploads/1")
        elif to.command == "PATCH" and not arrived:
            arrived.extend(body[:half])
            to.close_connection = True
        elif to.command == "PATCH":
            assert to.headers["Content-Range"].split("-")[0] == str(len(arrived))
            arrived.extend(body)
            reply(to, 202, Location="/v2/a/blobs/uploads/1?state=2")
        elif to.command == "GET":
            reply(to, 204, Range=f"0-{len(arrived) - 1}", Location="/v2/a/blobs/uploads/1")
        else:
            assert "state=2&digest=sha256" in to.path
            reply(to, 201)

    ours = start(answer)
    registry(ours).put_blob(Digest.of(data), MemoryReader(data))
    assert bytes(arrived) == data


def test_one_that_never_gets_anywhere_ends(start: Callable[..., Scripted]) -> None:
    ours = start(lambda server, to, body: reply(to, 503))
    with pytest.raises(Unavailable, match="503"):
        registry(ours).put_blob(Digest.of(b"x"), MemoryReader(b"x"))
    assert 1 < len(ours.seen) < 20


def test_a_password_does_not_leave_the_machine_in_clear() -> None:
    with pytest.raises(Misconfigured, match="without TLS"):
        open_registry("registry.example:80", "a", True, None, "firm:secret", None)
    open_registry("127.0.0.1:5000", "a", True, None, "firm:secret", None)
    assert "secret" not in repr(LOGIN)


@pytest.mark.parametrize("text", ["", "firm", ":x", "firm:", "firm:a\nb"])
def test_a_login_that_is_none(text: str) -> None:
    with pytest.raises(Misconfigured, match="NAME:PASSWORD"):
        Login.parse(text)
