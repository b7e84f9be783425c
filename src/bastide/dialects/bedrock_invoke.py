# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Bedrock InvokeModel with Anthropic-messages bodies: ``POST /model/{id}/invoke`` and its stream.

The body is that of the Anthropic API without `model` and `stream`, which stand in the path, and
with an `anthropic_version`. A stream has the same events without their SSE form: each is the
base64 `bytes` of a ``chunk``, and the last one has the counts.
"""

import base64
from typing import Any, Final

import msgspec

from bastide.core.chat import Delta
from bastide.core.errors import Misconfigured
from bastide.dialects import anthropic_messages
from bastide.dialects.eventstream import encode_frame, event_headers
from bastide.dialects.openai_fields import decode_body
from bastide.dialects.surface import Asked, Context, Headers

__all__ = ["InvokeWriter", "decode"]

_VERSIONS: Final = ("bedrock-2023-05-31", "2026-10-21")  # the second is what anthropic 2.x sends
# Headers that would change the answer, with the values that ask for nothing.
_UNSUPPORTED: Final[dict[str, tuple[bytes, ...]]] = {
    "X-Amzn-Bedrock-GuardrailIdentifier": (b"",),
    "X-Amzn-Bedrock-PerformanceConfig-Latency": (b"", b"standard"),
    "X-Amzn-Bedrock-Service-Tier": (b"", b"default"),
}
_CHUNK = event_headers("chunk")
_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])
_encode = msgspec.json.Encoder().encode


def decode(body: bytes, ident: str, *, model: str, stream: bool, headers: Headers) -> Asked:
    """Read a request. Raises Misconfigured, naming the field or the header."""
    asked_for = [
        name
        for name, harmless in _UNSUPPORTED.items()
        if headers.get(name.lower().encode(), b"") not in harmless
    ]
    if asked_for:
        raise Misconfigured(
            f"Unsupported: {', '.join(asked_for)} is not supported with this model.",
            reasons=asked_for,
            place=asked_for[0],
        )
    fields = decode_body(_decoder, body)
    if bytes(fields.pop("anthropic_version", b"")) not in map(_encode, _VERSIONS):
        raise Misconfigured(
            f"anthropic_version: this model reads only bodies with {' or '.join(_VERSIONS)}.",
            place="anthropic_version",
        )
    for name in ("model", "stream"):
        if name in fields:
            raise Misconfigured(f"{name}: Extra inputs are not permitted.", place=name)
    named: dict[str, Any] = {**fields, "model": model, "stream": stream}
    return anthropic_messages.decode(_encode(named), ident)


class InvokeWriter:
    """Writes one answer, whole or as a stream of frames."""

    def __init__(self, context: Context) -> None:
        self._message = anthropic_messages.MessageWriter(context)
        self._elapsed_ms = context.elapsed_ms
        self._first_ms = 0

    def first(self) -> bytes:
        """The events that open a stream."""
        self._first_ms = self._elapsed_ms()
        return _frames(self._message.first())

    def piece(self, text: str) -> bytes:
        """One piece of text."""
        return _frames(self._message.piece(text))

    def last(self, delta: Delta) -> bytes:
        """Everything from the last delta to ``message_stop``, which has the counts."""
        assert delta.usage is not None
        counts = {
            "inputTokenCount": max(0, delta.usage.prompt_tokens - delta.usage.cached_tokens),
            "outputTokenCount": delta.usage.completion_tokens,
            "cacheReadInputTokenCount": delta.usage.cached_tokens,
            "cacheWriteInputTokenCount": 0,
            "invocationLatency": self._elapsed_ms(),
            "firstByteLatency": self._first_ms,
        }
        stop = {"type": "message_stop", "amazon-bedrock-invocationMetrics": counts}
        return _frames(self._message.last(delta)) + _frame(_encode(stop))

    def whole(self, text: str, delta: Delta) -> bytes:
        """The answer as one JSON object."""
        return self._message.whole(text, delta)


def _frames(events: bytes) -> bytes:
    """The events as frames, without pings and the stop: Bedrock sends its own."""
    out = b""
    for event in events.split(b"\n\n"):
        name, _, data = event.partition(b"\ndata: ")
        if data and name not in (b"event: ping", b"event: message_stop"):
            out += _frame(data)
    return out


def _frame(event: bytes) -> bytes:
    return encode_frame(_CHUNK, b'{"bytes":"%b"}' % base64.b64encode(event))
