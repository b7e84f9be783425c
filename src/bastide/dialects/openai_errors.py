# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""OpenAI error objects: ``{"error": {"message", "type", "param", "code"}}``.

The `openai` client picks its exception by the HTTP status; `code` and `param` are for people and
for the few programs that look at them.
"""

import msgspec

from bastide.dialects.surface import Problem

__all__ = ["encode_event", "encode_problem"]

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
