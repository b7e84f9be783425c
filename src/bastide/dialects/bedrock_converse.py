# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Bedrock Converse: ``POST /model/{id}/converse`` and ``/converse-stream``.

The model stands in the path, not in the body. The vectors in tests/vectors/bedrock/ are the
specification by example.
"""

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from bastide.core.chat import GenerateRequest, Sampling
from bastide.core.limits import ANSWER_TOKENS_MAX, REQUEST_STOPS_MAX, TOP_K_MAX
from bastide.dialects.bedrock_body import Body, Inference, read_body, wrong
from bastide.dialects.bedrock_tools import read_schema, read_tools
from bastide.dialects.bedrock_turns import read_messages
from bastide.dialects.bedrock_writer import ConverseWriter
from bastide.dialects.openai_fields import ABSENT, refuse_unsupported
from bastide.dialects.surface import Asked

__all__ = ["ConverseWriter", "decode", "decode_count"]

# Fields that would change the answer, with the values that ask for nothing.
_UNSUPPORTED: Final[dict[str, tuple[Any, ...]]] = {
    "guardrailConfig": ({},),
    "additionalModelResponseFieldPaths": ([],),
    "performanceConfig": ({}, {"latency": "standard"}),
    "promptVariables": ({},),
    "serviceTier": ({}, {"type": "default"}),
}
_STOP_LENGTH_MAX: Final = 1_024
_SHOWN_MAX: Final = 100  # characters of a client's own name that a refusal repeats
_NAMED_MAX: Final = 32  # how many of them
_decoder = msgspec.json.Decoder(Body)
_additional = msgspec.json.Decoder(dict[str, msgspec.Raw] | None)
_count = msgspec.json.Decoder(int)
_ADDITIONAL: Final = "additionalModelRequestFields"
_NULL: Final = msgspec.Raw(b"null")
_SET: Final = msgspec.Raw(b"true")  # stands for any value of a field that no model here has


def decode(body: bytes, ident: str, *, model: str, stream: bool) -> Asked:
    """Read a request. Raises Misconfigured, naming the field."""
    return Asked(_request(read_body(_decoder, body), ident, model), stream, True)


def decode_count(body: bytes, ident: str, *, model: str) -> GenerateRequest:
    """Read a request whose tokens shall be counted. Raises Misconfigured."""
    return _request(read_body(_decoder, body), ident, model)


def _request(given: Body, ident: str, model: str) -> GenerateRequest:
    extras = {
        "guardrailConfig": given.guardrail_config,
        "additionalModelResponseFieldPaths": given.additional_model_response_field_paths,
        "performanceConfig": given.performance_config,
        "promptVariables": given.prompt_variables,
        "serviceTier": given.service_tier,
    }
    top_k = _top_k(given.additional_model_request_fields, extras)
    refuse_unsupported(extras, _UNSUPPORTED)
    messages = read_messages(given.system, given.messages)
    tools, choice = read_tools(given.tool_config)
    schema = read_schema(given.output_config)
    sampling = _sampling(given.inference_config or Inference(), top_k)
    return GenerateRequest(ident, model, messages, None, sampling, tools, choice, schema)


def _sampling(given: Inference, top_k: int | None) -> Sampling:
    _in_range("maxTokens", given.max_tokens, 1, ANSWER_TOKENS_MAX)
    _in_range("temperature", given.temperature, 0, 1)
    _in_range("topP", given.top_p, 0, 1)
    stops = tuple(given.stop_sequences or ())
    place = "inferenceConfig.stopSequences"
    if len(stops) > REQUEST_STOPS_MAX:
        raise wrong(place, f"at most {REQUEST_STOPS_MAX}, got {len(stops)}")
    if not all(0 < len(text) <= _STOP_LENGTH_MAX for text in stops):
        raise wrong(place, f"a sequence has 1 to {_STOP_LENGTH_MAX} characters")
    return Sampling(given.max_tokens, given.temperature, given.top_p, None, stops, top_k=top_k)


def _top_k(raw: msgspec.Raw, extras: dict[str, msgspec.Raw]) -> int | None:
    """The one field that models of this API have beside the common ones and that we have too.

    AWS' pages call it `top_k` for some models, `topK` for others, and for Nova it stands in an
    `inferenceConfig` of its own. The rest is added to `extras`, to be refused by name.
    """
    if raw is ABSENT:
        return None
    given = _object(raw, _ADDITIONAL)
    own = _object(given.pop("inferenceConfig", _NULL), f"{_ADDITIONAL}.inferenceConfig")
    found = [*_fields("", given, extras), *_fields("inferenceConfig.", own, extras)]
    if len(found) > 1:
        raise wrong(found[0][0], f"it is also set as '{found[1][0]}'")
    return found[0][1] if found else None


def _object(raw: msgspec.Raw, place: str) -> dict[str, msgspec.Raw]:
    try:
        return _additional.decode(raw) or {}
    except msgspec.DecodeError as error:
        raise wrong(place, "expected an object") from error


def _fields(
    prefix: str, given: dict[str, msgspec.Raw], extras: dict[str, msgspec.Raw]
) -> Iterator[tuple[str, int]]:
    """Each `top_k`, with its place. Null asks for nothing; any other value adds to `extras`."""
    for name, value in given.items():
        place = f"{_ADDITIONAL}.{prefix}{name[:_SHOWN_MAX]}"
        if value == _NULL:
            continue
        if name in ("top_k", "topK"):
            yield place, _read_top_k(value, place)
        elif len(extras) < _NAMED_MAX:  # as many are refused already
            extras[place] = _SET


def _read_top_k(raw: msgspec.Raw, place: str) -> int:
    try:
        value = _count.decode(raw)
    except msgspec.DecodeError as error:
        raise wrong(place, "expected a whole number") from error
    if not 0 <= value <= TOP_K_MAX:
        raise wrong(place, f"expected a value from 0 to {TOP_K_MAX}")
    return value


def _in_range(name: str, value: float | None, low: float, high: float) -> None:
    if value is not None and not low <= value <= high:
        raise wrong(f"inferenceConfig.{name}", f"expected a value from {low} to {high}")
