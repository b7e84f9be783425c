# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Bedrock InvokeModel with bodies for embeddings: Titan's (`inputText`) and Cohere's (`texts`)."""

from typing import Any

import msgspec

from bastide.core.chat import Embedded
from bastide.core.errors import Misconfigured
from bastide.core.snapshot import Served
from bastide.dialects.embedding_fields import dimensions_in, embed_request
from bastide.dialects.openai_fields import decode_body
from bastide.dialects.surface import Vectors

__all__ = ["decode"]

_encode = msgspec.json.Encoder().encode


class _Titan(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    input_text: str | None = None
    dimensions: int | None = None
    normalize: bool | None = None
    embedding_types: list[str] | None = None


class _Cohere(msgspec.Struct, forbid_unknown_fields=True):
    texts: list[str] | None = None
    input_type: str | None = None
    truncate: str | None = None
    embedding_types: list[str] | None = None
    output_dimension: int | None = None
    max_tokens: int | None = None


_keys = msgspec.json.Decoder(dict[str, msgspec.Raw])
_titan = msgspec.json.Decoder(_Titan)
_cohere = msgspec.json.Decoder(_Cohere)


def decode(body: bytes, ident: str, *, model: str) -> Vectors:
    """Read a request; its fields say which of the two it is. Raises Misconfigured."""
    given = decode_body(_keys, body)
    if "inputText" in given:
        return _decode_titan(body, ident, model)
    if "texts" in given:
        return _decode_cohere(body, ident, model)
    raise Misconfigured(
        "This model makes embeddings: the body needs inputText (as for Titan) or texts (as for "
        "Cohere)."
    )


def _decode_titan(body: bytes, ident: str, model: str) -> Vectors:
    given = decode_body(_titan, body)
    if given.normalize is False:
        raise Misconfigured("normalize: this model's vectors have length 1.", place="normalize")
    _only_floats(given.embedding_types, "embeddingTypes")
    dimensions = dimensions_in("dimensions", given.dimensions)
    request = embed_request(ident, model, [given.input_text or ""], dimensions, "inputText")

    def write(made: Embedded, served: Served) -> bytes:
        (vector,) = made.vectors
        return _encode(
            {
                "embedding": vector,
                "embeddingsByType": {"float": vector},
                "inputTextTokenCount": made.prompt_tokens,
            }
        )

    return Vectors(request, write)


def _decode_cohere(body: bytes, ident: str, model: str) -> Vectors:
    given = decode_body(_cohere, body)
    if given.input_type == "image":
        raise Misconfigured("input_type: images are not supported.", place="input_type")
    if given.max_tokens is not None:
        raise Misconfigured("max_tokens: nothing is cut off here.", place="max_tokens")
    _only_floats(given.embedding_types, "embedding_types")
    dimensions = dimensions_in("output_dimension", given.output_dimension)
    request = embed_request(ident, model, given.texts or [], dimensions, "texts")

    def write(made: Embedded, served: Served) -> bytes:
        typed = given.embedding_types is not None
        vectors: Any = {"float": made.vectors} if typed else made.vectors
        kind = "embeddings_by_type" if typed else "embeddings_floats"
        rows = {"id": ident, "response_type": kind, "texts": request.texts}
        return _encode({**rows, "embeddings": vectors})

    return Vectors(request, write)


def _only_floats(types: list[str] | None, name: str) -> None:
    if types is not None and types != ["float"]:
        raise Misconfigured(f"{name}: only float is supported.", place=name)
