# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Anthropic messages: ``POST /v1/messages``.

The vectors in tests/vectors/anthropic/ are the specification by example. As the API itself does,
we refuse fields that we do not know, and join turns of the same role.
"""

import re
from operator import attrgetter
from typing import Any, Final

import msgspec

from bastide.core.chat import Delta, FinishReason, GenerateRequest, Message, Sampling, Usage
from bastide.core.errors import Misconfigured
from bastide.core.limits import ANSWER_TOKENS_MAX, REQUEST_MESSAGES_MAX, REQUEST_STOPS_MAX
from bastide.dialects.openai_fields import ABSENT, refuse_unsupported
from bastide.dialects.surface import Asked, Context

__all__ = ["MessageWriter", "decode"]

# Fields that would change the answer, with the values that ask for nothing.
_UNSUPPORTED: Final[dict[str, tuple[Any, ...]]] = {
    "container": (),
    "context_management": ({}, {"edits": []}),
    "inference_geo": (),
    "mcp_servers": ([],),
    "output_config": ({}, {"format": None}),
    "output_format": (),
    "speed": ("standard",),
    "thinking": ({"type": "disabled"},),
    "tool_choice": ({"type": "none"}, {"type": "auto"}),
    "tools": ([],),
    "top_k": (),
}
_ROLES: Final = ("user", "assistant", "system")
_MODEL_LENGTH_MAX: Final = 256
_STOP_LENGTH_MAX: Final = 1_024
_SHOWN_MAX: Final = 100
_PLACE: Final = re.compile(r"^(?P<text>.*?)(?: - at `\$\.?(?P<place>.*)`)?$", re.DOTALL)
_UNKNOWN: Final = re.compile(r"^Object contains unknown field `(?P<name>.*)`$", re.DOTALL)
_STOP_REASONS: Final = {FinishReason.STOP: "end_turn", FinishReason.LENGTH: "max_tokens"}
_NAMES: Final = tuple(_UNSUPPORTED)
_unsupported_of = attrgetter(*_NAMES)
_ALL_ABSENT: Final = (ABSENT,) * len(_NAMES)
_encode = msgspec.json.Encoder().encode


class _Block(msgspec.Struct):
    type: str
    text: str | None = None
    citations: msgspec.Raw = ABSENT


class _Turn(msgspec.Struct, forbid_unknown_fields=True):
    role: str
    content: str | list[_Block]


class _Body(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    model: str | None = None
    messages: list[_Turn] | None = None
    max_tokens: int | None = None
    system: str | list[_Block] | None = None
    stop_sequences: list[str] | None = None
    temperature: float | None = None
    top_p: float | None = None
    stream: bool | None = None
    container: msgspec.Raw = ABSENT
    context_management: msgspec.Raw = ABSENT
    inference_geo: msgspec.Raw = ABSENT
    mcp_servers: msgspec.Raw = ABSENT
    output_config: msgspec.Raw = ABSENT
    output_format: msgspec.Raw = ABSENT
    speed: msgspec.Raw = ABSENT
    thinking: msgspec.Raw = ABSENT
    tool_choice: msgspec.Raw = ABSENT
    tools: msgspec.Raw = ABSENT
    top_k: msgspec.Raw = ABSENT
    # What does not change the answer.
    anthropic_version: msgspec.Raw = ABSENT
    cache_control: msgspec.Raw = ABSENT
    diagnostics: msgspec.Raw = ABSENT
    metadata: msgspec.Raw = ABSENT
    service_tier: msgspec.Raw = ABSENT
    user_profile_id: msgspec.Raw = ABSENT


_decoder = msgspec.json.Decoder(_Body)


def decode(body: bytes, ident: str) -> Asked:
    """Read a request. Raises Misconfigured, whose message begins with the field."""
    given = _read(body)
    unsupported = _unsupported_of(given)
    if unsupported != _ALL_ABSENT:
        refuse_unsupported(dict(zip(_NAMES, unsupported, strict=True)), _UNSUPPORTED)
    if not given.model:
        raise _wrong("model", "Field required")
    if len(given.model) > _MODEL_LENGTH_MAX:
        raise _wrong("model", "the name is too long")
    if given.max_tokens is None:
        raise _wrong("max_tokens", "Field required")
    _in_range("max_tokens", given.max_tokens, 1, ANSWER_TOKENS_MAX)
    _in_range("temperature", given.temperature, 0, 1)
    _in_range("top_p", given.top_p, 0, 1)
    messages = _messages(given.messages)
    system = "" if given.system is None else _text(given.system, "system")
    if system:
        messages = (Message("system", system), *messages)
    sampling = Sampling(
        given.max_tokens, given.temperature, given.top_p, None, _stops(given.stop_sequences)
    )
    request = GenerateRequest(ident, given.model, messages, None, sampling)
    return Asked(request, bool(given.stream), usage=True)


class MessageWriter:
    """Writes one answer, whole or as a stream of named events."""

    def __init__(self, context: Context) -> None:
        self._ident = f"msg_{context.ident}"
        self._model = context.model

    def first(self) -> bytes:
        """The message without its text, the start of its one block, and a ping."""
        # The engine counts the prompt with the answer: `message_delta` has the numbers.
        message = self._message([], None, Usage())
        block = {"type": "text", "text": "", "citations": None}
        return (
            _event("message_start", {"message": message})
            + _event("content_block_start", {"index": 0, "content_block": block})
            + _event("ping", {})
        )

    def piece(self, text: str) -> bytes:
        """One piece of text."""
        return _BEFORE + _encode(text) + _AFTER

    def last(self, delta: Delta) -> bytes:
        """Everything from the last delta to ``message_stop``."""
        assert delta.finish is not None and delta.usage is not None
        end = {
            "stop_reason": _STOP_REASONS[delta.finish],
            "stop_sequence": None,
            "stop_details": None,
            "container": None,
        }
        return (
            (self.piece(delta.text) if delta.text else b"")
            + _event("content_block_stop", {"index": 0})
            + _event("message_delta", {"delta": end, "usage": _counts(delta.usage)})
            + _event("message_stop", {})
        )

    def whole(self, text: str, delta: Delta) -> bytes:
        """The answer as one JSON object."""
        assert delta.finish is not None and delta.usage is not None
        content = [{"type": "text", "text": text, "citations": None}]
        return _encode(self._message(content, _STOP_REASONS[delta.finish], delta.usage))

    def _message(
        self, content: list[dict[str, Any]], reason: str | None, usage: Usage
    ) -> dict[str, Any]:
        return {
            "id": self._ident,
            "type": "message",
            "role": "assistant",
            "model": self._model,
            "content": content,
            "stop_reason": reason,
            "stop_sequence": None,
            "stop_details": None,
            "container": None,
            "usage": {**_counts(usage), "service_tier": "standard"},
        }


def _event(kind: str, row: dict[str, Any]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), _encode({"type": kind, **row}))


# Only the text differs from piece to piece, so all around it is encoded once.
_BEFORE, _, _AFTER = _event(
    "content_block_delta", {"index": 0, "delta": {"type": "text_delta", "text": ""}}
).partition(b'""')


def _counts(usage: Usage) -> dict[str, int]:
    """Prompt tokens that were found in the cache are not among `input_tokens` here."""
    return {
        "input_tokens": max(0, usage.prompt_tokens - usage.cached_tokens),
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": usage.cached_tokens,
        "output_tokens": usage.completion_tokens,
    }


def _read(body: bytes) -> _Body:
    try:
        return _decoder.decode(body)
    except msgspec.ValidationError as error:
        found = _PLACE.match(str(error))
        assert found is not None  # the pattern takes any text
        place = re.sub(r"\[(\d+)\]", r".\1", found["place"] or "")[:_SHOWN_MAX]
        unknown = _UNKNOWN.match(found["text"])
        if unknown is None:
            raise _wrong(place or "body", found["text"][: 2 * _SHOWN_MAX]) from error
        name = ".".join(filter(None, (place, unknown["name"][:_SHOWN_MAX])))
        raise Misconfigured(
            f"{name}: Extra inputs are not permitted.", reasons=[name], place=name
        ) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Misconfigured(f"The body of the request is not JSON: {error}.") from error
    except RecursionError as error:
        raise Misconfigured("The body of the request is nested too deeply.") from error


def _messages(turns: list[_Turn] | None) -> tuple[Message, ...]:
    if turns is None:
        raise _wrong("messages", "Field required")
    if not turns:
        raise _wrong("messages", "at least one message is required")
    if len(turns) > REQUEST_MESSAGES_MAX:
        raise _wrong("messages", f"at most {REQUEST_MESSAGES_MAX}, got {len(turns)}")
    if turns[-1].role == "assistant":
        raise Misconfigured(
            "messages: This model does not support assistant message prefill. "
            "The conversation must end with a user message.",
            reasons=["messages"],
            place="messages",
        )
    joined: list[tuple[str, list[str]]] = []
    for index, turn in enumerate(turns):
        place = f"messages.{index}"
        if turn.role not in _ROLES:
            raise _wrong(f"{place}.role", f"expected one of {', '.join(_ROLES)}")
        text = _text(turn.content, f"{place}.content")
        if joined and joined[-1][0] == turn.role:
            joined[-1][1].append(text)
        else:
            joined.append((turn.role, [text]))
    return tuple(Message(role, "\n".join(texts)) for role, texts in joined)


def _text(content: str | list[_Block], place: str) -> str:
    if isinstance(content, str):
        return content
    if not content:
        raise _wrong(place, "at least one block is required")
    return "\n".join([_of_block(block, f"{place}.{index}") for index, block in enumerate(content)])


def _of_block(block: _Block, place: str) -> str:
    if block.type != "text":
        kind = block.type[:_SHOWN_MAX]
        raise Misconfigured(
            f"{place}.type: '{kind}' is not supported; this model reads only blocks of 'text'.",
            reasons=[f"{place}.type"],
            place=f"{place}.type",
        )
    if block.citations is not ABSENT:
        refuse_unsupported({f"{place}.citations": block.citations}, {"citations": ([],)})
    if block.text is None:
        raise _wrong(f"{place}.text", "Field required")
    return block.text


def _stops(stops: list[str] | None) -> tuple[str, ...]:
    if not stops:
        return ()
    if len(stops) > REQUEST_STOPS_MAX:
        raise _wrong("stop_sequences", f"at most {REQUEST_STOPS_MAX}, got {len(stops)}")
    if not all(0 < len(text) <= _STOP_LENGTH_MAX for text in stops):
        raise _wrong("stop_sequences", f"a sequence has 1 to {_STOP_LENGTH_MAX} characters")
    return tuple(stops)


def _in_range(name: str, value: float | None, low: int, high: int) -> None:
    if value is not None and not low <= value <= high:
        raise _wrong(name, f"expected a value from {low} to {high}")


def _wrong(place: str, what: str) -> Misconfigured:
    return Misconfigured(f"{place}: {what}.", place=place)
