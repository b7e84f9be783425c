# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Google's ``generateContent``: its body, and its answer as a whole, as SSE or as a JSON array.

Bodies and answers of the Gemini API and of Vertex AI are the same here. The vectors in
tests/vectors/google/ are the specification by example.
"""

from typing import Any, Final

import msgspec

from bastide.core.chat import Delta, FinishReason, GenerateRequest, Message, Sampling, Usage
from bastide.core.errors import Misconfigured
from bastide.core.limits import ANSWER_TOKENS_MAX, REQUEST_MESSAGES_MAX
from bastide.dialects.google_fields import (
    IGNORED,
    READ,
    Shape,
    decode_json,
    fields,
    integer,
    number,
    refuse,
    rows,
    text,
)
from bastide.dialects.surface import Asked, Context

__all__ = ["ArrayWriter", "SseWriter", "decode"]

_STOPS_MAX: Final = 5  # the Gemini API allows five
_STOP_LENGTH_MAX: Final = 1_024
_OFF: Final = (False,)
_EMPTY: Final = ({}, [])
_BODY: Final[Shape] = {
    "cachedContent": ("",),
    "contents": READ,
    "continuationToken": ("",),
    "generationConfig": READ,
    "generationOutputConfig": _EMPTY,
    "labels": IGNORED,
    "modelArmorConfig": _EMPTY,
    "safetySettings": IGNORED,
    "serviceTier": IGNORED,
    "store": IGNORED,
    "systemInstruction": READ,
    "toolConfig": {
        "functionCallingConfig": {
            "allowedFunctionNames": _EMPTY,
            "mode": ("MODE_UNSPECIFIED", "AUTO", "NONE", 0, 1, 3),
            "streamFunctionCallArguments": _OFF,
        },
        "includeServerSideToolInvocations": _OFF,
        "retrievalConfig": _EMPTY,
    },
    "tools": _EMPTY,
}
_CONFIG: Final[Shape] = {
    "audioTimestamp": _OFF,
    "audioTranscriptionConfig": _EMPTY,
    "candidateCount": (1, 1.0, "1"),
    "enableAffectiveDialog": _OFF,
    "enableEnhancedCivicAnswers": _OFF,
    "frequencyPenalty": READ,
    "imageConfig": _EMPTY,
    "logprobs": (),
    "maxOutputTokens": READ,
    "mediaResolution": ("MEDIA_RESOLUTION_UNSPECIFIED", 0),
    "modelConfig": _EMPTY,
    "modelSelectionConfig": _EMPTY,
    "presencePenalty": READ,
    "responseFormat": _EMPTY,
    "responseJsonSchema": (),
    "responseLogprobs": _OFF,
    "responseMimeType": ("", "text/plain"),
    "responseModalities": ([], ["TEXT"], "TEXT"),
    "responseSchema": (),
    "routingConfig": _EMPTY,
    "seed": READ,
    "speechConfig": _EMPTY,
    "stopSequences": READ,
    "temperature": READ,
    "thinkingConfig": {
        "includeThoughts": _OFF,
        "thinkingBudget": (0, -1),
        "thinkingLevel": ("THINKING_LEVEL_UNSPECIFIED", 0),
    },
    "topK": (),
    "topP": READ,
    "translationConfig": _EMPTY,
}
_CONTENT: Final[Shape] = {"parts": READ, "role": READ}
_PART: Final[Shape] = {
    "audioMetadata": (),
    "audioTranscription": (),
    "codeExecutionResult": (),
    "documentMetadata": (),
    "executableCode": (),
    "fileData": (),
    "functionCall": (),
    "functionResponse": (),
    "inlineData": (),
    "mediaProcessing": (),
    "mediaResolution": (),
    "partMetadata": IGNORED,
    "speechMetadata": (),
    "spreadsheetMetadata": (),
    "text": READ,
    "thought": _OFF,
    "thoughtSignature": ("",),
    "toolCall": (),
    "toolResponse": (),
    "videoMetadata": (),
}
_ROLES: Final = {"": "user", "user": "user", "model": "assistant"}
_FINISH: Final = {FinishReason.STOP: "STOP", FinishReason.LENGTH: "MAX_TOKENS"}
_encode = msgspec.json.Encoder().encode


def decode(body: bytes, ident: str, *, model: str, stream: bool) -> Asked:
    """Read a request; its path says the model and if it is a stream. Raises Misconfigured."""
    unsupported: list[str] = []
    given = fields(decode_json(body), "", _BODY, unsupported)
    config = fields(given.get("generationConfig", {}), "generationConfig", _CONFIG, unsupported)
    messages = _messages(given.get("contents"), unsupported)
    if "systemInstruction" in given:
        _, words = _content(given["systemInstruction"], "systemInstruction", unsupported)
        if words:
            messages.insert(0, Message("system", words))
    refuse(unsupported)
    return Asked(
        GenerateRequest(ident, model, tuple(messages), None, _sampling(config)), stream, True
    )


class SseWriter:
    """Writes one answer: whole, or as a stream of events that are nothing but ``data:`` lines."""

    _opens = b"data: "
    _goes_on = b"data: "
    _ends = b"\r\n\r\n"
    _closes = b""

    def __init__(self, context: Context) -> None:
        self._end = {"modelVersion": context.model, "responseId": context.ident}
        # Only the text differs from chunk to chunk, so all around it is encoded once.
        self._before, _, self._after = self._chunk("\0").partition(b'"\\u0000"')
        self._lead = self._opens

    def first(self) -> bytes:
        """Nothing: the first chunk of text opens a stream."""
        return b""

    def piece(self, text: str) -> bytes:
        """One chunk of text."""
        return self._framed(self._before + _encode(text) + self._after)

    def last(self, delta: Delta) -> bytes:
        """The chunk that says why and with what usage the answer ended."""
        return self._framed(self.whole(delta.text, delta)) + self._closes

    def whole(self, text: str, delta: Delta) -> bytes:
        """The answer as one JSON object; the last chunk has the same shape."""
        assert delta.finish is not None and delta.usage is not None
        return self._chunk(text, _FINISH[delta.finish], delta.usage)

    def _chunk(self, text: str, finish: str | None = None, usage: Usage | None = None) -> bytes:
        candidate: dict[str, Any] = {"content": {"parts": [{"text": text}], "role": "model"}}
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


def _messages(value: Any, unsupported: list[str]) -> list[Message]:
    contents = [] if value is None else rows(value)
    if not contents:
        raise Misconfigured("Invalid value at 'contents': it is empty.", place="contents")
    if len(contents) > REQUEST_MESSAGES_MAX:
        message = f"Invalid value at 'contents': at most {REQUEST_MESSAGES_MAX} are allowed."
        raise Misconfigured(message, place="contents")
    # The SDK's chats keep a streamed answer as one content per chunk: they are one turn.
    turns: list[tuple[str, list[str]]] = []
    for index, content in enumerate(contents):
        place = f"contents[{index}]"
        name, words = _content(content, place, unsupported)
        role = _ROLES.get(name.lower())
        if role is None:
            message = f"Invalid value at '{place}.role': use 'user' or 'model'."
            raise Misconfigured(message, place=f"{place}.role")
        if turns and role == turns[-1][0] == "assistant":
            turns[-1][1].append(words)
        else:
            turns.append((role, [words]))
    return [Message(role, "".join(texts)) for role, texts in turns]


def _content(value: Any, place: str, unsupported: list[str]) -> tuple[str, str]:
    given = fields(value, place, _CONTENT, unsupported)
    role = text(given.get("role", ""), f"{place}.role")
    parts = rows(given.get("parts", []))
    if not parts:
        raise Misconfigured(
            f"Invalid value at '{place}.parts': it is empty.", place=f"{place}.parts"
        )
    return role, "".join(
        _part(part, f"{place}.parts[{index}]", unsupported) for index, part in enumerate(parts)
    )


def _part(value: Any, place: str, unsupported: list[str]) -> str:
    refused = len(unsupported)
    given = fields(value, place, _PART, unsupported)
    if "text" in given:
        return text(given["text"], f"{place}.text")
    if len(unsupported) == refused:
        raise Misconfigured(f"Invalid value at '{place}': it has no data.", place=place)
    return ""


def _sampling(config: dict[str, Any]) -> Sampling:
    def whole(name: str, low: int, high: int) -> int | None:
        return (
            integer(config[name], f"generationConfig.{name}", low, high) if name in config else None
        )

    def real(name: str, low: float, high: float) -> float | None:
        return (
            number(config[name], f"generationConfig.{name}", low, high) if name in config else None
        )

    return Sampling(
        whole("maxOutputTokens", 1, ANSWER_TOKENS_MAX),
        real("temperature", 0, 2),
        real("topP", 0, 1),
        whole("seed", -(2**31), 2**31 - 1),
        _stops(rows(config.get("stopSequences", []))),
        real("frequencyPenalty", -2, 2),
        real("presencePenalty", -2, 2),
    )


def _stops(stops: list[Any]) -> tuple[str, ...]:
    place = "generationConfig.stopSequences"
    if len(stops) > _STOPS_MAX:
        raise Misconfigured(f"Invalid value at '{place}': at most {_STOPS_MAX}.", place=place)
    for index, stop in enumerate(stops):
        if not 0 < len(text(stop, f"{place}[{index}]")) <= _STOP_LENGTH_MAX:
            message = (
                f"Invalid value at '{place}': a sequence has 1 to {_STOP_LENGTH_MAX} characters."
            )
            raise Misconfigured(message, place=place)
    return tuple(stops)
