# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""OpenAI chat completions: ``POST /v1/chat/completions``.

The fields that only Mistral's API has are read or refused here too: its clients use this route.
The vectors in tests/vectors/openai/ are the specification by example.
"""

from collections.abc import Mapping
from operator import attrgetter
from types import MappingProxyType
from typing import Any, ClassVar, Final

import msgspec

from bastide.core.chat import Delta, GenerateRequest, Message
from bastide.core.errors import Misconfigured
from bastide.core.limits import REQUEST_MESSAGES_MAX
from bastide.dialects.openai_fields import (
    ABSENT,
    StreamOptions,
    decode_body,
    fingerprint,
    model_name,
    one_of,
    refuse_unsupported,
    sampling,
    tokens_max,
    usage_json,
    wants_usage,
)
from bastide.dialects.surface import Asked, Context

__all__ = ["ChatWriter", "decode"]

# Fields that would change the answer, with the values that ask for nothing.
_UNSUPPORTED: Final[dict[str, tuple[Any, ...]]] = {
    "audio": (),
    "chat_template": (),
    "chat_template_kwargs": ({},),
    "data_sources": ([],),
    "function_call": ("none", "auto"),
    "functions": ([],),
    "grammar": ("",),
    "guardrails": ([],),
    "guided_choice": (),
    "guided_grammar": (),
    "guided_json": (),
    "guided_regex": (),
    "json_schema": (),
    "logit_bias": ({},),
    "logprobs": (False,),
    "min_p": (0, 0.0),
    "min_tokens": (0,),
    "modalities": (["text"],),
    "moderation": (),
    "n": (1,),
    "prediction": (),
    "prompt_logprobs": (False,),
    "prompt_mode": (),
    "reasoning_effort": ("none",),
    "repetition_penalty": (1, 1.0),
    "response_format": ({"type": "text"},),
    "safe_prompt": (False,),
    "structured_outputs": (),
    "tool_choice": ("none", "auto"),
    "tools": ([],),
    "top_k": (),
    "top_logprobs": (0,),
    "top_prompt_logprobs": (0,),
    "verbosity": ("medium",),
    "web_search_options": (),
}
_ROLES: Final = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
}
_TURN_EXTRAS = ("tool_calls", "function_call", "audio", "prefix")
_TURN_HARMLESS: Final[dict[str, tuple[Any, ...]]] = {"tool_calls": ([],), "prefix": (False,)}
_TURN_ABSENT = (ABSENT,) * len(_TURN_EXTRAS)
_NAMES = tuple(_UNSUPPORTED)
_unsupported_of = attrgetter(*_NAMES)
_ALL_ABSENT = (ABSENT,) * len(_NAMES)
_encode = msgspec.json.Encoder().encode


class _Part(msgspec.Struct):
    type: str
    text: str | None = None


class _Turn(msgspec.Struct):
    role: str
    content: str | list[_Part] | None = None
    tool_calls: msgspec.Raw = ABSENT
    function_call: msgspec.Raw = ABSENT
    audio: msgspec.Raw = ABSENT
    prefix: msgspec.Raw = ABSENT


class _Body(msgspec.Struct, kw_only=True):
    model: str | None = None
    messages: list[_Turn] | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = None
    random_seed: int | None = None
    stop: str | list[str] | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    audio: msgspec.Raw = ABSENT
    chat_template: msgspec.Raw = ABSENT
    chat_template_kwargs: msgspec.Raw = ABSENT
    data_sources: msgspec.Raw = ABSENT
    function_call: msgspec.Raw = ABSENT
    functions: msgspec.Raw = ABSENT
    grammar: msgspec.Raw = ABSENT
    guardrails: msgspec.Raw = ABSENT
    guided_choice: msgspec.Raw = ABSENT
    guided_grammar: msgspec.Raw = ABSENT
    guided_json: msgspec.Raw = ABSENT
    guided_regex: msgspec.Raw = ABSENT
    json_schema: msgspec.Raw = ABSENT
    logit_bias: msgspec.Raw = ABSENT
    logprobs: msgspec.Raw = ABSENT
    min_p: msgspec.Raw = ABSENT
    min_tokens: msgspec.Raw = ABSENT
    modalities: msgspec.Raw = ABSENT
    moderation: msgspec.Raw = ABSENT
    n: msgspec.Raw = ABSENT
    prediction: msgspec.Raw = ABSENT
    prompt_logprobs: msgspec.Raw = ABSENT
    prompt_mode: msgspec.Raw = ABSENT
    reasoning_effort: msgspec.Raw = ABSENT
    repetition_penalty: msgspec.Raw = ABSENT
    response_format: msgspec.Raw = ABSENT
    safe_prompt: msgspec.Raw = ABSENT
    structured_outputs: msgspec.Raw = ABSENT
    tool_choice: msgspec.Raw = ABSENT
    tools: msgspec.Raw = ABSENT
    top_k: msgspec.Raw = ABSENT
    top_logprobs: msgspec.Raw = ABSENT
    top_prompt_logprobs: msgspec.Raw = ABSENT
    verbosity: msgspec.Raw = ABSENT
    web_search_options: msgspec.Raw = ABSENT


_decoder = msgspec.json.Decoder(_Body)


def decode(body: bytes, ident: str, model: str | None = None) -> Asked:
    """Read a request. Raises Misconfigured; its `place` is the API's `param`.

    `model` is what the path names; then the body's is ignored.
    """
    given = decode_body(_decoder, body)
    unsupported = _unsupported_of(given)
    if unsupported != _ALL_ABSENT:
        refuse_unsupported(dict(zip(_NAMES, unsupported, strict=True)), _UNSUPPORTED)
    name, tokens = one_of(
        ("max_tokens", given.max_tokens), ("max_completion_tokens", given.max_completion_tokens)
    )
    _, seed = one_of(("random_seed", given.random_seed), ("seed", given.seed))
    request = GenerateRequest(
        ident,
        model_name(given.model if model is None else model),
        _messages(given.messages),
        None,
        sampling(
            tokens=tokens_max(name, tokens),
            temperature=given.temperature,
            top_p=given.top_p,
            seed=seed,
            stop=given.stop,
            frequency_penalty=given.frequency_penalty,
            presence_penalty=given.presence_penalty,
        ),
    )
    return Asked(request, bool(given.stream), wants_usage(given.stream, given.stream_options))


class ChatWriter:
    """Writes one answer, whole or as a stream of chunks. Its kin add fields."""

    choice_fields: ClassVar[dict[str, Any]] = {}
    answer_fields: ClassVar[dict[str, Any]] = {}
    usage_at_finish: ClassVar[bool] = False  # the chunk that ends the text states the usage

    def __init__(self, context: Context) -> None:
        self._top = {
            "id": f"chatcmpl-{context.ident}",
            "created": context.created_s,
            "model": context.model,
        }
        self._end = {"service_tier": "default", "system_fingerprint": fingerprint(context.release)}
        self._usage = context.asked.usage
        # Only the text differs from chunk to chunk, so all around it is encoded once.
        mark = b'"\\u0000"'
        frame = self._chunk([self._choice({"content": "\0"}, None)])
        self._before, _, self._after = frame.partition(mark)

    def first(self) -> bytes:
        """The chunk that opens a stream: it has the role."""
        delta = {"role": "assistant", "content": "", "refusal": None}
        return self._chunk([self._choice(delta, None)])

    def piece(self, text: str) -> bytes:
        """One chunk of text."""
        return self._before + _encode(text) + self._after

    def last(self, delta: Delta) -> bytes:
        """Everything from the last delta to ``[DONE]``."""
        assert delta.finish is not None and delta.usage is not None
        out = self.piece(delta.text) if delta.text else b""
        usage = usage_json(delta.usage)
        early = usage if self.usage_at_finish else None
        out += self._chunk([self._choice({}, delta.finish.value)], early)
        if self._usage:
            out += self._chunk([], usage)
        return out + b"data: [DONE]\n\n"

    def whole(self, text: str, delta: Delta) -> bytes:
        """The answer as one JSON object."""
        assert delta.finish is not None and delta.usage is not None
        message = {"role": "assistant", "content": text, "refusal": None, "annotations": []}
        choice = {
            "index": 0,
            "message": message,
            "logprobs": None,
            "finish_reason": delta.finish.value,
            **self.choice_fields,
        }
        return _encode(
            {
                "id": self._top["id"],
                "object": "chat.completion",
                "created": self._top["created"],
                "model": self._top["model"],
                "choices": [choice],
                "usage": usage_json(delta.usage),
                **self._end,
                **self.answer_fields,
            }
        )

    def _chunk(
        self,
        choices: list[dict[str, Any]],
        usage: dict[str, Any] | None = None,
        fields: Mapping[str, Any] = MappingProxyType({}),
    ) -> bytes:
        row: dict[str, Any] = {
            "id": self._top["id"],
            "object": "chat.completion.chunk",
            "created": self._top["created"],
            "model": self._top["model"],
            **self._end,
            "choices": choices,
            **fields,
        }
        if self._usage or usage is not None:
            row["usage"] = usage
        return b"data: " + _encode(row) + b"\n\n"

    def _choice(self, delta: dict[str, Any], finish: str | None) -> dict[str, Any]:
        return {
            "index": 0,
            "delta": delta,
            "logprobs": None,
            "finish_reason": finish,
            **self.choice_fields,
        }


def _messages(turns: list[_Turn] | None) -> tuple[Message, ...]:
    if turns is None:
        raise Misconfigured("Missing required parameter: 'messages'.", place="messages")
    if not turns:
        raise Misconfigured("Invalid 'messages': the list is empty.", place="messages")
    if len(turns) > REQUEST_MESSAGES_MAX:
        raise Misconfigured(
            f"Invalid 'messages': at most {REQUEST_MESSAGES_MAX}, got {len(turns)}.",
            place="messages",
        )
    return tuple(_message(turn, f"messages[{index}]") for index, turn in enumerate(turns))


def _message(turn: _Turn, place: str) -> Message:
    role = _ROLES.get(turn.role)
    if role is None:
        kind = "unsupported role" if turn.role in ("tool", "function") else "unknown role"
        raise Misconfigured(
            f"Invalid '{place}.role': {kind}; use one of {', '.join(_ROLES)}.",
            place=f"{place}.role",
        )
    content = turn.content
    extras = (turn.tool_calls, turn.function_call, turn.audio, turn.prefix)
    if extras != _TURN_ABSENT:
        names = (f"{place}.{name}" for name in _TURN_EXTRAS)
        refuse_unsupported(dict(zip(names, extras, strict=True)), _TURN_HARMLESS)
    if isinstance(content, str):
        return Message(role, content)
    if not content:
        raise Misconfigured(
            f"Invalid type for '{place}.content': expected a string or text parts.",
            place=f"{place}.content",
        )
    texts = [_text(part, f"{place}.content[{index}]") for index, part in enumerate(content)]
    return Message(role, "\n".join(texts))


def _text(part: _Part, place: str) -> str:
    if part.type != "text":
        raise Misconfigured(
            f"Invalid '{place}.type': this model reads only parts of type 'text'.",
            reasons=[f"{place}.type"],
            place=f"{place}.type",
        )
    if part.text is None:
        raise Misconfigured(f"Missing required parameter: '{place}.text'.", place=f"{place}.text")
    return part.text
