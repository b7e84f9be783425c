# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""A header list of HTTP/2 as a request, by the same rules as one of HTTP/1.1 (inbound.py).

h2 has refused what RFC 9113 calls malformed. `host` is made from ``:authority`` where it is
missing; ``:authority`` stays beside it, because AWS's client for JavaScript signs that name.
"""

import re
from collections.abc import Iterable
from typing import Final

from bastide.core.limits import REQUEST_BODY_BYTES_MAX, REQUEST_HEADER_BYTES_MAX
from bastide.dialects.surface import Problem
from bastide.gateway.inbound import HEADERS_MAX, ONCE, Request

__all__ = ["read_request"]

_TARGET = re.compile(rb"[!-~]+")
_FIELD_BYTES: Final = 32  # RFC 9113, 6.5.2: what a field counts besides its text
_AUTHORITY: Final = b":authority"
TOO_LARGE: Final = f"The head is larger than {REQUEST_HEADER_BYTES_MAX} bytes."


def read_request(fields: Iterable[tuple[bytes, bytes]]) -> tuple[Request, Problem | None]:
    """The request, without its body, and what is wrong with its head."""
    headers: dict[bytes, bytes] = {}
    problem: Problem | None = None
    count = size = 0
    for name, value in fields:
        count += 1
        size += len(name) + len(value) + _FIELD_BYTES
        if name in headers and name in ONCE:
            problem = Problem(400, f"The header {name.decode()} is there twice.", "invalid_http")
        headers[name] = value
    method = headers.pop(b":method", b"").decode("latin-1")
    target = headers.pop(b":path", b"*")
    headers.pop(b":scheme", None)
    headers.pop(b":protocol", None)
    host = headers.get(b"host", headers.get(_AUTHORITY, b""))
    headers.setdefault(_AUTHORITY, host)
    headers[b"host"] = host
    path, _, query = target.decode("latin-1").partition("?")
    request = Request(method, path, "2", True, headers, query=query)
    if size > REQUEST_HEADER_BYTES_MAX or count > HEADERS_MAX:
        problem = Problem(431, TOO_LARGE, "head_too_large")
    elif _TARGET.fullmatch(target) is None or not host:
        problem = Problem(400, "The request is not valid HTTP/2.", "invalid_http")
    elif headers.get(b"expect", b"100-continue").lower() != b"100-continue":
        problem = Problem(417, "Only 100-continue can be expected.", "invalid_http")
    elif _length(headers) > REQUEST_BODY_BYTES_MAX:
        message = f"The body is larger than {REQUEST_BODY_BYTES_MAX} bytes."
        problem = Problem(413, message, "request_too_large")
    return request, problem


def _length(headers: dict[bytes, bytes]) -> int:
    """The stated length. h2 compares it with what comes, and refuses what is no number."""
    text = headers.get(b"content-length", b"0")
    return int(text) if text.isdigit() and len(text) < 20 else REQUEST_BODY_BYTES_MAX + 1
