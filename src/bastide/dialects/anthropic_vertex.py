# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Anthropic's bodies as Vertex AI takes them: the model stands in the path, a version in the body.

``:streamRawPredict`` streams and ``:rawPredict`` does not; a body that says otherwise is refused.
Only ``count-tokens:rawPredict`` has the model in its body.
"""

from typing import Any, Final

import msgspec

from bastide.core.chat import GenerateRequest
from bastide.core.errors import Misconfigured
from bastide.dialects import anthropic_messages
from bastide.dialects.openai_fields import decode_body
from bastide.dialects.surface import Asked

__all__ = ["decode", "decode_count"]

_VERSIONS: Final = ("vertex-2023-10-16", "2026-10-21")
_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])
_encode = msgspec.json.Encoder().encode


def decode(body: bytes, ident: str, *, model: str, streams: bool) -> Asked:
    """Read a request. Raises Misconfigured, whose message begins with the field."""
    fields = _fields(body)
    if "model" in fields:
        raise Misconfigured("model: Extra inputs are not permitted.", place="model")
    if "stream" in fields and bytes(fields["stream"]) != (b"true" if streams else b"false"):
        raise Misconfigured("stream: not what the path asks for.", place="stream")
    named: dict[str, Any] = {**fields, "model": model, "stream": streams}
    return anthropic_messages.decode(_encode(named), ident)


def decode_count(body: bytes, ident: str) -> GenerateRequest:
    """Read a request whose tokens shall be counted. Raises Misconfigured."""
    return anthropic_messages.decode_count(_encode(_fields(body)), ident)


def _fields(body: bytes) -> dict[str, Any]:
    fields = decode_body(_decoder, body)
    if bytes(fields.pop("anthropic_version", b"")) not in map(_encode, _VERSIONS):
        raise Misconfigured(
            f"anthropic_version: expected {' or '.join(_VERSIONS)}.", place="anthropic_version"
        )
    return fields
