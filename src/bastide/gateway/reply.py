# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Responses, and how HTTP/1.1 writes them; h2_head.py has the heads of HTTP/2."""

from collections.abc import Awaitable, Callable
from email.utils import formatdate
from http import HTTPStatus
from typing import Final, Protocol

import msgspec

from bastide.dialects.openai import OPENAI
from bastide.dialects.surface import EVENT_STREAM, Family, Problem

__all__ = ["EVENT_STREAM", "SECURITY", "Headers", "Outgoing", "Pen", "Reply", "refusal"]

SECURITY: Final = (
    ("x-content-type-options", "nosniff"),
    ("cache-control", "no-store"),
    ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
)
_SECURITY: Final = "".join(f"{name}: {value}\r\n" for name, value in SECURITY).encode()
_STATUS_LINES: Final = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus
}
_STATUS_LINES[529] = b"HTTP/1.1 529 Overloaded\r\n"  # Anthropic's own


_HEAD: Final = (
    b"%b%bcontent-type: %b\r\nx-request-id: req_%b\r\n"
    b"request-id: req_%b\r\n"  # so Anthropic's clients call it
    b"x-amzn-requestid: req_%b\r\n%b%b"  # and AWS's
)
Headers = tuple[tuple[str, str], ...]


class Reply(msgspec.Struct, frozen=True):
    """A response whose body is known. `close` ends the connection after it.

    unnamed: of a refusal before its request has an id, what that will be written into; see `named`.
    """

    status: int
    body: bytes
    headers: Headers = ()
    close: bool = False
    content_type: str = "application/json"
    unnamed: tuple[Problem, Family] | None = None

    def named(self, ident: str) -> "Reply":
        """The same, with the request's id where its family's errors say it."""
        if self.unnamed is None:
            return self
        problem, family = self.unnamed
        body = family.refusal(problem, ident).body
        return msgspec.structs.replace(self, body=body, unnamed=None)


class Outgoing(Protocol):
    """The answering side of a connection."""

    def reply(self, reply: Reply) -> None:
        """Send a whole response."""
        ...

    def stream(self, data: bytes, headers: Headers) -> Awaitable[None] | None:
        """Send a part of a stream; the first call sends the head too.

        What is returned, if anything, is done when a slow reader has caught up.
        """
        ...

    def finish(self, data: bytes, headers: Headers) -> None:
        """Send the last part of a stream."""
        ...

    def fail(self, reply: Reply, event: bytes) -> None:
        """Send `reply` if nothing was sent yet; else `event`, and break the stream off."""
        ...


def refusal(
    problem: Problem,
    family: Family = OPENAI,
    ident: str = "",
    *,
    close: bool = False,
    headers: Headers = (),
) -> Reply:
    """An error response as a family states it; OpenAI's where the family is not known yet."""
    refused = family.refusal(problem, ident)
    unnamed = None if ident else (problem, family)
    return Reply(refused.status, refused.body, refused.headers + headers, close, unnamed=unnamed)


class Pen:
    """Writes response heads; it remembers the date for a second."""

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self._now_ms = now_ms
        self._second = -1
        self._date = b""

    def whole(self, reply: Reply, ident: str, keep: bool, *, bodiless: bool = False) -> bytes:
        """A complete response; `bodiless` for HEAD."""
        head = self._head(reply.status, reply.content_type, reply.headers, ident, keep)
        body = b"" if bodiless else reply.body
        return b"%bcontent-length: %d\r\n\r\n%b" % (head, len(reply.body), body)

    def stream(
        self, headers: Headers, ident: str, keep: bool, *, chunked: bool, content_type: str
    ) -> bytes:
        """The head of a response whose length is not known yet."""
        head = self._head(200, content_type, headers, ident, keep)
        return head + (b"transfer-encoding: chunked\r\n\r\n" if chunked else b"\r\n")

    @property
    def date(self) -> str:
        """The time of now, as HTTP writes it."""
        return self._now()[6:-2].decode()

    def _now(self) -> bytes:
        second = self._now_ms() // 1000
        if second != self._second:
            self._second = second
            self._date = b"date: " + formatdate(second, usegmt=True).encode() + b"\r\n"
        return self._date

    def _head(
        self,
        status: int,
        content_type: str,
        headers: Headers,
        ident: str,
        keep: bool,
    ) -> bytes:
        lines = "" if keep else "connection: close\r\n"
        for name, value in headers:
            lines += f"{name}: {value}\r\n"
        given = ident.encode()
        return _HEAD % (
            _STATUS_LINES[status],
            self._now(),
            content_type.encode(),
            given,
            given,
            given,
            lines.encode(),
            _SECURITY,
        )
