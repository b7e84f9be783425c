# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Writes a Converse answer, whole or as a stream of frames.

Blocks are numbered in the order in which they begin. Only a block with a call says that it
begins; a block of text is there with its first piece.
"""

from typing import Any, Final

import msgspec

from bastide.core.chat import CallPart, Delta, FinishReason, Said, Usage
from bastide.dialects.eventstream import encode_frame, event_headers
from bastide.dialects.surface import Context
from bastide.dialects.tool_turns import input_of

__all__ = ["ConverseWriter"]

_STOP_REASONS: Final = {
    FinishReason.STOP: "end_turn",
    FinishReason.LENGTH: "max_tokens",
    FinishReason.TOOL_CALLS: "tool_use",
    FinishReason.FILTERED: "guardrail_intervened",
}
_START = event_headers("messageStart")
_BLOCK_START = event_headers("contentBlockStart")
_DELTA = event_headers("contentBlockDelta")
_BLOCK_STOP = event_headers("contentBlockStop")
_STOP = event_headers("messageStop")
_METADATA = event_headers("metadata")
_encode = msgspec.json.Encoder().encode


class ConverseWriter:
    """Writes one answer."""

    def __init__(self, context: Context) -> None:
        self._elapsed_ms = context.elapsed_ms
        self._index = -1  # of the block that is open
        self._texting = False  # it is a block of text

    def first(self) -> bytes:
        """The event that opens a stream: it has the role."""
        return encode_frame(_START, b'{"role":"assistant"}')

    def piece(self, text: str) -> bytes:
        """One piece of text."""
        begun = b""
        if not self._texting:
            begun, self._texting = self._next_block(), True
        payload = b'{"contentBlockIndex":%d,"delta":{"text":%b}}' % (self._index, _encode(text))
        return begun + encode_frame(_DELTA, payload)

    def call(self, part: CallPart) -> bytes:
        """One piece of a call: its begin, or some of its input as JSON text."""
        begun = b""
        if part.name:
            begun, self._texting = self._next_block(), False
            start = {"toolUse": {"toolUseId": part.ident, "name": part.name}}
            row = {"contentBlockIndex": self._index, "start": start}
            begun += encode_frame(_BLOCK_START, _encode(row))
        if not part.arguments:
            return begun
        payload = b'{"contentBlockIndex":%d,"delta":{"toolUse":{"input":%b}}}'
        return begun + encode_frame(_DELTA, payload % (self._index, _encode(part.arguments)))

    def last(self, delta: Delta) -> bytes:
        """Everything from the last delta to the usage."""
        assert delta.finish is not None and delta.usage is not None
        out = self.piece(delta.text) if delta.text else b""
        self._index = max(0, self._index)
        out += self._block_stop()
        out += encode_frame(_STOP, _encode({"stopReason": _reason(delta)}))
        return out + encode_frame(_METADATA, _encode(self._counts(delta.usage)))

    def whole(self, said: Said, delta: Delta) -> bytes:
        """The answer as one JSON object."""
        assert delta.finish is not None and delta.usage is not None
        content: list[dict[str, Any]] = []
        if said.text or not said.calls:
            content.append({"text": said.text})
        for call in said.calls:
            use = {"toolUseId": call.ident, "name": call.name, "input": input_of(call)}
            content.append({"toolUse": use})
        return _encode(
            {
                "output": {"message": {"role": "assistant", "content": content}},
                "stopReason": _reason(delta),
                **self._counts(delta.usage),
            }
        )

    def _next_block(self) -> bytes:
        closed = self._block_stop() if self._index >= 0 else b""
        self._index += 1
        return closed

    def _block_stop(self) -> bytes:
        return encode_frame(_BLOCK_STOP, b'{"contentBlockIndex":%d}' % self._index)

    def _counts(self, usage: Usage) -> dict[str, Any]:
        """Prompt tokens that were found in the cache are not among `inputTokens` here."""
        tokens = {
            "inputTokens": max(0, usage.prompt_tokens - usage.cached_tokens),
            "outputTokens": usage.completion_tokens,
            "totalTokens": usage.prompt_tokens + usage.completion_tokens,
            "cacheReadInputTokens": usage.cached_tokens,
            "cacheWriteInputTokens": 0,
        }
        return {"usage": tokens, "metrics": {"latencyMs": self._elapsed_ms()}}


def _reason(delta: Delta) -> str:
    assert delta.finish is not None
    return "stop_sequence" if delta.met else _STOP_REASONS[delta.finish]
