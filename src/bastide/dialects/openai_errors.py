# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""OpenAI error objects: ``{"error": {"message", "type", "param", "code"}}``.

The `openai` client picks its exception by the HTTP status; `code` and `param` are for people and
for the few programs that look at them.
"""

from typing import Final, Never

import msgspec

from bastide.core.errors import Exhausted, Misconfigured
from bastide.dialects.surface import Problem, retry_headers

__all__ = ["encode_event", "encode_problem", "headers", "refuse_operation"]

_TRY_AGAIN: Final = (408, 429, 500, 503)  # where the same request may fare better
_encode = msgspec.json.Encoder().encode


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


def headers(problem: Problem) -> tuple[tuple[str, str], ...]:
    """What stands beside a refusal: when to come back, or that it is of no use.

    The `openai` client would try a 409 again, and whatever is 500 or more.
    """
    if problem.status in _TRY_AGAIN and problem.code != Exhausted.code:
        return retry_headers(problem)
    return (*retry_headers(problem), ("x-should-retry", "false"))


def refuse_operation(body: bytes, ident: str, operation: str, where: str) -> Never:
    """Refuse what these APIs have and we have not, by its name."""
    shown = operation[:100]
    raise Misconfigured(
        f"Unsupported operation: '{shown}' does not work with {where}.",
        reasons=[shown],
        place=shown,
    )
