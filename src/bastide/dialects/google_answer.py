# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Google's answers: as a whole, as SSE or as a JSON array. The count of tokens, too.

In a stream a call is one part, whole; the last one comes with the chunk that ends the answer.
"""

from typing import Any, Final

import msgspec

from bastide.core.chat import CallPart, Delta, FinishReason, Hearing, Said, ToolCall, Usage
from bastide.dialects.surface import Asked, Context

__all__ = ["ArrayWriter", "AskedForWord", "SseWriter", "encode_count"]

_FINISH: Final = {
    FinishReason.STOP: "STOP",
    FinishReason.TOOL_CALLS: "STOP",
    FinishReason.LENGTH: "MAX_TOKENS",
    FinishReason.FILTERED: "SAFETY",
}
_encode = msgspec.json.Encoder().encode


class AskedForWord(Asked, frozen=True):
    """The answer is a JSON text, one of some words, and wanted without its quotes."""


def encode_count(tokens: int) -> bytes:
    """The answer of ``countTokens``."""
    details = [{"modality": "TEXT", "tokenCount": tokens}]
    return _encode({"totalTokens": tokens, "promptTokensDetails": details})


class SseWriter:
    """Writes one answer: whole, or as a stream of events that are nothing but ``data:`` lines."""

    _opens = b"data: "
    _goes_on = b"data: "
    _ends = b"\r\n\r\n"
    _closes = b""

    def __init__(self, context: Context) -> None:
        self._end = {"modelVersion": context.model, "responseId": context.ident}
        self._word = isinstance(context.asked, AskedForWord)
        # Only the text differs from chunk to chunk, so all around it is encoded once.
        self._before, _, self._after = self._chunk([{"text": "\0"}]).partition(b'"\\u0000"')
        self._lead = self._opens
        self._held = Hearing()  # a call that is not whole yet, or a word
        self._holds = False
        self._broken = False  # a call was left out

    def first(self) -> bytes:
        """Nothing: the first chunk of text opens a stream."""
        return b""

    def piece(self, text: str) -> bytes:
        """One chunk of text; nothing if the text is a word that is not whole yet."""
        if self._word:
            self._held.hear(Delta(text))
            return b""
        return self._whole_call() + self._framed(self._before + _encode(text) + self._after)

    def call(self, part: CallPart) -> bytes:
        """A chunk of the call before, once another one begins."""
        out = self._whole_call() if part.name else b""
        self._holds = True
        # Each call is heard by itself.
        self._held.hear(Delta(call=CallPart(0, part.ident, part.name, part.arguments)))
        return out

    def last(self, delta: Delta) -> bytes:
        """The chunk that says why and with what usage the answer ended."""
        self._held.hear(Delta(delta.text))
        return self._framed(self.whole(self._held.said(), delta)) + self._closes

    def whole(self, said: Said, delta: Delta) -> bytes:
        """The answer as one JSON object; the last chunk has the same shape."""
        assert delta.finish is not None and delta.usage is not None
        parts = [part for part in map(_call_part, said.calls) if part is not None]
        finish = _FINISH[delta.finish]
        if (self._broken or len(parts) < len(said.calls)) and finish == "STOP":
            finish = "MALFORMED_FUNCTION_CALL"
        text = _bare(said.text) if self._word else said.text
        if text or not parts:
            parts.insert(0, {"text": text})
        return self._chunk(parts, finish, delta.usage)

    def _whole_call(self) -> bytes:
        """A chunk of the call that is whole now, if there is one."""
        if not self._holds:
            return b""
        said, self._held, self._holds = self._held.said(), Hearing(), False
        parts = [part for part in map(_call_part, said.calls) if part is not None]
        self._broken = self._broken or not parts
        return self._framed(self._chunk(parts)) if parts else b""

    def _chunk(
        self, parts: list[dict[str, Any]], finish: str | None = None, usage: Usage | None = None
    ) -> bytes:
        candidate: dict[str, Any] = {"content": {"parts": parts, "role": "model"}}
        if finish is not None:
            candidate["finishReason"] = finish
        candidate["index"] = 0
        row: dict[str, Any] = {"candidates": [candidate]}
        if usage is not None:
            row["usageMetadata"] = _usage(usage)
        return _encode(row | self._end)

    def _framed(self, row: bytes) -> bytes:
        lead, self._lead = self._lead, self._goes_on
        return lead + _one_line(row) + self._ends


class ArrayWriter(SseWriter):
    """Writes a stream as one JSON array, which is what comes without ``alt=sse``."""

    _opens = b"["
    _goes_on = b",\r\n"
    _ends = b""
    _closes = b"]"


def _call_part(call: ToolCall) -> dict[str, Any] | None:
    """A part; None for a call whose arguments were cut short."""
    try:
        arguments = msgspec.json.decode(call.arguments)
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
        return None
    if not isinstance(arguments, dict):
        return None
    return {"functionCall": {"id": call.ident, "name": call.name, "args": arguments}}


def _bare(text: str) -> str:
    """The word that a JSON text is; what there is of it if it was cut short."""
    try:
        word = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError):
        return text.strip().removeprefix('"')
    return word if isinstance(word, str) else text


def _one_line(row: bytes) -> bytes:
    # Older SDKs split a stream where `str.splitlines` does; Google writes these escaped, too.
    if b"\xe2\x80" in row or b"\xc2\x85" in row:
        row = row.replace(b"\xe2\x80\xa8", b"\\u2028").replace(b"\xe2\x80\xa9", b"\\u2029")
        row = row.replace(b"\xc2\x85", b"\\u0085")
    return row


def _usage(usage: Usage) -> dict[str, Any]:
    prompt, answer = usage.prompt_tokens, usage.completion_tokens
    row: dict[str, Any] = {
        "promptTokenCount": prompt,
        "candidatesTokenCount": answer,
        "totalTokenCount": prompt + answer,
    }
    if usage.cached_tokens:
        row["cachedContentTokenCount"] = usage.cached_tokens
    row["promptTokensDetails"] = [{"modality": "TEXT", "tokenCount": prompt}]
    row["candidatesTokensDetails"] = [{"modality": "TEXT", "tokenCount": answer}]
    return row
