# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Writes an OpenAI response, whole or as a stream of typed and numbered events.

Items are numbered in the order in which they begin: a message for text, and one item for each
call. An answer without anything has an empty message, because clients look for its text.
"""

from typing import Any, Final

import msgspec

from bastide.core.chat import CallPart, Delta, FinishReason, Said, Usage
from bastide.dialects.surface import Asked, Context, Problem

__all__ = ["ResponseAsked", "ResponseWriter"]

_INCOMPLETE: Final = {
    FinishReason.LENGTH: "max_output_tokens",
    FinishReason.FILTERED: "content_filter",
}
_MARK: Final = b'"\\u0000"'
_encode = msgspec.json.Encoder().encode


class ResponseAsked(Asked, frozen=True):
    """A request, and what its answer repeats of it."""

    echo: dict[str, Any] = msgspec.field(default_factory=dict)


class ResponseWriter:
    """Writes one answer."""

    def __init__(self, context: Context) -> None:
        asked = context.asked
        assert isinstance(asked, ResponseAsked)
        self._ident = context.ident
        self._created_s = context.created_s
        self._model = context.model
        self._elapsed_ms = context.elapsed_ms
        self._echo = asked.echo
        self._number = 0  # of the next event
        self._done: list[dict[str, Any]] = []  # items
        self._item: dict[str, Any] | None = None  # that is open
        self._pieces: list[str] = []  # of it
        self._before, self._after = b"", b""  # what stands around a piece of it

    def first(self) -> bytes:
        """The response without its output, twice: it is there, and it is worked at."""
        row = {"response": self._response("in_progress", [])}
        return self._event("response.created", row) + self._event("response.in_progress", row)

    def piece(self, text: str) -> bytes:
        """One piece of text."""
        texting = self._item is not None and self._item["type"] == "message"
        begun = b"" if texting else self._begin_message()
        return begun + self._delta(text)

    def call(self, part: CallPart) -> bytes:
        """One piece of a call: its begin, or some of its arguments."""
        begun = b""
        if part.name:
            begun = self._close("completed")
            begun += self._begin(self._call_item(part.ident, part.name, "", "in_progress"))
            mark = {"item_id": self._item_ident(), "output_index": len(self._done), "delta": "\0"}
            self._frame("response.function_call_arguments.delta", mark)
        return begun + (self._delta(part.arguments) if part.arguments else b"")

    def last(self, delta: Delta) -> bytes:
        """Everything from the last delta to the end of the response."""
        assert delta.finish is not None and delta.usage is not None
        out = self.piece(delta.text) if delta.text or self._empty() else b""
        status = _status(delta.finish)
        out += self._close(status)
        row = {"response": self._response(status, self._done, delta.finish, delta.usage)}
        return out + self._event(f"response.{status}", row)

    def whole(self, said: Said, delta: Delta) -> bytes:
        """The answer as one JSON object."""
        assert delta.finish is not None and delta.usage is not None
        status = _status(delta.finish)
        if said.text or not said.calls:
            self._done.append(self._message_item(said.text, "completed"))
        for call in said.calls:
            self._done.append(self._call_item(call.ident, call.name, call.arguments, "completed"))
        self._done[-1]["status"] = status
        return _encode(self._response(status, self._done, delta.finish, delta.usage))

    def failed(self, problem: Problem) -> bytes:
        """How a stream ends that fails.

        `response.failed` alone raises in no client, so an `error` event follows it. Its member
        `error` is what makes OpenAI's client for Python raise.
        """
        error = {"code": "server_error", "message": problem.message}
        response = {**self._response("failed", self._done), "error": error}
        told = {"code": problem.code, "message": problem.message, "param": problem.param}
        row = {**told, "error": {"type": problem.kind, **told}}
        return self._event("response.failed", {"response": response}) + self._event("error", row)

    def _event(self, kind: str, row: dict[str, Any]) -> bytes:
        body = _encode({"type": kind, "sequence_number": self._number, **row})
        self._number += 1
        return b"event: %b\ndata: %b\n\n" % (kind.encode(), body)

    def _frame(self, kind: str, row: dict[str, Any]) -> None:
        """Encode what stands around each piece; only the text and the number differ."""
        body = _encode({"type": kind, **row})
        head = b"event: %b\ndata: " % kind.encode()
        before, _, after = body.partition(_MARK)
        self._before = head + before
        self._after = after.removesuffix(b"}") + b',"sequence_number":'

    def _delta(self, text: str) -> bytes:
        self._pieces.append(text)
        number = self._number
        self._number += 1
        return self._before + _encode(text) + self._after + b"%d}\n\n" % number

    def _begin_message(self) -> bytes:
        out = self._close("completed")
        item = {**self._message_item("", "in_progress"), "content": []}
        out += self._begin(item)
        place = {"item_id": item["id"], "output_index": len(self._done), "content_index": 0}
        self._frame("response.output_text.delta", {**place, "delta": "\0", "logprobs": []})
        return out + self._event("response.content_part.added", {**place, "part": _part("")})

    def _begin(self, item: dict[str, Any]) -> bytes:
        self._item, self._pieces = item, []
        row = {"output_index": len(self._done), "item": item}
        return self._event("response.output_item.added", row)

    def _close(self, status: str) -> bytes:
        """End the item that is open. Only the last one can be incomplete."""
        item = self._item
        if item is None:
            return b""
        text = "".join(self._pieces)
        place = {"item_id": item["id"], "output_index": len(self._done)}
        if item["type"] == "message":
            row = {**place, "content_index": 0}
            out = self._event("response.output_text.done", {**row, "text": text, "logprobs": []})
            out += self._event("response.content_part.done", {**row, "part": _part(text)})
            item = {**item, "status": status, "content": [_part(text)]}
        else:
            row = {**place, "name": item["name"], "arguments": text}
            out = self._event("response.function_call_arguments.done", row)
            item = {**item, "status": status, "arguments": text}
        out += self._event(
            "response.output_item.done", {"output_index": len(self._done), "item": item}
        )
        self._done.append(item)
        self._item = None
        return out

    def _empty(self) -> bool:
        return self._item is None and not self._done

    def _item_ident(self) -> str:
        assert self._item is not None
        return self._item["id"]

    def _message_item(self, text: str, status: str) -> dict[str, Any]:
        return {
            "id": f"msg_{self._ident}{len(self._done)}",
            "type": "message",
            "status": status,
            "role": "assistant",
            "content": [_part(text)],
        }

    def _call_item(self, ident: str, name: str, arguments: str, status: str) -> dict[str, Any]:
        return {
            "id": f"fc_{self._ident}{len(self._done)}",
            "type": "function_call",
            "status": status,
            "call_id": ident,
            "name": name,
            "arguments": arguments,
        }

    def _response(
        self,
        status: str,
        output: list[dict[str, Any]],
        finish: FinishReason | None = None,
        usage: Usage | None = None,
    ) -> dict[str, Any]:
        why = None if finish is None else _INCOMPLETE.get(finish)
        ended_s = self._created_s + self._elapsed_ms() // 1000
        return {
            "id": f"resp_{self._ident}",
            "object": "response",
            "created_at": self._created_s,
            "completed_at": ended_s if status == "completed" else None,
            "status": status,
            "background": False,
            "error": None,
            "incomplete_details": None if why is None else {"reason": why},
            "max_tool_calls": None,
            "model": self._model,
            "output": output,
            "previous_response_id": None,
            "reasoning": {"effort": None, "summary": None},
            "service_tier": "default",
            "store": False,
            "top_logprobs": 0,
            "truncation": "disabled",
            "usage": None if usage is None else _usage_json(usage),
            "user": None,
            **self._echo,
        }


def _status(finish: FinishReason) -> str:
    return "incomplete" if finish in _INCOMPLETE else "completed"


def _part(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _usage_json(usage: Usage) -> dict[str, Any]:
    return {
        "input_tokens": usage.prompt_tokens,
        "input_tokens_details": {"cached_tokens": usage.cached_tokens, "cache_write_tokens": 0},
        "output_tokens": usage.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
    }
