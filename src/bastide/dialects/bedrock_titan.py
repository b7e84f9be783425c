# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Amazon Titan's text bodies of InvokeModel: `inputText` in, `results` out.

`inputText` is one turn of the user. The answer's length is 512 tokens if nobody says another, as
with Titan. Nothing here knows tools.
"""

from typing import Any, Final

import msgspec

from bastide.core.chat import Delta, FinishReason, GenerateRequest, Message, Said, Sampling, Usage
from bastide.core.limits import ANSWER_TOKENS_MAX, REQUEST_STOPS_MAX
from bastide.dialects.bedrock_body import read_body, wrong
from bastide.dialects.surface import Asked, Context, TextWriter

__all__ = ["TitanWriter", "decode"]

_DEFAULT_TOKENS: Final = 512
_STOP_LENGTH_MAX: Final = 1_024
_REASONS: Final = {
    FinishReason.STOP: "FINISH",
    FinishReason.LENGTH: "LENGTH",
    FinishReason.FILTERED: "CONTENT_FILTERED",
}
_encode = msgspec.json.Encoder().encode


class _Config(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    temperature: float | None = None
    top_p: float | None = None
    max_token_count: int | None = None
    stop_sequences: list[str] | None = None


class _Body(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    input_text: str
    text_generation_config: _Config | None = None


_decoder = msgspec.json.Decoder(_Body)


def decode(body: bytes, ident: str, *, model: str, stream: bool) -> Asked:
    """Read a request. Raises Misconfigured, naming the field."""
    given = read_body(_decoder, body)
    if not given.input_text:
        raise wrong("inputText", "it is empty")
    sampling = _sampling(given.text_generation_config or _Config())
    messages = (Message("user", given.input_text),)
    return Asked(GenerateRequest(ident, model, messages, None, sampling), stream, False)


class TitanWriter(TextWriter):
    """Writes one answer, whole or as a stream of events."""

    def __init__(self, context: Context) -> None:
        pass

    def first(self) -> bytes:
        """Nothing: the first event has text."""
        return b""

    def piece(self, text: str) -> bytes:
        """One piece of text."""
        return _event(text, None, None)

    def last(self, delta: Delta) -> bytes:
        """The last event, with the counts."""
        return _event(delta.text, delta.usage, _reason(delta))

    def whole(self, said: Said, delta: Delta) -> bytes:
        """The answer as one JSON object."""
        assert delta.finish is not None and delta.usage is not None
        result = {
            "tokenCount": delta.usage.completion_tokens,
            "outputText": said.text,
            "completionReason": _reason(delta),
        }
        return _encode({"inputTextTokenCount": delta.usage.prompt_tokens, "results": [result]})


def _reason(delta: Delta) -> str:
    assert delta.finish is not None
    return "STOP_CRITERIA_MET" if delta.met else _REASONS[delta.finish]


def _event(text: str, usage: Usage | None, reason: str | None) -> bytes:
    row: dict[str, Any] = {
        "outputText": text,
        "index": 0,
        "totalOutputTextTokenCount": None if usage is None else usage.completion_tokens,
        "completionReason": reason,
        "inputTextTokenCount": None if usage is None else usage.prompt_tokens,
    }
    return b"data: " + _encode(row) + b"\n\n"


def _sampling(given: _Config) -> Sampling:
    _in_range("temperature", given.temperature, 0, 1)
    _in_range("topP", given.top_p, 0, 1)
    _in_range("maxTokenCount", given.max_token_count, 1, ANSWER_TOKENS_MAX)
    stops = tuple(given.stop_sequences or ())
    if len(stops) > REQUEST_STOPS_MAX:
        raise wrong("textGenerationConfig.stopSequences", f"at most {REQUEST_STOPS_MAX}")
    if not all(0 < len(text) <= _STOP_LENGTH_MAX for text in stops):
        raise wrong(
            "textGenerationConfig.stopSequences",
            f"a sequence has 1 to {_STOP_LENGTH_MAX} characters",
        )
    tokens = _DEFAULT_TOKENS if given.max_token_count is None else given.max_token_count
    return Sampling(tokens, given.temperature, given.top_p, None, stops)


def _in_range(name: str, value: float | None, low: float, high: float) -> None:
    if value is not None and not low <= value <= high:
        raise wrong(f"textGenerationConfig.{name}", f"expected a value from {low} to {high}")
