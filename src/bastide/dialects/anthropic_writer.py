# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Writes an answer of the Anthropic API, whole or as a stream of named events.

Blocks are numbered in the order in which they begin: the text if there is any, and one for each
call. An answer that is only a call has no block of text; an answer without anything has an empty
one, because clients look at the first block. Only who asked for no token gets no block at all.
"""

from typing import Any, Final

import msgspec

from bastide.core.chat import CallPart, Delta, FinishReason, Said, ToolCall, Usage
from bastide.dialects.surface import Context
from bastide.dialects.tool_turns import input_of

__all__ = ["MessageWriter"]

_STOP_REASONS: Final = {
    FinishReason.STOP: "end_turn",
    FinishReason.LENGTH: "max_tokens",
    FinishReason.TOOL_CALLS: "tool_use",
    FinishReason.FILTERED: "refusal",
}
_REFUSED: Final = {
    "type": "refusal",
    "category": None,
    "explanation": "The guard of this environment ended the answer.",
}
_EMPTY_TEXT: Final = {"type": "text", "text": "", "citations": None}
_encode = msgspec.json.Encoder().encode


class MessageWriter:
    """Writes one answer."""

    def __init__(self, context: Context) -> None:
        self._ident = f"msg_{context.ident}"
        self._model = context.model
        self._silent = context.asked.request.sampling.max_tokens == 0
        self._index = -1  # of the block that is open
        self._texting = False  # it is a block of text
        self._before, self._after = b"", b""  # what stands around a piece of it

    def first(self) -> bytes:
        """The message without its content."""
        # The engine counts the prompt with the answer: `message_delta` has the numbers.
        return _event("message_start", {"message": self._message([], None, Usage())})

    def piece(self, text: str) -> bytes:
        """One piece of text."""
        begun = b"" if self._texting else self._begin(_EMPTY_TEXT)
        return begun + self._before + _encode(text) + self._after

    def call(self, part: CallPart) -> bytes:
        """One piece of a call: its begin, or some of its input as JSON text."""
        begun = b""
        if part.name:
            row = {"type": "tool_use", "id": part.ident, "name": part.name, "input": {}}
            begun = self._begin(row)
        if not part.arguments:
            return begun
        return begun + self._before + _encode(part.arguments) + self._after

    def last(self, delta: Delta) -> bytes:
        """Everything from the last delta to ``message_stop``."""
        assert delta.finish is not None and delta.usage is not None
        out = self.piece(delta.text) if delta.text else b""
        if self._index < 0 and not self._silent:
            out += self._begin(_EMPTY_TEXT)
        if self._index >= 0:
            out += _event("content_block_stop", {"index": self._index})
        end = {**_end(delta), "container": None}
        return (
            out
            + _event("message_delta", {"delta": end, "usage": _counts(delta.usage)})
            + _event("message_stop", {})
        )

    def whole(self, said: Said, delta: Delta) -> bytes:
        """The answer as one JSON object."""
        assert delta.finish is not None and delta.usage is not None
        content: list[dict[str, Any]] = []
        if said.text or not (said.calls or self._silent):
            content.append({**_EMPTY_TEXT, "text": said.text})
        content += map(_use, said.calls)
        return _encode(self._message(content, delta, delta.usage))

    def _begin(self, block: dict[str, Any]) -> bytes:
        """Close the block that is open, and open the next."""
        closed = _event("content_block_stop", {"index": self._index}) if self._index >= 0 else b""
        self._index += 1
        self._texting = block["type"] == "text"
        kind, field = (
            ("text_delta", "text") if self._texting else ("input_json_delta", "partial_json")
        )
        # Only the text differs from piece to piece, so all around it is encoded once.
        delta = {"index": self._index, "delta": {"type": kind, field: ""}}
        self._before, _, self._after = _event("content_block_delta", delta).partition(b'""')
        start = _event("content_block_start", {"index": self._index, "content_block": block})
        return closed + start + (_event("ping", {}) if self._index == 0 else b"")

    def _message(
        self, content: list[dict[str, Any]], end: Delta | None, usage: Usage
    ) -> dict[str, Any]:
        return {
            "id": self._ident,
            "type": "message",
            "role": "assistant",
            "model": self._model,
            "content": content,
            **_end(end),
            "container": None,
            "usage": {**_counts(usage), "service_tier": "standard"},
        }


def _end(delta: Delta | None) -> dict[str, Any]:
    finish = None if delta is None else delta.finish
    met = None if delta is None else delta.met or None
    reason = None if finish is None else _STOP_REASONS[finish]
    return {
        "stop_reason": "stop_sequence" if met else reason,
        "stop_sequence": met,
        "stop_details": _REFUSED if finish is FinishReason.FILTERED else None,
    }


def _use(call: ToolCall) -> dict[str, Any]:
    return {"type": "tool_use", "id": call.ident, "name": call.name, "input": input_of(call)}


def _event(kind: str, row: dict[str, Any]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), _encode({"type": kind, **row}))


def _counts(usage: Usage) -> dict[str, int]:
    """Prompt tokens that were found in the cache are not among `input_tokens` here."""
    return {
        "input_tokens": max(0, usage.prompt_tokens - usage.cached_tokens),
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": usage.cached_tokens,
        "output_tokens": usage.completion_tokens,
    }
