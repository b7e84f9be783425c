# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""BERT: what passes as a GGUF file, and how one is made of safetensors without a copy."""

import json
import math
import re
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastide.core.embedding import EMBEDDING_ARCHITECTURES
from bastide.core.errors import Refused
from bastide.formats import bert, gguf
from bastide.formats.faults import Faults
from bastide.formats.gguf_architectures import ARCHITECTURES
from bastide.formats.gguf_header import read_header
from bastide.formats.safetensors import read_tensors
from unit.model_files import (
    BOOL,
    F32,
    U32,
    Gguf,
    MemorySource,
    make_bert,
    make_gguf,
    make_sentence_model,
)


def reasons(made: Gguf) -> tuple[str, ...]:
    with pytest.raises(Refused) as caught:
        gguf.inspect(made.source())
    return caught.value.reasons


def sources(files: dict[str, bytes]) -> dict[str, MemorySource]:
    return {name: MemorySource(data) for name, data in files.items()}


def whole(source: Any, step: int = 1 << 20) -> bytes:
    return b"".join(source.read_at(at, step) for at in range(0, source.size, step))


def test_every_encoder_is_an_embedding_architecture_and_the_reverse():
    assert {name for name, row in ARCHITECTURES.items() if row.encoder} == EMBEDDING_ARCHITECTURES


def test_a_whole_bert_passes():
    found = gguf.inspect(make_bert().source())
    assert (found.architecture, found.context_tokens, found.vocabulary) == ("bert", 128, 64)
    assert found.template is None


@pytest.mark.parametrize(
    ("key", "kind", "value"),
    [
        ("bert.pooling_type", U32, 0),
        ("bert.pooling_type", U32, 3),
        ("bert.pooling_type", F32, 1.0),
        ("bert.attention.causal", BOOL, 1),
        ("bert.attention.layer_norm_epsilon", F32, 0.0),
        ("tokenizer.ggml.token_type_count", U32, 0),
        ("tokenizer.ggml.token_type_count", U32, 17),
        ("bert.expert_count", U32, 2),
    ],
)
def test_a_setting_that_would_pool_otherwise_is_refused(key: str, kind: int, value: Any):
    assert any(key in reason for reason in reasons(make_bert().set(key, kind, value)))


@pytest.mark.parametrize(
    "key",
    [
        "bert.pooling_type",
        "bert.attention.causal",
        "bert.attention.layer_norm_epsilon",
        "tokenizer.ggml.token_type_count",
        "tokenizer.ggml.bos_token_id",
        "tokenizer.ggml.seperator_token_id",
    ],
)
def test_a_setting_that_is_missing_is_refused(key: str):
    """llama.cpp would take the token 101 for a missing one; this vocabulary ends at 63."""
    assert any(key in reason for reason in reasons(make_bert().without(key)))


def test_the_positions_are_as_many_as_the_context():
    made = make_bert().reshape("position_embd.weight", (32, 64))
    assert reasons(made) == (
        "the tensor position_embd.weight has the shape (32, 64), expected (32, 128)",
    )


def test_a_model_that_answers_may_not_pool():
    made = make_gguf().set("llama.pooling_type", U32, 1)
    assert reasons(made) == ("llama.pooling_type is not supported",)


# Made of safetensors


def test_the_gguf_file_passes_and_holds_the_very_bytes_of_every_weight():
    files = make_sentence_model()
    made = bert.as_gguf(sources(files), "Apache-2.0")
    data = whole(made)
    assert len(data) == made.size
    assert gguf.inspect(MemorySource(data)).licence == "apache-2.0"
    header = read_header(MemorySource(data), Faults("x"))
    tensors = {tensor.name: tensor for tensor in header.tensors}
    start = -(-header.end // 32) * 32
    weights = files["model.safetensors"]
    base = 8 + struct.unpack("<Q", weights[:8])[0]
    for name, ours in (
        ("encoder.layer.0.intermediate.dense.weight", "blk.0.ffn_up.weight"),
        ("encoder.layer.0.attention.output.LayerNorm.bias", "blk.0.attn_output_norm.bias"),
        ("embeddings.word_embeddings.weight", "token_embd.weight"),
    ):
        (row,) = [t for t in read_tensors(MemorySource(weights), Faults("x")) if t.name == name]
        at = start + tensors[ours].offset
        size = 4 * math.prod(row.shape)
        assert data[at : at + size] == weights[base + row.start : base + row.end]
        assert tensors[ours].shape == row.shape[::-1]
    assert not any("pooler" in name for name in tensors)


def test_the_words_are_spelt_as_llama_cpp_looks_them_up():
    data = whole(bert.as_gguf(sources(make_sentence_model()), "Apache-2.0"))
    for token in ("\u2581wall", "s", "[CLS]"):
        raw = token.encode()
        assert struct.pack("<Q", len(raw)) + raw in data
    assert b"##s" not in data


_MADE = bert.as_gguf(sources(make_sentence_model()), "Apache-2.0")
_WHOLE = whole(_MADE)


@given(st.integers(0, len(_WHOLE) + 50), st.integers(0, len(_WHOLE) + 50))
def test_any_part_of_the_file_is_the_part_of_the_whole(offset: int, length: int):
    assert _MADE.read_at(offset, length) == _WHOLE[offset : offset + length]


def changed(name: str, **fields: Any) -> dict[str, bytes]:
    files = make_sentence_model()
    files[name] = json.dumps(json.loads(files[name]) | fields).encode()
    return files


MODEL = json.loads(make_sentence_model()["tokenizer.json"])["model"]


@pytest.mark.parametrize(
    ("files", "says"),
    [
        (changed("config.json", hidden_act="relu"), "hidden_act"),
        (changed("config.json", model_type="roberta"), "model_type"),
        (changed("config.json", position_embedding_type="relative_key"), "position_embedding_type"),
        (changed("config.json", hidden_size="4"), "hidden_size"),
        (changed("config.json", num_hidden_layers=10**9), "block_count"),
        (changed("config.json", layer_norm_eps=2.0), "layer_norm_eps"),
        (changed("1_Pooling/config.json", pooling_mode_cls_token=True), "1_Pooling"),
        (changed("1_Pooling/config.json", pooling_mode_mean_tokens=False), "1_Pooling"),
        (changed("tokenizer.json", normalizer={"lowercase": False}), "capital"),
        (changed("tokenizer.json", model=MODEL | {"type": "BPE"}), "WordPiece"),
        (changed("tokenizer.json", model=MODEL | {"vocab": {"[PAD]": 3}}), "numbers"),
        (changed("tokenizer.json", model=MODEL | {"vocab": {"a": 0}}), r"\[CLS\]"),
        ({**make_sentence_model(), "config.json": b"[]"}, "config.json"),
        ({**make_sentence_model(), "model.safetensors": b"\x80\x04."}, "safetensors"),
        ({"config.json": b"{}"}, "model.safetensors is missing"),
    ],
)
def test_parts_that_the_engine_would_read_otherwise_are_refused(files: dict[str, bytes], says: str):
    with pytest.raises(Refused) as caught:
        made = bert.as_gguf(sources(files), "Apache-2.0")
        gguf.inspect(made)
    assert any(re.search(says, reason) for reason in caught.value.reasons)
