# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Bedrock InvokeModel: ``POST /model/{id}/invoke`` and its stream, with three forms of body.

* Anthropic messages, known by `anthropic_version`;
* Titan text, known by `inputText`;
* OpenAI chat completions, for an id that begins with ``openai.``.

Model and stream stand in the path. A stream has the events of that API without their SSE form:
each is the base64 `bytes` of a ``chunk``, and the last one has the counts.
"""

import base64
import re
from collections.abc import Callable
from typing import Any, Final

import msgspec

from bastide.core.chat import CallPart, Delta, GenerateRequest, Said, Usage
from bastide.core.errors import Misconfigured
from bastide.dialects import anthropic_messages, bedrock_titan, openai_chat
from bastide.dialects.eventstream import encode_frame, event_headers
from bastide.dialects.openai_fields import decode_body
from bastide.dialects.surface import Asked, Context, Headers, Writer

__all__ = ["Invocation", "InvokeWriter"]

_VERSIONS: Final = ("bedrock-2023-05-31", "2026-10-21")  # the second is what anthropic 2.x sends
_OPENAI: Final = re.compile(r"([a-z-]{2,8}\.)?openai\..*", re.DOTALL)  # a region may come before
# Headers that would change the answer, with the values that ask for nothing.
_UNSUPPORTED: Final[dict[str, tuple[bytes, ...]]] = {
    "X-Amzn-Bedrock-GuardrailIdentifier": (b"",),
    "X-Amzn-Bedrock-PerformanceConfig-Latency": (b"", b"standard"),
    "X-Amzn-Bedrock-Service-Tier": (b"", b"default"),
}
_CHUNK = event_headers("chunk")
_SSE_DATA: Final = re.compile(rb"(?:^|\n)data: (.+)")
_QUIET: Final = (b"[DONE]", b'{"type":"ping"}')  # Bedrock has neither
_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])
_encode = msgspec.json.Encoder().encode


class Invocation:
    """One request: its body says how the answer is written. Read it before you write."""

    def __init__(self, model: str, *, stream: bool, headers: Headers) -> None:
        self._model = model
        self._stream = stream
        self._headers = headers
        self._writer: Callable[[Context], Writer] = anthropic_messages.MessageWriter

    def decode(self, body: bytes, ident: str) -> Asked:
        """Read the request. Raises Misconfigured, naming the field or the header."""
        self._refuse_headers()
        fields: dict[str, Any] = decode_body(_decoder, body)
        if _OPENAI.fullmatch(self._model):
            self._writer = openai_chat.ChatWriter
            fields["stream"] = self._stream
            if not self._stream:
                fields.pop("stream_options", None)
            return openai_chat.decode(_encode(fields), ident, self._model)
        if "anthropic_version" in fields:
            return self._anthropic(fields, ident)
        if "inputText" in fields:
            self._writer = bedrock_titan.TitanWriter
            return bedrock_titan.decode(body, ident, model=self._model, stream=self._stream)
        raise Misconfigured(
            "This model reads bodies with 'anthropic_version' and 'messages', or with 'inputText';"
            " an id that begins with 'openai.' takes chat completions.",
            place="anthropic_version",
        )

    def count(self, body: bytes, ident: str) -> GenerateRequest:
        """Read a request whose tokens shall be counted. Raises Misconfigured."""
        return self.decode(body, ident).request

    def writer(self, context: Context) -> Writer:
        """Who writes the answer to what `decode` read."""
        return InvokeWriter(context, self._writer)

    def _anthropic(self, fields: dict[str, Any], ident: str) -> Asked:
        if bytes(fields.pop("anthropic_version")) not in map(_encode, _VERSIONS):
            raise Misconfigured(
                f"anthropic_version: expected {' or '.join(_VERSIONS)}.",
                place="anthropic_version",
            )
        for name in ("model", "stream"):
            if name in fields:
                raise Misconfigured(f"{name}: Extra inputs are not permitted.", place=name)
        named = {**fields, "model": self._model, "stream": self._stream}
        return anthropic_messages.decode(_encode(named), ident)

    def _refuse_headers(self) -> None:
        asked_for = [
            name
            for name, harmless in _UNSUPPORTED.items()
            if self._headers.get(name.lower().encode(), b"") not in harmless
        ]
        if asked_for:
            raise Misconfigured(
                f"Unsupported: {', '.join(asked_for)} is not supported with this model.",
                reasons=asked_for,
                place=asked_for[0],
            )


class InvokeWriter:
    """Puts what another writer streams into frames; a whole answer is the other's own."""

    def __init__(self, context: Context, inner: Callable[[Context], Writer]) -> None:
        self._inner = inner(context)
        self._elapsed_ms = context.elapsed_ms
        self._first_ms = 0

    def first(self) -> bytes:
        """What opens a stream."""
        self._first_ms = self._elapsed_ms()
        return _frames(self._inner.first())

    def piece(self, text: str) -> bytes:
        """One piece of text."""
        return _frames(self._inner.piece(text))

    def call(self, part: CallPart) -> bytes:
        """One piece of a tool call."""
        return _frames(self._inner.call(part))

    def last(self, delta: Delta) -> bytes:
        """All that ends a stream; the last chunk has the counts."""
        assert delta.usage is not None
        return _frames(self._inner.last(delta), self._metrics(delta.usage))

    def whole(self, said: Said, delta: Delta) -> bytes:
        """The answer as one JSON object."""
        return self._inner.whole(said, delta)

    def _metrics(self, usage: Usage) -> bytes:
        counts = {
            "inputTokenCount": max(0, usage.prompt_tokens - usage.cached_tokens),
            "outputTokenCount": usage.completion_tokens,
            "cacheReadInputTokenCount": usage.cached_tokens,
            "cacheWriteInputTokenCount": 0,
            "invocationLatency": self._elapsed_ms(),
            "firstByteLatency": self._first_ms,
        }
        return b',"amazon-bedrock-invocationMetrics":' + _encode(counts) + b"}"


def _frames(events: bytes, metrics: bytes = b"") -> bytes:
    """The data of server-sent events as frames; `metrics` goes into the last object."""
    rows = [row for row in _SSE_DATA.findall(events) if row not in _QUIET]
    if metrics and rows:
        rows[-1] = rows[-1].removesuffix(b"}") + metrics
    return b"".join(encode_frame(_CHUNK, b'{"bytes":"%b"}' % base64.b64encode(row)) for row in rows)
