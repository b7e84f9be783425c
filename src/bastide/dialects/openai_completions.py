# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""OpenAI plain completions: ``POST /v1/completions``."""

from collections.abc import Mapping
from operator import attrgetter
from types import MappingProxyType
from typing import Any, ClassVar, Final

import msgspec

from bastide.core.chat import Delta, FinishReason, GenerateRequest, Said
from bastide.core.errors import Misconfigured
from bastide.dialects.openai_fields import (
    ABSENT,
    StreamOptions,
    decode_body,
    fingerprint,
    model_name,
    refuse_unsupported,
    sampling,
    tokens_max,
    usage_json,
    wants_usage,
)
from bastide.dialects.surface import Asked, Context, TextWriter

__all__ = ["CompletionWriter", "decode"]

_TOKENS_DEFAULT = 16  # the API's documented default for this endpoint

# Fields that would change the answer, with the values that ask for nothing.
_UNSUPPORTED: Final[dict[str, tuple[Any, ...]]] = {
    "best_of": (1,),
    "echo": (False,),
    "grammar": ("",),
    "guided_choice": (),
    "guided_grammar": (),
    "guided_json": (),
    "guided_regex": (),
    "json_schema": (),
    "logit_bias": ({},),
    "logprobs": (),
    "min_p": (0, 0.0),
    "min_tokens": (0,),
    "n": (1,),
    "prompt_logprobs": (False,),
    "repetition_penalty": (1, 1.0),
    "response_format": ({"type": "text"},),
    "structured_outputs": (),
    "suffix": ("",),
}
_NAMES = tuple(_UNSUPPORTED)
_unsupported_of = attrgetter(*_NAMES)
_ALL_ABSENT = (ABSENT,) * len(_NAMES)
_encode = msgspec.json.Encoder().encode


class _Body(msgspec.Struct, kw_only=True):
    model: str | None = None
    prompt: str | list[str | int | list[int]] | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = None
    stop: str | list[str] | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    top_k: int | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    best_of: msgspec.Raw = ABSENT
    echo: msgspec.Raw = ABSENT
    grammar: msgspec.Raw = ABSENT
    guided_choice: msgspec.Raw = ABSENT
    guided_grammar: msgspec.Raw = ABSENT
    guided_json: msgspec.Raw = ABSENT
    guided_regex: msgspec.Raw = ABSENT
    json_schema: msgspec.Raw = ABSENT
    logit_bias: msgspec.Raw = ABSENT
    logprobs: msgspec.Raw = ABSENT
    min_p: msgspec.Raw = ABSENT
    min_tokens: msgspec.Raw = ABSENT
    n: msgspec.Raw = ABSENT
    prompt_logprobs: msgspec.Raw = ABSENT
    repetition_penalty: msgspec.Raw = ABSENT
    response_format: msgspec.Raw = ABSENT
    structured_outputs: msgspec.Raw = ABSENT
    suffix: msgspec.Raw = ABSENT


_decoder = msgspec.json.Decoder(_Body)


def decode(body: bytes, ident: str, model: str | None = None) -> Asked:
    """Read a request. Raises Misconfigured; its `place` is the API's `param`.

    `model` is what the path names; then the body's is ignored.
    """
    given = decode_body(_decoder, body)
    unsupported = _unsupported_of(given)
    if unsupported != _ALL_ABSENT:
        refuse_unsupported(dict(zip(_NAMES, unsupported, strict=True)), _UNSUPPORTED)
    request = GenerateRequest(
        ident,
        model_name(given.model if model is None else model),
        (),
        _prompt(given.prompt),
        sampling(
            tokens=_tokens(given.max_tokens),
            temperature=given.temperature,
            top_p=given.top_p,
            seed=given.seed,
            stop=given.stop,
            frequency_penalty=given.frequency_penalty,
            presence_penalty=given.presence_penalty,
            top_k=given.top_k,
        ),
    )
    return Asked(request, bool(given.stream), wants_usage(given.stream, given.stream_options))


def _tokens(given: int | None) -> int:
    """Unlike a chat, a completion may have no token at all: then its prompt is only counted."""
    if given == 0:
        return 0
    return tokens_max("max_tokens", given) or _TOKENS_DEFAULT


class CompletionWriter(TextWriter):
    """Writes one answer, whole or as a stream of chunks. Its kin add fields."""

    choice_fields: ClassVar[dict[str, Any]] = {}
    filtered_fields: ClassVar[dict[str, Any]] = {}  # instead, where the guard ended the answer
    answer_fields: ClassVar[dict[str, Any]] = {}

    def __init__(self, context: Context) -> None:
        self._top = {
            "id": f"cmpl-{context.ident}",
            "object": "text_completion",
            "created": context.created_s,
            "model": context.model,
        }
        self._fingerprint = fingerprint(context.release)
        self._usage = context.asked.usage
        frame = self._chunk([self._choice("\0", None)])
        self._before, _, self._after = frame.partition(b'"\\u0000"')

    def first(self) -> bytes:
        """A stream of plain completions has no opening chunk."""
        return b""

    def piece(self, text: str) -> bytes:
        """One chunk of text."""
        return self._before + _encode(text) + self._after

    def last(self, delta: Delta) -> bytes:
        """Everything from the last delta to ``[DONE]``."""
        assert delta.finish is not None and delta.usage is not None
        out = self._chunk([self._choice(delta.text, delta.finish.value)])
        if self._usage:
            out += self._chunk([], usage_json(delta.usage))
        return out + b"data: [DONE]\n\n"

    def whole(self, said: Said, delta: Delta) -> bytes:
        """The answer as one JSON object."""
        assert delta.finish is not None and delta.usage is not None
        return _encode(
            {
                **self._top,
                "choices": [self._choice(said.text, delta.finish.value)],
                "usage": usage_json(delta.usage),
                "system_fingerprint": self._fingerprint,
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
            **self._top,
            "choices": choices,
            "system_fingerprint": self._fingerprint,
            **fields,
        }
        if self._usage:
            row["usage"] = usage
        return b"data: " + _encode(row) + b"\n\n"

    def _choice(self, text: str, finish: str | None) -> dict[str, Any]:
        return {
            "text": text,
            "index": 0,
            "logprobs": None,
            "finish_reason": finish,
            **(self.filtered_fields if finish == FinishReason.FILTERED else self.choice_fields),
        }


def _prompt(given: str | list[str | int | list[int]] | None) -> str:
    if given is None:
        raise Misconfigured("Missing required parameter: 'prompt'.", place="prompt")
    if isinstance(given, list):
        if len(given) != 1 or not isinstance(given[0], str):
            raise Misconfigured(
                "Invalid 'prompt': only one prompt, as text, is supported in a request.",
                reasons=["prompt"],
                place="prompt",
            )
        return given[0]
    return given
