# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Requests for embeddings of every family: whatever comes, it is read or refused in words."""

import base64
import json
import struct
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastide.core.chat import Embedded
from bastide.core.errors import Misconfigured
from bastide.core.limits import EMBED_TEXTS_MAX
from bastide.core.snapshot import Served
from bastide.dialects import bedrock_embed, google_embed, ollama_embed, openai_embeddings
from bastide.dialects.surface import Vectors

SERVED = Served("m", "r", "d", "s", "n", "x", 1, 512, 0, embeds=True)
Decode = Callable[[bytes, str], Vectors]
DECODERS: dict[str, Decode] = {
    "openai": openai_embeddings.decode,
    "azure": partial(openai_embeddings.decode, model="m"),
    "ollama": ollama_embed.decode,
    "ollama, older": ollama_embed.decode_old,
    "google, one": partial(google_embed.decode_single, model="m"),
    "google, batch": partial(google_embed.decode_batch, model="m"),
    "google, predict": partial(google_embed.decode_predict, model="m"),
    "bedrock": partial(bedrock_embed.decode, model="m"),
}
NAMES = ["model", "input", "prompt", "texts", "inputText", "content", "parts", "text", "requests"]
NAMES += ["instances", "parameters", "dimensions", "outputDimensionality", "embedContentConfig"]
NAMES += ["encoding_format", "normalize", "embedding_types", "embeddingTypes", "truncate"]
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4)
    ),
    max_leaves=12,
)


def read(decode: Decode, body: bytes) -> None:
    try:
        asked = decode(body, "ID")
    except Misconfigured as error:
        assert error.message
        return
    texts = asked.request.texts
    assert 0 < len(texts) <= EMBED_TEXTS_MAX
    assert all(isinstance(text, str) and text for text in texts)
    made = Embedded(tuple((0.6, 0.8) for _ in texts), 3)
    json.loads(asked.write(made, SERVED))


@pytest.mark.parametrize("name", DECODERS)
@given(body=st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(name: str, body: bytes) -> None:
    read(DECODERS[name], body)


@pytest.mark.parametrize("name", DECODERS)
@given(value=VALUES)
def test_any_json_is_read_or_refused(name: str, value: Any) -> None:
    read(DECODERS[name], json.dumps(value).encode())


@pytest.mark.parametrize("name", DECODERS)
def test_deep_and_long_bodies_are_refused(name: str) -> None:
    many = ["a"] * (EMBED_TEXTS_MAX + 1)
    row = {"content": {"parts": [{"text": "a"}]}}
    long = {"model": "m", "input": many, "prompt": "", "requests": [row] * len(many)}
    for body in (
        b'{"input":' * 5_000,
        b"[" * 100_000,
        json.dumps(long).encode(),
        json.dumps({"texts": many}).encode(),
        json.dumps({"instances": [{"content": "a"}] * len(many)}).encode(),
    ):
        with pytest.raises(Misconfigured):
            DECODERS[name](body, "ID")


@given(st.lists(st.floats(-1, 1, width=32), min_size=1, max_size=8))
def test_base64_holds_the_very_floats(vector: list[float]) -> None:
    body = {"model": "m", "input": "a", "encoding_format": "base64"}
    asked = openai_embeddings.decode(json.dumps(body).encode(), "ID")
    answer = json.loads(asked.write(Embedded((tuple(vector),), 1), SERVED))
    raw = base64.b64decode(answer["data"][0]["embedding"])
    assert list(struct.unpack(f"<{len(vector)}f", raw)) == vector


def test_the_sizes_of_a_batch_must_be_one() -> None:
    row: dict[str, Any] = {"content": {"parts": [{"text": "a"}]}, "outputDimensionality": 3}
    asked = DECODERS["google, batch"](json.dumps({"requests": [row, row]}).encode(), "ID")
    assert asked.request.dimensions == 3
    mixed = {"requests": [row, {**row, "outputDimensionality": 4}]}
    with pytest.raises(Misconfigured, match="differs"):
        DECODERS["google, batch"](json.dumps(mixed).encode(), "ID")
