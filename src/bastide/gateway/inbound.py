# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Bytes to requests: HTTP/1.1 as a strict server reads it. No sockets here.

llhttp (in httptools) refuses what smuggles requests past a proxy: two lengths, a length beside a
transfer coding, folded headers, bare line feeds, spaces before colons. To that we add: one Host,
one Authorization or other key, one Content-Type; no transfer coding but ``chunked``; no trailers;
no upgrade; bounds on head and body. tests/paths/test_gateway_hostile.py has a case for each.
"""

from collections.abc import Callable
from typing import Any, Final

import httptools
import msgspec

from bastide.core.limits import (
    BODIES_BYTES_MAX,
    BODY_BYTES_FREE,
    REQUEST_BODY_BYTES_MAX,
    REQUEST_HEADER_BYTES_MAX,
    UPLOAD_BYTES_MAX,
)
from bastide.dialects.families import find_route
from bastide.dialects.openai import OPENAI
from bastide.dialects.surface import Family, Problem, Route
from bastide.gateway.reply import Reply, refusal

__all__ = [
    "CONTINUE",
    "HEADERS_MAX",
    "ONCE",
    "OVERLOADED",
    "Arrival",
    "Bodies",
    "Inbound",
    "Known",
    "Request",
]

CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
ONCE: Final = frozenset(
    (
        b"host",
        b"authorization",
        b"api-key",
        b"x-api-key",
        b"x-goog-api-key",
        b"content-type",
        b"content-length",
        b"transfer-encoding",
        b"expect",
    )
)
OVERLOADED: Final = Problem(503, "Too much is being sent at this moment. Try again.", "overloaded")
_DISCARD_BYTES_MAX: Final = 65_536  # a refused body up to this is read, so the connection can live
HEADERS_MAX: Final = 128
_MESSAGE_BYTES_MAX: Final = REQUEST_HEADER_BYTES_MAX + 2 * REQUEST_BODY_BYTES_MAX


class Known:
    """Who is at the other end of a connection, as `Request` has it, for all of its requests.

    `caller` is who the last one came from, so that the next need not be looked up.
    """

    __slots__ = ("address", "caller", "family", "peer")

    def __init__(self, peer: str = "", address: str = "") -> None:
        self.peer, self.address = peer, address
        self.caller: Any = None
        self.family: Family | None = None


class Request(msgspec.Struct, eq=False, weakref=True):
    """One request. `body` is complete when the request is given out."""

    method: str
    path: str
    version: str
    keep_alive: bool
    headers: dict[bytes, bytes]
    query: str = ""
    peer: str = ""  # who the client's certificate says it is; see gateway/tls.py
    address: str = ""  # where the client calls from; empty on a Unix socket
    known: "Known | None" = None
    body: bytes = b""
    refused: Reply | None = None
    family: Family = OPENAI
    route: Route | None = None
    caller: Any = None  # what `screen` found out about who asks

    def __repr__(self) -> str:
        return f"Request({self.method} {self.path})"  # never a header: one is the key

    def forget(self) -> None:
        """Let go of what nobody needs while the answer runs: thousands of answers wait at once."""
        self.headers, self.body = {}, b""


# What comes out: a request, interim bytes to send, or a last refusal after which nothing is read.
Arrival = Request | bytes | Reply


class Bodies:
    """How much of bodies that are not complete is held, by all connections of one process."""

    __slots__ = ("held",)

    def __init__(self) -> None:
        self.held = 0


class _Partial(msgspec.Struct, eq=False):
    """What has come of a request so far."""

    target: bytes = b""
    headers: dict[bytes, bytes] = {}  # each has its own
    count: int = 0
    head_bytes: int = 0
    later_bytes: int = 0
    body: list[bytes] = []
    body_bytes: int = 0
    request: Request | None = None


class Inbound:
    """Feed it bytes; it gives arrivals in order. `screen` sees a head before its body is read."""

    __slots__ = (
        "_arrivals", "_bodies", "_known", "_parser", "_partial", "_screen", "dead",
    )  # fmt: skip

    def __init__(
        self, screen: Callable[[Request], Reply | None], known: Known, bodies: Bodies
    ) -> None:
        self._screen = screen
        self._known = known
        self._bodies = bodies
        self._parser: Any = None  # made when something comes
        self._arrivals: list[Arrival] = []
        self._partial: _Partial | None = None
        self.dead = False  # a last refusal was given out: nothing more is read

    @property
    def reading(self) -> bool:
        """True while a request has begun and is not complete."""
        return self._partial is not None and not self.dead

    def feed(self, data: bytes) -> list[Arrival]:
        """Read bytes as they come from the connection."""
        if self.dead:
            return []
        if self._partial is not None:
            self._partial.later_bytes += len(data)
        if self._parser is None:
            self._parser = httptools.HttpRequestParser(self)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._end(
                Problem(400, "This server does not change protocols.", "upgrade_not_supported")
            )
        except httptools.HttpParserError:
            self._end(Problem(400, "The request is not valid HTTP/1.1.", "invalid_http"))
        partial = self._partial
        if partial is not None and not self.dead:
            if partial.request is None and partial.later_bytes > REQUEST_HEADER_BYTES_MAX:
                self._end_head_too_large()
            elif partial.later_bytes > _MESSAGE_BYTES_MAX and (
                partial.request is None or partial.later_bytes > 2 * _body_max(partial.request)
            ):
                self._end_body_too_large()
        arrivals, self._arrivals = self._arrivals, []
        return arrivals

    def forget(self) -> None:
        """Let go of what has come, and of who refers to us; nothing is fed after this.

        A cycle would keep a connection's memory until the collector comes by, which is seldom.
        """
        self._drop_body()
        self.dead, self._partial, self._arrivals = True, None, []
        self._parser = None
        del self._screen

    @property
    def resting(self) -> bool:
        """True between two requests, where a new one would read on just as well."""
        return self._partial is None and not self.dead

    # What llhttp calls. A failure is remembered, not raised; what follows it is ignored.

    def on_message_begin(self) -> None:
        """A request begins."""
        self._partial = _Partial()

    def on_url(self, url: bytes) -> None:
        """A part of the target."""
        partial = self._partial
        if partial is None or self.dead:
            return
        partial.target += url
        partial.head_bytes += len(url)
        if partial.head_bytes > REQUEST_HEADER_BYTES_MAX:
            self._end_head_too_large()

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or a trailer."""
        partial = self._partial
        if partial is None or self.dead:
            return
        if partial.request is not None:
            self._end(Problem(400, "Trailers are not supported.", "invalid_http"))
            return
        partial.count += 1
        partial.head_bytes += len(name) + len(value) + 4
        if partial.head_bytes > REQUEST_HEADER_BYTES_MAX or partial.count > HEADERS_MAX:
            self._end_head_too_large()
            return
        name = name.lower()
        if name in partial.headers and name in ONCE:
            self._end(Problem(400, f"The header {name.decode()} is there twice.", "invalid_http"))
            return
        partial.headers[name] = value.strip(b" \t")

    def on_headers_complete(self) -> None:
        """The head is complete: judge it before the body comes."""
        partial = self._partial
        if partial is None or self.dead:
            return
        headers = partial.headers
        version = self._parser.get_http_version()
        path, query = _split(partial.target)
        request = partial.request = Request(
            self._parser.get_method().decode(),
            path,
            version,
            version == "1.1" and self._parser.should_keep_alive(),
            headers,
            query,
            self._known.peer,
            self._known.address,
            self._known,
        )
        if version not in ("1.1", "1.0"):
            self._end(Problem(505, "Only HTTP/1.1 is supported.", "invalid_http"))
        elif version == "1.1" and b"host" not in headers:
            self._end(Problem(400, "The Host header is missing.", "invalid_http"))
        elif headers.get(b"transfer-encoding", b"chunked").lower() != b"chunked":
            self._end(Problem(501, "No transfer coding but chunked is supported.", "invalid_http"))
        elif version == "1.0" and b"transfer-encoding" in headers:
            self._end(Problem(400, "HTTP/1.0 has no transfer codings.", "invalid_http"))
        elif (length := int(headers.get(b"content-length", b"0"))) > REQUEST_BODY_BYTES_MAX and (
            length > _body_max(request)
        ):
            self._end_body_too_large()
        else:
            self._admit(request)

    def on_body(self, body: bytes) -> None:
        """A part of the body."""
        partial = self._partial
        if partial is None or self.dead:
            return
        partial.body_bytes += len(body)
        self._bodies.held += len(body)
        if self._bodies.held > BODIES_BYTES_MAX and partial.body_bytes > BODY_BYTES_FREE:
            # Uploads too: tens of thousands of connections must not fill our memory with halves.
            self._end(OVERLOADED)
        elif partial.body_bytes > REQUEST_BODY_BYTES_MAX and (
            partial.request is None or partial.body_bytes > _body_max(partial.request)
        ):
            self._end_body_too_large()
        elif partial.request is not None and partial.request.refused is None:
            partial.body.append(body)

    def on_message_complete(self) -> None:
        """The request is complete."""
        partial, self._partial = self._partial, None
        if partial is None:
            return
        self._bodies.held -= partial.body_bytes
        if self.dead or partial.request is None:
            return
        partial.request.body = b"".join(partial.body)
        self._arrivals.append(partial.request)

    def _admit(self, request: Request) -> None:
        """Decide before the body is read: refuse now, refuse later, or ask for the body."""
        request.refused = self._screen(request)
        expect = request.headers.get(b"expect")
        if request.refused is not None:
            length = int(request.headers.get(b"content-length", b"0"))
            chunked = b"transfer-encoding" in request.headers
            if expect is not None or chunked or length > _DISCARD_BYTES_MAX:
                self.dead = True
                self._arrivals.append(request.refused)
        elif expect is not None:
            if expect.lower() != b"100-continue":
                self._end(Problem(417, "Only 100-continue can be expected.", "invalid_http"))
            else:
                self._arrivals.append(CONTINUE)

    def _end(self, problem: Problem) -> None:
        if not self.dead:
            self.dead = True
            self._drop_body()
            self._arrivals.append(refusal(problem, self._family(), close=True))

    def _drop_body(self) -> None:
        partial = self._partial
        if partial is not None:
            self._bodies.held -= partial.body_bytes
            partial.body_bytes, partial.body = 0, []

    def _family(self) -> Family:
        """The family of the request that is being read; OpenAI's while its head is not complete."""
        request = None if self._partial is None else self._partial.request
        if request is None:
            return OPENAI
        return find_route(request.path, request.query, request.headers)[0]

    def _end_head_too_large(self) -> None:
        message = f"The head is larger than {REQUEST_HEADER_BYTES_MAX} bytes."
        self._end(Problem(431, message, "head_too_large"))

    def _end_body_too_large(self) -> None:
        request = None if self._partial is None else self._partial.request
        most = REQUEST_BODY_BYTES_MAX if request is None else _body_max(request)
        message = f"The body is larger than {most} bytes."
        self._end(Problem(413, message, "request_too_large"))


def _body_max(request: Request) -> int:
    """How large the body of a request may be."""
    route = request.route or find_route(request.path, request.query, request.headers)[1]
    uploads = route is not None and route.uploads and request.method == "POST"
    return UPLOAD_BYTES_MAX if uploads else REQUEST_BODY_BYTES_MAX


def _split(target: bytes) -> tuple[str, str]:
    """The raw path and query of an origin-form or absolute-form target."""
    if not target.startswith(b"/"):
        try:
            parsed = httptools.parse_url(target)
            target = (parsed.path or b"/") + (b"?" + parsed.query if parsed.query else b"")
        except httptools.HttpParserError:
            target = b"*"
    path, _, query = target.decode("latin-1").partition("?")
    return path, query
