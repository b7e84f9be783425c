# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Bedrock Converse: ``POST /model/{id}/converse`` and ``/converse-stream``.

The model stands in the path, not in the body. The vectors in tests/vectors/bedrock/ are the
specification by example.
"""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from bastide.core.chat import Delta, FinishReason, GenerateRequest, Message, Sampling, Usage
from bastide.core.errors import Misconfigured
from bastide.core.limits import ANSWER_TOKENS_MAX, REQUEST_MESSAGES_MAX, REQUEST_STOPS_MAX
from bastide.dialects.eventstream import encode_frame, event_headers
from bastide.dialects.openai_fields import ABSENT, decode_body, refuse_unsupported
from bastide.dialects.surface import Asked, Context

__all__ = ["ConverseWriter", "decode"]

# Fields that would change the answer, with the values that ask for nothing.
_UNSUPPORTED: Final[dict[str, tuple[Any, ...]]] = {
    "toolConfig": ({}, {"tools": []}),
    "guardrailConfig": ({},),
    "additionalModelRequestFields": ({},),
    "additionalModelResponseFieldPaths": ([],),
    "outputConfig": ({},),
    "performanceConfig": ({}, {"latency": "standard"}),
    "promptVariables": ({},),
    "serviceTier": ({}, {"type": "default"}),
}
_ROLES: Final = ("user", "assistant")
_STOP_LENGTH_MAX: Final = 1_024
_STOP_REASONS: Final = {FinishReason.STOP: "end_turn", FinishReason.LENGTH: "max_tokens"}
_START = event_headers("messageStart")
_DELTA = event_headers("contentBlockDelta")
_BLOCK_STOP = event_headers("contentBlockStop")
_STOP = event_headers("messageStop")
_METADATA = event_headers("metadata")
_encode = msgspec.json.Encoder().encode
_Block = dict[str, msgspec.Raw]
_text_decoder = msgspec.json.Decoder(str)


class _Turn(msgspec.Struct):
    role: str
    content: list[_Block]


class _Inference(msgspec.Struct, rename="camel"):
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    stop_sequences: list[str] | None = None


class _Body(msgspec.Struct, kw_only=True, rename="camel"):
    messages: list[_Turn] | None = None
    system: list[_Block] | None = None
    inference_config: _Inference | None = None
    tool_config: msgspec.Raw = ABSENT
    guardrail_config: msgspec.Raw = ABSENT
    additional_model_request_fields: msgspec.Raw = ABSENT
    additional_model_response_field_paths: msgspec.Raw = ABSENT
    output_config: msgspec.Raw = ABSENT
    performance_config: msgspec.Raw = ABSENT
    prompt_variables: msgspec.Raw = ABSENT
    service_tier: msgspec.Raw = ABSENT


_decoder = msgspec.json.Decoder(_Body)


def decode(body: bytes, ident: str, *, model: str, stream: bool) -> Asked:
    """Read a request. Raises Misconfigured, naming the field."""
    given = decode_body(_decoder, body)
    extras = {
        "toolConfig": given.tool_config,
        "guardrailConfig": given.guardrail_config,
        "additionalModelRequestFields": given.additional_model_request_fields,
        "additionalModelResponseFieldPaths": given.additional_model_response_field_paths,
        "outputConfig": given.output_config,
        "performanceConfig": given.performance_config,
        "promptVariables": given.prompt_variables,
        "serviceTier": given.service_tier,
    }
    refuse_unsupported(extras, _UNSUPPORTED)
    turns = given.messages
    if not turns:
        raise Misconfigured("Missing required parameter: 'messages'.", place="messages")
    if len(turns) + len(given.system or ()) > REQUEST_MESSAGES_MAX:
        raise Misconfigured(
            f"Invalid 'messages': at most {REQUEST_MESSAGES_MAX}, got {len(turns)}.",
            place="messages",
        )
    system = _text(given.system, "system") if given.system else None
    messages = () if system is None else (Message("system", system),)
    messages += tuple(_message(turn, f"messages[{index}]") for index, turn in enumerate(turns))
    sampling = _sampling(given.inference_config or _Inference())
    return Asked(GenerateRequest(ident, model, messages, None, sampling), stream, True)


class ConverseWriter:
    """Writes one answer, whole or as a stream of frames."""

    def __init__(self, context: Context) -> None:
        self._elapsed_ms = context.elapsed_ms

    def first(self) -> bytes:
        """The event that opens a stream: it has the role."""
        return encode_frame(_START, b'{"role":"assistant"}')

    def piece(self, text: str) -> bytes:
        """One piece of text."""
        payload = b'{"contentBlockIndex":0,"delta":{"text":%b}}' % _encode(text)
        return encode_frame(_DELTA, payload)

    def last(self, delta: Delta) -> bytes:
        """Everything from the last delta to the usage."""
        assert delta.finish is not None and delta.usage is not None
        out = self.piece(delta.text) if delta.text else b""
        out += encode_frame(_BLOCK_STOP, b'{"contentBlockIndex":0}')
        out += encode_frame(_STOP, _encode({"stopReason": _STOP_REASONS[delta.finish]}))
        return out + encode_frame(_METADATA, _encode(self._counts(delta.usage)))

    def whole(self, text: str, delta: Delta) -> bytes:
        """The answer as one JSON object."""
        assert delta.finish is not None and delta.usage is not None
        message = {"role": "assistant", "content": [{"text": text}]}
        return _encode(
            {
                "output": {"message": message},
                "stopReason": _STOP_REASONS[delta.finish],
                **self._counts(delta.usage),
            }
        )

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


def _message(turn: _Turn, place: str) -> Message:
    if turn.role not in _ROLES:
        raise Misconfigured(
            f"Invalid '{place}.role': use one of {', '.join(_ROLES)}.", place=f"{place}.role"
        )
    return Message(turn.role, _text(turn.content, f"{place}.content"))


def _text(blocks: Sequence[_Block], place: str) -> str:
    """The text of blocks. A cache point asks for nothing that changes an answer."""
    strange = [
        f"{place}[{index}].{name}"
        for index, block in enumerate(blocks)
        for name in block
        if name not in ("text", "cachePoint")
    ]
    if strange:
        raise Misconfigured(
            f"Unsupported content: '{strange[0][:128]}'; this model reads only 'text'.",
            reasons=strange,
            place=strange[0],
        )
    texts = [
        _string(block["text"], f"{place}[{i}].text")
        for i, block in enumerate(blocks)
        if "text" in block
    ]
    if not texts:
        raise Misconfigured(f"Invalid '{place}': there is no 'text' in it.", place=place)
    return "\n".join(texts)


def _string(raw: msgspec.Raw, place: str) -> str:
    try:
        return _text_decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Misconfigured(f"Invalid type for '{place}': expected a string.", place=place) from (
            error
        )


def _sampling(given: _Inference) -> Sampling:
    _in_range("maxTokens", given.max_tokens, 1, ANSWER_TOKENS_MAX)
    _in_range("temperature", given.temperature, 0, 1)
    _in_range("topP", given.top_p, 0, 1)
    stops = tuple(given.stop_sequences or ())
    place = "inferenceConfig.stopSequences"
    if len(stops) > REQUEST_STOPS_MAX:
        raise Misconfigured(
            f"Invalid '{place}': at most {REQUEST_STOPS_MAX}, got {len(stops)}.", place=place
        )
    if not all(0 < len(text) <= _STOP_LENGTH_MAX for text in stops):
        raise Misconfigured(
            f"Invalid '{place}': a sequence has 1 to {_STOP_LENGTH_MAX} characters.", place=place
        )
    return Sampling(given.max_tokens, given.temperature, given.top_p, None, stops)


def _in_range(name: str, value: float | None, low: float, high: float) -> None:
    if value is None or low <= value <= high:
        return
    place = f"inferenceConfig.{name}"
    raise Misconfigured(f"Invalid '{place}': expected a value from {low} to {high}.", place=place)
