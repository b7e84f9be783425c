# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Which models the engine openvino is given, and what it says of the others."""

import os
from collections.abc import Callable

import pytest

from bastide.adapters.engine import openvino_wire as wire
from bastide.adapters.engine.openvino_reader import examine, tiny_model
from bastide.core.chat import GenerateRequest
from bastide.core.embedding import EMBEDDING_ENGINE
from bastide.core.engine import engine_for, verify_evaluated
from bastide.core.errors import Misconfigured, Refused, TooLong, Unavailable
from bastide.formats.faults import Faults
from bastide.formats.gguf_header import read_header
from bastide.formats.gguf_layout import check_layout
from unit.model_files import F32, STRING, U32, Gguf, MemorySource, make_gguf, real_model


def examined(made: Gguf) -> object:
    descriptor = os.memfd_create("model")
    try:
        os.write(descriptor, made.encode())
        return examine(descriptor, "toy")
    finally:
        os.close(descriptor)


def good() -> Gguf:
    return make_gguf().set("tokenizer.ggml.pre", STRING, "smollm")


def test_the_built_in_model_is_read() -> None:
    descriptor = os.open(real_model(), os.O_RDONLY)
    try:
        assert examine(descriptor, "smollm2") == (49_152, None)
    finally:
        os.close(descriptor)


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda m: m.set("general.architecture", STRING, "gemma3"), "not gemma3"),
        (lambda m: m.set("tokenizer.ggml.model", STRING, "llama"), "kind gpt2, not llama"),
        (lambda m: m.set("tokenizer.ggml.pre", STRING, "llama-bpe"), "not as llama-bpe"),
        (lambda m: m.set("llama.expert_count", U32, 8), "experts"),
        (lambda m: m.set("llama.rope.scaling.factor", F32, 8.0), "scaled positions"),
        (lambda m: m.set("llama.attention.sliding_window", U32, 64), "window"),
    ],
)
def test_what_the_reader_would_overlook_is_refused(spoil: Callable[[Gguf], Gguf], why: str) -> None:
    assert examined(good())
    with pytest.raises(Misconfigured, match=why) as caught:
        examined(spoil(good()))
    assert "llamacpp" in caught.value.fix


def test_the_tiny_model_is_a_sound_file() -> None:
    data = tiny_model(300)
    faults = Faults("a GGUF file")
    source = MemorySource(data)
    check_layout(read_header(source, faults), source, faults)
    assert not faults


def test_a_deployment_gets_an_engine_that_can_serve_it() -> None:
    assert engine_for("llama", "m", "openvino") == "openvino"
    assert engine_for("gemma3", "m", "llamacpp") == "llamacpp"
    assert engine_for("bert", "m", "openvino") == EMBEDDING_ENGINE
    with pytest.raises(Misconfigured, match="not gemma3") as caught:
        engine_for("gemma3", "m", "openvino")
    assert "llamacpp" in caught.value.fix


def test_who_serves_is_who_was_evaluated() -> None:
    with_llamacpp = {"engine": {"name": "llama.cpp", "version": "1"}}
    with_openvino = {"engine": {"name": "OpenVINO GenAI", "version": "1"}}
    verify_evaluated("llamacpp", with_llamacpp)
    verify_evaluated("openvino", with_openvino)
    for engine, evaluation in (("openvino", with_llamacpp), ("llamacpp", with_openvino)):
        with pytest.raises(Refused, match="was evaluated with"):
            verify_evaluated(engine, evaluation)


def test_what_the_engine_says_is_hostile() -> None:
    for line in (b"{", b'{"made": -1}', b'{"prompt": 1e99}', b'{"tokens": [[1, 2]]}', b"[]"):
        with pytest.raises(Unavailable):
            wire.decode(line, 64)
    with pytest.raises(Unavailable, match="failed"):
        wire.decode(b'{"error": "x", "kind": "odd"}', 64)
    with pytest.raises(TooLong, match="has 70 tokens"):
        wire.decode(b'{"error": "too long", "kind": "too_long", "count": 70}', 64)


def test_a_schema_that_would_not_bind_is_refused() -> None:
    schema = '{"anyOf": [{"allOf": [{"type": "string"}, {"maxLength": 2}]}]}'
    with pytest.raises(Misconfigured, match="allOf"):
        wire.encode_request(GenerateRequest("i", "m", prompt="x", schema=schema), "generate")
