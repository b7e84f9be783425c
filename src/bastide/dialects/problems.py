# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Errors in a neutral form, before a family states them. Their words are OpenAI's."""

from dataclasses import dataclass
from math import ceil
from typing import Final

from bastide.core.errors import (
    BastideError,
    Busy,
    Exhausted,
    Misconfigured,
    NotAllowed,
    NotFound,
    TooLong,
    TooSmall,
    Unavailable,
)

__all__ = ["BUSY", "STOPPING", "UNAUTHENTICATED", "Problem", "problem_of", "retry_headers"]


@dataclass(frozen=True, slots=True)
class Problem:
    """An error before a family states it. `param` is the place in the request."""

    status: int
    message: str
    code: str | None = None
    param: str | None = None
    kind: str = "invalid_request_error"
    retry_after_s: float = 1.0  # with a status of 429 or 503


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
    """The neutral form of one of our errors."""
    match error:
        case Misconfigured():
            return _misconfigured(error)
        case NotFound():
            code = error.reasons[0] if error.reasons else "model_not_found"
            return Problem(404, error.message, code, error.place or None)
        case NotAllowed():
            return Problem(403, error.message, "model_not_allowed", error.place or None)
        case Exhausted() | Busy():
            spent = isinstance(error, Exhausted)
            code, kind = (error.code, error.code) if spent else ("rate_limit_exceeded", "requests")
            after_s = error.retry_after_s
            return Problem(429, error.message, code, kind=kind, retry_after_s=after_s)
        case Unavailable():
            return Problem(503, error.message, "service_unavailable", kind="server_error")
    kind = "server_error" if error.http_status >= 500 else "invalid_request_error"
    return Problem(error.http_status, error.message, error.code, kind=kind)


def _misconfigured(error: Misconfigured) -> Problem:
    if isinstance(error, TooLong):
        place = error.place or "messages"
        return Problem(400, error.message, "context_length_exceeded", place)
    if isinstance(error, TooSmall):
        return Problem(400, error.message, "integer_below_min_value", error.place or None)
    code = "unsupported_parameter" if error.reasons else "invalid_value"
    return Problem(400, error.message, code, error.place or None)


def retry_headers(problem: Problem) -> tuple[tuple[str, str], ...]:
    """What HTTP says beside a refusal: when to come back, or by which scheme to show a key."""
    if problem.status in (429, 503):
        # Whole seconds for all, and the exact time for clients that know it (OpenAI, Anthropic).
        after_s = max(0.001, problem.retry_after_s)
        return (("retry-after", str(ceil(after_s))), ("retry-after-ms", str(ceil(1000 * after_s))))
    return (("www-authenticate", "Bearer"),) if problem.status == 401 else ()
