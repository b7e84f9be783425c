# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What a line of a batch's results answers, as the bytes that its receipt commits to.

The lines are those of dialects/batch_lines.py. A text, calls of tools and vectors are read from
the body of each endpoint; docs/reference/receipts.md says what bytes stand for them.
"""

import base64
import binascii
from typing import Any

import msgspec

from bastide.core.chat import Said, ToolCall
from bastide.core.errors import Misconfigured
from bastide.core.receipt import answer_bytes, vector_bytes

__all__ = ["Answered", "read_answer"]


class Answered(msgspec.Struct, frozen=True):
    """One line of results. `receipt` is empty where nothing was begun."""

    custom_id: str
    receipt: str
    answer: bytes


class _Response(msgspec.Struct):
    status_code: int
    body: dict[str, Any]
    receipt: str | None = None


class _Row(msgspec.Struct):
    custom_id: str
    response: _Response | None = None


def read_answer(data: bytes) -> Answered:
    """Read one line of results. Raises Misconfigured for what is none."""
    try:
        row = msgspec.json.decode(data, type=_Row)
        response = row.response
        if response is None or response.status_code != 200:
            return Answered(row.custom_id, "", b"")
        return Answered(row.custom_id, response.receipt or "", _answer(response.body))
    except (
        *(msgspec.DecodeError, UnicodeDecodeError, RecursionError, binascii.Error),
        *(KeyError, IndexError, TypeError, AttributeError, ValueError),
    ) as error:
        raise Misconfigured("this is no line of a batch's results") from error


def _answer(body: dict[str, Any]) -> bytes:
    if "choices" in body:
        choice = body["choices"][0]
        if "message" not in choice:
            return answer_bytes(Said(choice["text"]))
        message = choice["message"]
        calls = ((row["id"], row["function"]) for row in message.get("tool_calls") or ())
        made = tuple(ToolCall(ident, row["name"], row["arguments"]) for ident, row in calls)
        return answer_bytes(Said(message.get("content") or "", made))
    if "output" in body:
        return _response(body["output"])
    vectors = [row["embedding"] for row in body["data"]]
    if vectors and isinstance(vectors[0], str):
        return b"".join(base64.b64decode(row, validate=True) for row in vectors)
    return vector_bytes(vectors)


def _response(items: list[dict[str, Any]]) -> bytes:
    texts, calls = list[str](), list[ToolCall]()
    for item in items:
        if item["type"] == "function_call":
            calls.append(ToolCall(item["call_id"], item["name"], item["arguments"]))
        elif item["type"] == "message":
            texts += [row["text"] for row in item["content"]]
    return answer_bytes(Said("".join(texts), tuple(calls)))
