# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Google's error objects: ``{"error": {"code", "message", "status", "details"}}``.

The SDK raises ClientError below 500 and ServerError from 500 on, and shows `status`.
"""

from typing import Final

import msgspec

from bastide.dialects.surface import Problem

__all__ = ["encode_blocked", "encode_problem", "status_name"]

_STATUS: Final = {
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    405: "UNIMPLEMENTED",
    408: "DEADLINE_EXCEEDED",
    409: "ABORTED",
    422: "FAILED_PRECONDITION",
    429: "RESOURCE_EXHAUSTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_NO_KEY: Final = "API key not valid. Send a key of this environment: 'x-goog-api-key: bst_...'."
_encode = msgspec.json.Encoder().encode


def status_name(status: int) -> str:
    """The canonical name of an HTTP status."""
    return _STATUS.get(status, "INTERNAL" if status >= 500 else "INVALID_ARGUMENT")


def encode_blocked(problem: Problem) -> bytes:
    """The answer to a prompt that was blocked; the SDK shows why it has no candidates."""
    feedback = {"blockReason": "BLOCKLIST", "blockReasonMessage": problem.message}
    return _encode({"promptFeedback": feedback})


def encode_problem(problem: Problem) -> bytes:
    """The body of an error response, and an element of a stream that fails."""
    error = {
        "code": problem.status,
        "message": _NO_KEY if problem.status == 401 else problem.message,
        "status": status_name(problem.status),
        "details": [],
    }
    return _encode({"error": error})
