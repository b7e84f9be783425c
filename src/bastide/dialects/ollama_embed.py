# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Ollama embeddings: ``/api/embed``, and the older ``/api/embeddings`` with one `prompt`."""

from typing import Any

import msgspec

from bastide.core.chat import Embedded
from bastide.core.errors import Misconfigured
from bastide.core.snapshot import Served
from bastide.dialects.embedding_fields import dimensions_in, embed_request
from bastide.dialects.ollama_fields import ollama_name
from bastide.dialects.openai_fields import decode_body
from bastide.dialects.surface import Vectors

__all__ = ["decode", "decode_old"]

_encode = msgspec.json.Encoder().encode


class _Request(msgspec.Struct):
    model: str | None = None
    input: Any = None
    dimensions: int | None = None


class _OldRequest(msgspec.Struct):
    model: str | None = None
    prompt: str | None = None


_decoder = msgspec.json.Decoder(_Request)
_old_decoder = msgspec.json.Decoder(_OldRequest)


def decode(body: bytes, ident: str) -> Vectors:
    """Read a request. Raises Misconfigured. `truncate` is of no effect: nothing is ever cut."""
    given = decode_body(_decoder, body)
    if given.input is None:
        raise Misconfigured("Missing 'input'.", place="input")
    texts = given.input if isinstance(given.input, list) else [given.input]
    dimensions = dimensions_in("dimensions", given.dimensions)
    request = embed_request(ident, ollama_name(given.model), texts, dimensions, "input")

    def write(made: Embedded, served: Served) -> bytes:
        return _encode(
            {
                "model": served.name,
                "embeddings": made.vectors,
                "prompt_eval_count": made.prompt_tokens,
            }
        )

    return Vectors(request, write)


def decode_old(body: bytes, ident: str) -> Vectors:
    """Read a request of the older kind. Raises Misconfigured."""
    given = decode_body(_old_decoder, body)
    request = embed_request(ident, ollama_name(given.model), [given.prompt or ""], None, "prompt")

    def write(made: Embedded, served: Served) -> bytes:
        return _encode({"embedding": made.vectors[0]})

    return Vectors(request, write)
