# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Google embeddings: ``:embedContent``, ``:batchEmbedContents``, and Vertex AI's ``:predict``.

The SDK asks the Gemini API by batches. For Vertex AI it asks by `predict`, but for models whose
names begin with ``gemini`` by `embedContent`, with the settings in `embedContentConfig`.
"""

from typing import Any, Final

import msgspec

from bastide.core.chat import Embedded
from bastide.core.errors import Misconfigured
from bastide.core.limits import EMBED_NUMBERS_MAX, EMBED_TEXTS_MAX
from bastide.core.snapshot import Served
from bastide.dialects.embedding_fields import embed_request
from bastide.dialects.google_fields import (
    IGNORED,
    READ,
    Shape,
    decode_json,
    fields,
    integer,
    refuse,
    rows,
    text,
)
from bastide.dialects.surface import Vectors

__all__ = ["decode_batch", "decode_predict", "decode_single"]

_CONFIG: Final[Shape] = {
    "audioTrackExtraction": (False,),
    "autoTruncate": IGNORED,  # nothing is ever cut
    "documentOcr": (False,),
    "outputDimensionality": READ,
    "taskType": IGNORED,
    "title": ("",),
}
_SINGLE: Final[Shape] = {**_CONFIG, "content": READ, "embedContentConfig": READ, "model": READ}
_BATCH: Final[Shape] = {"requests": READ}
_CONTENT: Final[Shape] = {"parts": READ, "role": IGNORED}
_PART: Final[Shape] = {"text": READ, "inlineData": (), "fileData": (), "videoMetadata": ()}
_PREDICT: Final[Shape] = {"instances": READ, "labels": IGNORED, "parameters": READ}
_INSTANCE: Final[Shape] = {
    "content": READ,
    "mimeType": ("", "text/plain"),
    "taskType": IGNORED,
    "title": ("",),
}
_PARAMETERS: Final[Shape] = {"autoTruncate": IGNORED, "outputDimensionality": READ}
_encode = msgspec.json.Encoder().encode


def decode_single(body: bytes, ident: str, *, model: str) -> Vectors:
    """Read an `embedContent`. Raises Misconfigured."""
    unsupported: list[str] = []
    words, dimensions = _one(decode_json(body), "", model, unsupported)
    refuse(unsupported)

    def write(made: Embedded, served: Served) -> bytes:
        embedding = {"values": made.vectors[0]}
        return _encode({"embedding": embedding, "usageMetadata": _usage(made)})

    return Vectors(embed_request(ident, model, [words], dimensions, "content"), write)


def decode_batch(body: bytes, ident: str, *, model: str) -> Vectors:
    """Read a `batchEmbedContents`. Raises Misconfigured."""
    unsupported: list[str] = []
    given = fields(decode_json(body), "", _BATCH, unsupported)
    asked = [
        _one(row, f"requests[{index}]", model, unsupported)
        for index, row in enumerate(_bounded(given.get("requests", []), "requests"))
    ]
    refuse(unsupported)
    widths = {dimensions for _, dimensions in asked}
    if len(widths) > 1:
        place = "requests[].outputDimensionality"
        raise Misconfigured(f"Unsupported: '{place}' differs within one batch.", place=place)

    def write(made: Embedded, served: Served) -> bytes:
        embeddings = [{"values": vector} for vector in made.vectors]
        return _encode({"embeddings": embeddings, "usageMetadata": _usage(made)})

    words = [word for word, _ in asked]
    width = widths.pop() if widths else None
    return Vectors(embed_request(ident, model, words, width, "requests"), write)


def decode_predict(body: bytes, ident: str, *, model: str) -> Vectors:
    """Read a `predict`. Raises Misconfigured."""
    unsupported: list[str] = []
    given = fields(decode_json(body), "", _PREDICT, unsupported)
    settings = fields(given.get("parameters", {}), "parameters", _PARAMETERS, unsupported)
    words = []
    for index, row in enumerate(_bounded(given.get("instances", []), "instances")):
        place = f"instances[{index}]"
        instance = fields(row, place, _INSTANCE, unsupported)
        words.append(text(instance.get("content", ""), f"{place}.content"))
    refuse(unsupported)
    dimensions = _dimensions(settings, "parameters.outputDimensionality")

    def write(made: Embedded, served: Served) -> bytes:
        # The engine counts all texts together, so only a single one has its own count.
        counted = {"token_count": made.prompt_tokens} if len(words) == 1 else {}
        predictions = [
            {"embeddings": {"values": vector, "statistics": {"truncated": False, **counted}}}
            for vector in made.vectors
        ]
        billed = {"billableCharacterCount": sum(map(len, words))}
        return _encode({"predictions": predictions, "metadata": billed})

    return Vectors(embed_request(ident, model, words, dimensions, "instances"), write)


def _one(value: Any, place: str, model: str, unsupported: list[str]) -> tuple[str, int | None]:
    """The text of one request for a vector, and its dimensions."""

    def at(name: str) -> str:
        return f"{place}.{name}" if place else name

    given = fields(value, place, _SINGLE, unsupported)
    if "model" in given and text(given["model"], at("model")).rpartition("/")[2] != model:
        raise Misconfigured(
            f"Invalid value at '{at('model')}': it is not the model of the path.", place=at("model")
        )
    nested = fields(
        given.get("embedContentConfig", {}), at("embedContentConfig"), _CONFIG, unsupported
    )
    parts = fields(given.get("content", {}), at("content"), _CONTENT, unsupported).get("parts", [])
    words = []
    for index, part in enumerate(rows(parts)):
        here = f"{at('content')}.parts[{index}]"
        words.append(text(fields(part, here, _PART, unsupported).get("text", ""), f"{here}.text"))
    return "".join(words), _dimensions({**nested, **given}, at("outputDimensionality"))


def _dimensions(given: dict[str, Any], place: str) -> int | None:
    value = given.get("outputDimensionality")
    return None if value is None else integer(value, place, 1, EMBED_NUMBERS_MAX)


def _bounded(value: Any, place: str) -> list[Any]:
    """The rows of a list, before any of them is looked at."""
    given = rows(value)
    if len(given) > EMBED_TEXTS_MAX:
        message = f"Invalid value at '{place}': at most {EMBED_TEXTS_MAX} are allowed."
        raise Misconfigured(message, place=place)
    return given


def _usage(made: Embedded) -> dict[str, Any]:
    detail = {"modality": "TEXT", "tokenCount": made.prompt_tokens}
    return {"promptTokenCount": made.prompt_tokens, "promptTokensDetails": [detail]}
