# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""OpenAI embeddings: ``POST /v1/embeddings``, which Mistral's and Azure's clients use, too.

`data[].embedding` is a list of numbers or, as the official clients ask without saying so, the
base64 of 32-bit little-endian floats. An answer has also what only Mistral's clients demand: an
`id`, and `completion_tokens`.
"""

import base64
from typing import Any

import msgspec

from bastide.core.chat import Embedded
from bastide.core.errors import Misconfigured
from bastide.core.receipt import vector_bytes
from bastide.core.snapshot import Served
from bastide.dialects.embedding_fields import dimensions_in, embed_request
from bastide.dialects.openai_fields import decode_body, model_name, one_of
from bastide.dialects.surface import Vectors

__all__ = ["decode"]

_FORMATS = (None, "float", "base64")
_encode = msgspec.json.Encoder().encode


class _Request(msgspec.Struct):
    input: Any = None
    model: str | None = None
    dimensions: int | None = None
    encoding_format: str | None = None
    output_dimension: int | None = None  # Mistral's name
    output_dtype: str | None = None  # Mistral's


_decoder = msgspec.json.Decoder(_Request)


def decode(body: bytes, ident: str, *, model: str | None = None) -> Vectors:
    """Read a request; `model` is that of the path, if it has one. Raises Misconfigured."""
    given = decode_body(_decoder, body)
    if given.encoding_format not in _FORMATS:
        raise Misconfigured(
            "Invalid 'encoding_format': use 'float' or 'base64'.", place="encoding_format"
        )
    if given.output_dtype not in (None, "float"):
        raise Misconfigured(
            "Unsupported parameter: 'output_dtype' other than 'float' is not supported with this "
            "model.",
            place="output_dtype",
        )
    if given.input is None:
        raise Misconfigured("Missing required parameter: 'input'.", place="input")
    named = one_of(("dimensions", given.dimensions), ("output_dimension", given.output_dimension))
    texts = given.input if isinstance(given.input, list) else [given.input]
    chosen = model_name(given.model if model is None else model)
    request = embed_request(ident, chosen, texts, dimensions_in(*named), "input")
    in_base64 = given.encoding_format == "base64"

    def write(made: Embedded, served: Served) -> bytes:
        rows = [
            {"object": "embedding", "index": index, "embedding": _shown(vector, in_base64)}
            for index, vector in enumerate(made.vectors)
        ]
        usage = {
            "prompt_tokens": made.prompt_tokens,
            "completion_tokens": 0,
            "total_tokens": made.prompt_tokens,
        }
        top = {"id": f"embd-{ident}", "object": "list", "model": served.name}
        return _encode({**top, "data": rows, "usage": usage})

    return Vectors(request, write)


def _shown(vector: tuple[float, ...], in_base64: bool) -> str | tuple[float, ...]:
    return base64.b64encode(vector_bytes((vector,))).decode() if in_base64 else vector
