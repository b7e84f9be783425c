# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""OpenAI error objects: ``{"error": {"message", "type", "param", "code"}}``.

The `openai` client picks its exception by the HTTP status; `code` and `param` are for people and
for the few programs that look at them.
"""

from dataclasses import dataclass
from typing import Final

import msgspec

from bastide.core.errors import BastideError, Misconfigured, NotAllowed, NotFound, Unavailable

__all__ = [
    "BUSY",
    "STOPPING",
    "UNAUTHENTICATED",
    "Problem",
    "encode_event",
    "encode_problem",
    "problem_of",
]

_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Problem:
    """An error as the OpenAI API states it."""

    status: int
    message: str
    code: str | None = None
    param: str | None = None
    kind: str = "invalid_request_error"


UNAUTHENTICATED: Final = Problem(
    401,
    "Incorrect API key provided. Send a key of this environment: 'Authorization: Bearer bst_...'.",
    "invalid_api_key",
)
BUSY: Final = Problem(
    429,
    "All slots of this model are busy and its queue is full. Try again later.",
    "rate_limit_exceeded",
    kind="requests",
)
STOPPING: Final = Problem(
    503, "The gateway stops. Try again later.", "service_unavailable", kind="server_error"
)


def problem_of(error: BastideError) -> Problem:
    """State one of our errors in the words of the OpenAI API."""
    match error:
        case Misconfigured():
            code = "unsupported_parameter" if error.reasons else "invalid_value"
            return Problem(400, error.message, code, error.place or None)
        case NotFound():
            return Problem(404, error.message, "model_not_found", error.place or None)
        case NotAllowed():
            return Problem(403, error.message, "model_not_allowed", error.place or None)
        case Unavailable():
            return Problem(503, error.message, "service_unavailable", kind="server_error")
    kind = "server_error" if error.http_status >= 500 else "invalid_request_error"
    return Problem(error.http_status, error.message, error.code, kind=kind)


def encode_problem(problem: Problem) -> bytes:
    """The body of an error response."""
    return _encode(
        {
            "error": {
                "message": problem.message,
                "type": problem.kind,
                "param": problem.param,
                "code": problem.code,
            }
        }
    )


def encode_event(problem: Problem) -> bytes:
    """The event that ends a stream which fails; no ``[DONE]`` may follow it."""
    return b"data: " + encode_problem(problem) + b"\n\n"
