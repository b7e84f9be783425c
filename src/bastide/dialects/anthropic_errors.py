# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Anthropic error objects: ``{"type": "error", "error": {"type", "message"}, "request_id"}``.

The `anthropic` client picks its exception by the HTTP status, and asks again after 408, 409, 429
and everything from 500. What is down or full for now is 529 in this API.
"""

from typing import Any, Final

import msgspec

from bastide.dialects.surface import Problem, Refusal, retry_headers

__all__ = ["encode_error", "encode_event", "refuse"]

_OVERLOADED: Final = 529
_TYPES: Final = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    _OVERLOADED: "overloaded_error",
}
_encode = msgspec.json.Encoder().encode


def refuse(problem: Problem, ident: str) -> Refusal:
    """An error response."""
    status = _status(problem)
    headers = retry_headers(problem)
    if status == 409 or problem.code == "insufficient_quota":
        # The client would ask again, to be told the same.
        headers += (("x-should-retry", "false"),)
    return Refusal(status, encode_error(problem, ident), headers)


def encode_error(problem: Problem, ident: str) -> bytes:
    """The error object. `ident` is the request's id, or empty."""
    status = _status(problem)
    kind = _TYPES.get(status, "api_error" if status >= 500 else "invalid_request_error")
    error: dict[str, Any] = {"type": kind, "message": problem.message}
    if problem.param == "thread":
        # So the SDK's tool runner learns that nothing is kept here, and sends everything each time.
        error["details"] = {"error_code": "thread_unsupported_request", "unsupported": ["thread"]}
    return _encode(
        {
            "type": "error",
            "error": error,
            "request_id": f"req_{ident}" if ident else None,
        }
    )


def encode_event(problem: Problem, ident: str) -> bytes:
    """The event that ends a stream which fails; no ``message_stop`` may follow it."""
    return b"event: error\ndata: " + encode_error(problem, ident) + b"\n\n"


def _status(problem: Problem) -> int:
    return _OVERLOADED if problem.status == 503 else problem.status
