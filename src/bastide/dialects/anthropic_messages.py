# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Anthropic messages: ``POST /v1/messages`` and ``/v1/messages/count_tokens``.

The vectors in tests/vectors/anthropic/ are the specification by example.
"""

from typing import Final

import msgspec

from bastide.core.chat import GenerateRequest, Message, Sampling
from bastide.core.limits import ANSWER_TOKENS_MAX, REQUEST_STOPS_MAX, TOP_K_MAX
from bastide.dialects.anthropic_body import Body, read_body, wrong
from bastide.dialects.anthropic_tools import read_choice, read_schema, read_tools
from bastide.dialects.anthropic_turns import read_messages, read_text
from bastide.dialects.anthropic_writer import MessageWriter
from bastide.dialects.surface import Asked

__all__ = ["MessageWriter", "decode", "decode_count", "encode_count"]

_MODEL_LENGTH_MAX: Final = 256
_STOP_LENGTH_MAX: Final = 1_024
_encode = msgspec.json.Encoder().encode


def decode(body: bytes, ident: str) -> Asked:
    """Read a request. Raises Misconfigured, whose message begins with the field."""
    given = read_body(body)
    if given.max_tokens is None:
        raise wrong("max_tokens", "Field required")
    return Asked(_request(given, ident), bool(given.stream), usage=True)


def decode_count(body: bytes, ident: str) -> GenerateRequest:
    """Read a request whose tokens shall be counted. Raises Misconfigured."""
    return _request(read_body(body), ident)


def encode_count(tokens: int) -> bytes:
    """How many tokens a request has."""
    return _encode({"input_tokens": tokens})


def _request(given: Body, ident: str) -> GenerateRequest:
    if not given.model:
        raise wrong("model", "Field required")
    if len(given.model) > _MODEL_LENGTH_MAX:
        raise wrong("model", "the name is too long")
    messages = read_messages(given.messages)
    system = "" if given.system is None else read_text(given.system, "system")
    if system:
        messages = (Message("system", system), *messages)
    tools = read_tools(given.tools or ())
    choice = read_choice(given.tool_choice, tools)
    return GenerateRequest(
        ident,
        given.model,
        messages,
        None,
        _sampling(given),
        tools,
        choice,
        read_schema(given),
    )


def _sampling(given: Body) -> Sampling:
    _in_range("max_tokens", given.max_tokens, 0, ANSWER_TOKENS_MAX)
    _in_range("temperature", given.temperature, 0, 1)
    _in_range("top_p", given.top_p, 0, 1)
    _in_range("top_k", given.top_k, 0, TOP_K_MAX)
    stops = tuple(given.stop_sequences or ())
    if len(stops) > REQUEST_STOPS_MAX:
        raise wrong("stop_sequences", f"at most {REQUEST_STOPS_MAX}, got {len(stops)}")
    if not all(0 < len(text) <= _STOP_LENGTH_MAX for text in stops):
        raise wrong("stop_sequences", f"a sequence has 1 to {_STOP_LENGTH_MAX} characters")
    return Sampling(
        given.max_tokens, given.temperature, given.top_p, None, stops, top_k=given.top_k
    )


def _in_range(name: str, value: float | None, low: int, high: int) -> None:
    if value is not None and not low <= value <= high:
        raise wrong(name, f"expected a value from {low} to {high}")
