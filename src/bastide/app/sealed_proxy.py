# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The local proxy of sealed mode: SDKs talk to it in their own dialect, on this machine.

It takes a request, seals it (app/sealed_client.py), and gives the SDK the answer as it opens. An
answer that is no stream is given only when all of it was verified; a stream ends with its last
chunk only then. Its log has no path's query, no header and no body.
"""

import socket
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final
from urllib.parse import parse_qsl, urlencode, urlsplit

from bastide.app.sealed_client import SealedAnswer, SealedClient
from bastide.app.sealed_gateway import is_loopback
from bastide.app.setting_checks import split_address
from bastide.core.errors import BastideError, Misconfigured, Unavailable
from bastide.core.limits import REQUEST_BODY_BYTES_MAX
from bastide.dialects.families import find_route
from bastide.dialects.surface import JSON, Family, Problem, problem_of

__all__ = ["SealedProxy"]

_AT_ONCE: Final = 256
_PATIENCE_S: Final = 300.0
# What a dialect is known by, or reads. No other header is anybody's business.
_INSIDE: Final = (
    "content-type", "anthropic-version", "anthropic-beta", "user-agent", "x-goog-api-client",
)  # fmt: skip
_KEYS: Final = ("key",)  # parameters of a query that are secrets


class SealedProxy(ThreadingHTTPServer):
    """Serves SDKs until it is shut down. Listens on the loopback only."""

    daemon_threads = True
    request_queue_size = _AT_ONCE

    def __init__(
        self, listen: str, client: SealedClient, note: Callable[[str], None] = lambda _: None
    ) -> None:
        host, port = split_address(listen)
        if not is_loopback(host):
            raise Misconfigured(
                f"{listen}: what SDKs say to the proxy is in the clear",
                fix="listen on 127.0.0.1 or [::1], and run a proxy on each machine",
            )
        self.client, self.note = client, note
        self.room = threading.BoundedSemaphore(_AT_ONCE)
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            super().__init__((host, port), _Asked)
        except OSError as error:
            raise Unavailable(f"{listen} cannot be listened on: {error.strerror}") from error

    @property
    def url(self) -> str:
        """Where SDKs find it."""
        host, port = self.server_address[:2]
        return f"http://[{host!s}]:{port}" if ":" in str(host) else f"http://{host!s}:{port}"


class _Asked(BaseHTTPRequestHandler):
    """One connection of an SDK."""

    protocol_version = "HTTP/1.1"
    server_version = "bastide-sealed"
    sys_version = ""
    timeout = _PATIENCE_S
    disable_nagle_algorithm = True

    @property
    def proxy(self) -> SealedProxy:
        """Whose connection it is."""
        assert isinstance(self.server, SealedProxy)
        return self.server

    def do_GET(self) -> None:
        """Refuse: nothing that is asked by GET is sealed."""
        self._refuse(_family(self), Problem(404, "The sealed proxy answers chats.", "unknown_url"))

    def do_POST(self) -> None:
        """Seal, ask, open."""
        family = _family(self)
        length = self.headers.get("content-length", "")
        if not length.isascii() or not length.isdecimal() or len(length) > 9:
            self.close_connection = True
            self._refuse(family, Problem(411, "Give a Content-Length.", "length_required"))
            return
        if int(length) > REQUEST_BODY_BYTES_MAX:
            self.close_connection = True
            self._refuse(family, Problem(413, "The request is too large.", "too_large"))
            return
        body = self.rfile.read(int(length))
        if not self.proxy.room.acquire(blocking=False):
            self._refuse(family, Problem(429, "The proxy is full.", "rate_limit_exceeded"))
            return
        try:
            self._answer(family, body)
        finally:
            self.proxy.room.release()

    def _answer(self, family: Family, body: bytes) -> None:
        parts = urlsplit(self.path)
        headers = {name: self.headers[name] for name in _INSIDE if name in self.headers}
        pairs = parse_qsl(parts.query, keep_blank_values=True)
        query = urlencode([pair for pair in pairs if pair[0] not in _KEYS])
        key = family.key(parts.query, _known(self))
        try:
            if key is None:
                raise Misconfigured("Give the API key to the SDK, as without the proxy.")
            answer = self.proxy.client.ask(key, parts.path, query, headers, body)
        except BastideError as error:
            self.proxy.note(f"refused: {error.code}: {'; '.join(error.reasons) or error.message}")
            self._refuse(family, problem_of(error))
            return
        try:
            self._relay(answer)
        except BastideError as error:
            self.close_connection = True
            self.proxy.note(f"broke off: {error.code}: {error.message}")
            if answer.end is None and not self._begun:
                self._refuse(family, problem_of(error))
        except OSError:
            self.close_connection = True  # the SDK has gone
        finally:
            answer.close()

    _begun = False

    def _relay(self, answer: SealedAnswer) -> None:
        self._begun = False
        kinds = dict(answer.headers)
        if kinds.get("content-type", JSON) == JSON:
            body = answer.read()  # all of it is verified before any of it is shown
            self._begun = True
            self._head(answer, ("content-length", str(len(body))))
            self.wfile.write(body)
            return
        for piece in answer:
            if not self._begun:
                self._begun = True
                self._head(answer, ("transfer-encoding", "chunked"))
            self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        self.wfile.write(b"0\r\n\r\n")

    def _head(self, answer: SealedAnswer, length: tuple[str, str]) -> None:
        self.send_response(answer.status)
        for name, text in (*answer.headers, ("x-bastide-node", answer.node.statement), length):
            self.send_header(name, text.replace("\r", "").replace("\n", ""))
        self.end_headers()

    def _refuse(self, family: Family, problem: Problem) -> None:
        refusal = family.refusal(problem, "")
        self.send_response(refusal.status)
        for name, text in refusal.headers:
            self.send_header(name, text)
        self.send_header("content-type", JSON)
        self.send_header("content-length", str(len(refusal.body)))
        if self.close_connection:
            self.send_header("connection", "close")
        self.end_headers()
        self.wfile.write(refusal.body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Log nothing: a path's query can hold a key."""


def _known(asked: BaseHTTPRequestHandler) -> dict[bytes, bytes]:
    return {name.lower().encode(): text.encode("latin-1") for name, text in asked.headers.items()}


def _family(asked: BaseHTTPRequestHandler) -> Family:
    parts = urlsplit(asked.path)
    return find_route(parts.path, parts.query, _known(asked))[0]
