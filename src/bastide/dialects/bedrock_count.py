# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Bedrock CountTokens: ``POST /model/{id}/count-tokens``.

It takes what Converse takes, or the base64 of what InvokeModel takes.
"""

import base64
import binascii
from typing import Final

import msgspec

from bastide.core.chat import GenerateRequest
from bastide.dialects import bedrock_converse
from bastide.dialects.bedrock_body import read_body, wrong
from bastide.dialects.bedrock_invoke import Invocation
from bastide.dialects.openai_fields import ABSENT

__all__ = ["decode", "encode"]


class _Invoke(msgspec.Struct):
    body: str


class _Input(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    converse: msgspec.Raw = ABSENT
    invoke_model: _Invoke | None = None


class _Body(msgspec.Struct):
    input: _Input


_decoder: Final = msgspec.json.Decoder(_Body)
_encode = msgspec.json.Encoder().encode


def decode(body: bytes, ident: str, *, model: str) -> GenerateRequest:
    """Read a request. Raises Misconfigured, naming the field."""
    given = read_body(_decoder, body).input
    conversing = given.converse is not ABSENT
    if conversing == (given.invoke_model is not None):
        raise wrong("input", "either 'converse' or 'invokeModel'")
    if given.invoke_model is None:
        return bedrock_converse.decode_count(bytes(given.converse), ident, model=model)
    try:
        inner = base64.b64decode(given.invoke_model.body, validate=True)
    except (binascii.Error, ValueError) as error:
        raise wrong("input.invokeModel.body", "expected base64") from error
    return Invocation(model, stream=False, headers={}).count(inner, ident)


def encode(tokens: int) -> bytes:
    """How many tokens a request has."""
    return _encode({"inputTokens": tokens})
