# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""HTTP/1.1 for what a person or another service asks now and then: one request a connection.

Bounded in everything: bytes of head and body, connections, and the time that each may take. The
tenants' gateway is another thing (gateway/server.py).
"""

import asyncio
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from bastide.core.limits import SMALL_HTTP_CONNECTIONS_MAX, SMALL_HTTP_HEAD_BYTES_MAX

__all__ = ["Asked", "Reply", "SmallServer"]

_DIGITS: Final = re.compile(rb"[0-9]{1,9}")
_REASONS: Final = {
    200: "OK",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    409: "Conflict",
    411: "Length Required",
    413: "Content Too Large",
    422: "Unprocessable Content",
    500: "Internal Server Error",
    503: "Service Unavailable",
}


@dataclass(frozen=True, slots=True)
class Asked:
    """A request; names of headers are in small letters, and the path has no query."""

    method: str
    path: str
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes

    def values(self, name: bytes) -> list[bytes]:
        """All values of a header."""
        return [value for known, value in self.headers if known == name]


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer. `also`: further headers."""

    status: int
    kind: str
    body: bytes
    also: tuple[str, ...] = ()


Answerer = Callable[[Asked], Awaitable[Reply]]
_PLAIN: Final = "text/plain; charset=utf-8"


class SmallServer:
    """Answers requests; `connected` is for `asyncio.start_server`, with `limit` as it is here."""

    limit: Final = SMALL_HTTP_HEAD_BYTES_MAX

    def __init__(self, answer: Answerer, timeout_s: float, body_bytes_max: int = 0) -> None:
        self._answer = answer
        self._timeout_s = timeout_s
        self._body_bytes_max = body_bytes_max
        self._open = 0

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        self._open += 1
        try:
            async with asyncio.timeout(self._timeout_s):
                reply = await self._reply(reader)
                head = (
                    f"HTTP/1.1 {reply.status} {_REASONS[reply.status]}\r\n"
                    f"Content-Type: {reply.kind}\r\nContent-Length: {len(reply.body)}\r\n"
                    "Cache-Control: no-store\r\nConnection: close\r\n"
                    + "".join(f"{line}\r\n" for line in (*reply.also, ""))
                )
                writer.write(head.encode() + reply.body)
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # no request came, or nobody waits for the answer
        finally:
            self._open -= 1
            # Not closed in peace: that would wait for whoever does not read.
            if writer.transport.get_write_buffer_size():
                writer.transport.abort()
            else:
                writer.close()

    async def _reply(self, reader: asyncio.StreamReader) -> Reply:
        head = await reader.readuntil(b"\r\n\r\n")
        first, *lines = head[:-4].split(b"\r\n")
        parts = first.split(b" ")
        if self._open > SMALL_HTTP_CONNECTIONS_MAX:
            return Reply(503, _PLAIN, b"too many connections at once\n")
        if len(parts) != 3 or not parts[2].startswith(b"HTTP/1."):
            return Reply(400, _PLAIN, b"not an HTTP/1.1 request\n")
        pairs = tuple(
            (name.strip().lower(), value.strip())
            for name, _, value in (line.partition(b":") for line in lines)
        )
        lengths = [value for name, value in pairs if name == b"content-length"]
        if any(name == b"transfer-encoding" for name, _ in pairs):
            return Reply(411, _PLAIN, b"give a Content-Length\n")
        if len(lengths) > 1 or not all(map(_DIGITS.fullmatch, lengths)):
            return Reply(400, _PLAIN, b"give one Content-Length, a number\n")
        length = int(lengths[0]) if lengths else 0
        if length > self._body_bytes_max:
            return Reply(413, _PLAIN, f"at most {self._body_bytes_max} bytes\n".encode())
        body = await reader.readexactly(length)
        path = parts[1].partition(b"?")[0].decode("latin-1")
        return await self._answer(Asked(parts[0].decode("latin-1"), path, pairs, body))
