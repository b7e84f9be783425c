# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The GGUF validator: it admits real models, and refuses every file that breaks one rule."""

import os
import struct
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bastide.core import limits
from bastide.core.errors import Refused
from bastide.formats import gguf
from bastide.formats.gguf_architectures import ARCHITECTURES
from unit.model_files import (
    ARRAY,
    BOOL,
    F32,
    I32,
    STRING,
    TEMPLATE,
    U32,
    Gguf,
    MemorySource,
    make_gguf,
    real_model,
    text,
)

TOKENS = "tokenizer.ggml.tokens"


class FileSource:
    """A file as a Source that counts what is read."""

    def __init__(self, path: Path) -> None:
        self.descriptor = os.open(path, os.O_RDONLY)
        self.size = os.fstat(self.descriptor).st_size
        self.bytes_read = 0
        self.reads = 0

    def read_at(self, offset: int, length: int) -> bytes:
        self.reads += 1
        piece = os.pread(self.descriptor, length, offset)
        self.bytes_read += len(piece)
        return piece


def test_a_real_model_is_admitted_from_its_header_alone() -> None:
    source = FileSource(real_model())
    summary = gguf.inspect(source)
    os.close(source.descriptor)
    assert summary.architecture == "llama"
    assert summary.parameters == 134_515_008
    assert summary.context_tokens == 8_192
    assert summary.vocabulary == 49_152
    assert summary.licence == "apache-2.0"
    assert summary.template is not None
    assert summary.template.startswith("{% for message in messages %}")
    assert source.reads <= 12
    assert source.bytes_read < 5 * limits.MIB


def test_a_small_model_is_admitted() -> None:
    summary = gguf.inspect(make_gguf(blocks=3).source())
    assert (summary.format, summary.architecture) == ("gguf", "llama")
    assert (summary.vocabulary, summary.context_tokens) == (64, 128)
    assert summary.template == TEMPLATE
    assert summary.parameters == 64 * 32 + 32 + 3 * (64 + 2 * 1024 + 2 * 512 + 3 * 2048)


def test_the_last_tensor_may_go_without_padding() -> None:
    made = make_gguf()
    made.tensors.append(("rope_freqs.weight", (8,), 0))
    assert gguf.inspect(made.source()).architecture == "llama"
    made.alignment = 64
    made.set("general.alignment", U32, 64)
    whole = made.encode()
    assert gguf.inspect(MemorySource(whole[:-32])).architecture == "llama"
    refused(MemorySource(whole[:-33]), "tensors end at")
    refused(MemorySource(whole[:-1] + b"\1"), "padding after the last tensor")


def test_further_templates_are_reported_by_name() -> None:
    made = make_gguf().set("tokenizer.chat_template.tool_use", STRING, "{{ tools }}")
    assert gguf.inspect(made.source()).further_templates == (("tool_use", "{{ tools }}"),)
    made.set("tokenizer.chat_template.", STRING, "{{ hidden }}")
    refused(made.source(), "not a name for a chat template")


def test_every_architecture_of_the_table_names_known_lengths() -> None:
    lengths = {"embd", "vocab", "ff", "ff2", "q", "k", "v", "vq", "qkv", "head", "rot"}
    lengths |= {"ctx", "types"}
    for row in ARCHITECTURES.values():
        for shapes in (row.block, row.block_optional, row.outer, row.outer_optional):
            assert all(set(shape) <= lengths for shape in shapes.values())


def refused(source: MemorySource, reason: str) -> tuple[str, ...]:
    with pytest.raises(Refused) as caught:
        gguf.inspect(source)
    assert any(reason in one for one in caught.value.reasons), caught.value.reasons
    return caught.value.reasons


def spoil(**changes: Any) -> Callable[[Gguf], None]:
    return lambda made: made.__dict__.update(changes)


def put(key: str, kind: int, value: Any) -> Callable[[Gguf], object]:
    return lambda made: made.set(key, kind, value)


def add(key: str, raw: bytes) -> Callable[[Gguf], object]:
    """Append raw bytes in place of an entry."""
    return lambda made: made.entries.append((key, -1, text(key) + raw))


MALFORMED: dict[str, tuple[Callable[[Gguf], object], str]] = {
    "version 2": (spoil(version=2), "version 2 is not supported"),
    "big endian": (spoil(version=3 << 24), "big-endian"),
    "other magic": (spoil(magic=b"GGML"), "not GGUF"),
    "no tensors": (spoil(tensors=[]), "0 tensors"),
    "tensor bomb": (spoil(tensor_count=2**63), "tensors are not in"),
    "entry bomb": (spoil(entry_count=2**62), "keys are not in"),
    "more tensors than there are": (spoil(tensor_count=50), "plain ASCII"),
    "key twice": (lambda m: m.entries.append(m.entries[0]), "there twice"),
    "tensor twice": (lambda m: m.tensors.append(m.tensors[1]), "there twice"),
    "empty key": (put("", U32, 1), "empty or not plain ASCII"),
    "binary key": (put("a\nb", U32, 1), "empty or not plain ASCII"),
    "long key": (put("k" * 300, U32, 1), "longer than"),
    "unknown type": (add("x", struct.pack("<I", 13)), "unknown type 13"),
    "nested array": (add("x", struct.pack("<IIQ", 9, 9, 1)), "nested type"),
    "array bomb": (add("x", struct.pack("<IIQ", 9, 8, 2**63)), "claims"),
    "array beyond the file": (add("x", struct.pack("<IIQ", 9, 10, 10**6)), "ends inside"),
    "string bomb": (add("x", struct.pack("<IQ", 8, 2**63)), "longer than"),
    "item bomb": (add("x", struct.pack("<IIQQ", 9, 8, 1, 2**63)), "claims"),
    "not UTF-8": (put("x", STRING, b"\xff\xfe"), "not UTF-8"),
    "half a bool": (put("x", BOOL, 2), "neither true nor false"),
    "bools of 2": (put("x", ARRAY, (BOOL, [0, 1, 2])), "neither true nor false"),
    "not finite": (put("x", F32, float("nan")), "finite"),
    "alignment 3": (put("general.alignment", U32, 3), "power of two"),
    "alignment 0": (put("general.alignment", U32, 0), "power of two"),
    "alignment bomb": (put("general.alignment", U32, 1 << 31), "power of two"),
    "alignment as text": (put("general.alignment", STRING, "32"), "power of two"),
    "trailing data": (spoil(tail=b"x" * 40), "follow the last tensor"),
    "cut short": (spoil(tail=b""), ""),
    "hole": (spoil(offsets={"output_norm.weight": 1 << 20}), "expected at"),
    "overlap": (spoil(offsets={"output_norm.weight": 0}), "expected at"),
    "dirty padding": (spoil(header_padding=b"\1" * 13), "padding after the header"),
    "five dimensions": (lambda m: m.reshape("output_norm.weight", (1,) * 5), "5 dimensions"),
    "no dimension": (lambda m: m.reshape("output_norm.weight", ()), "0 dimensions"),
    "dimension 0": (lambda m: m.reshape("output_norm.weight", (0,)), "has the shape"),
    "dimension bomb": (lambda m: m.reshape("output_norm.weight", (2**63, 2**63)), "the shape"),
    "size bomb": (lambda m: m.reshape("output_norm.weight", (2**55,)), "claim over"),
    "type 4": (lambda m: m.reshape("output_norm.weight", (32,), 4), "not for weights"),
    "type 2**31": (lambda m: m.reshape("output_norm.weight", (32,), 1 << 31), "not for weights"),
    "integers": (lambda m: m.reshape("output_norm.weight", (32,), 26), "not for weights"),
    "half a block": (lambda m: m.reshape("output_norm.weight", (33,), 8), "no multiple of 32"),
    "vector of F16": (lambda m: m.reshape("output_norm.weight", (32,), 1), "must be F32"),
    "long tensor name": (lambda m: m.tensors.append(("t" * 64, (32,), 0)), "longer than 63"),
    "foreign tensor": (lambda m: m.tensors.append(("evil.weight", (32,), 0)), "does not belong"),
    "block 7": (lambda m: m.tensors.append(("blk.7.attn_norm.weight", (32,), 0)), "beyond"),
    "block 00": (lambda m: m.tensors.append(("blk.00.attn_norm.weight", (32,), 0)), "belong"),
    "missing tensor": (lambda m: m.tensors.pop(3), "is missing"),
    "wrong embedding": (lambda m: m.reshape("token_embd.weight", (32, 63), 8), "expected (32, 64)"),
    "wrong query": (lambda m: m.reshape("blk.0.attn_q.weight", (32, 64), 8), "expected (32, 32)"),
    "no architecture": (lambda m: m.without("general.architecture"), "the architecture None"),
    "foreign architecture": (put("general.architecture", STRING, "clip"), "'clip' is not one of"),
    "architecture as number": (put("general.architecture", U32, 1), "has the type 4"),
    "adapter": (put("general.type", STRING, "adapter"), "not a model"),
    "split": (put("split.count", 2, 3), "split over several"),
    "no context": (lambda m: m.without("llama.context_length"), "context_length is missing"),
    "context 0": (put("llama.context_length", U32, 0), "not in 1.."),
    "context 2**31 - 1": (put("llama.context_length", U32, 2**31 - 1), "not in 1.."),
    "context 2**32 - 1": (put("llama.context_length", U32, 2**32 - 1), "not in 1.."),
    "context as int32": (put("llama.context_length", I32, 128), "has the type 5"),
    "blocks 100000": (put("llama.block_count", U32, 100_000), "not in 1..512"),
    "blocks 0": (put("llama.block_count", U32, 0), "not in 1..512"),
    "too few blocks": (put("llama.block_count", U32, 2), "blk.1.attn_k.weight is missing"),
    "heads 0": (put("llama.attention.head_count", U32, 0), "not in 1.."),
    "heads that do not divide": (put("llama.attention.head_count", U32, 3), "no multiple of"),
    "kv heads that do not divide": (put("llama.attention.head_count_kv", U32, 3), "no multiple"),
    "epsilon 0": (put("llama.attention.layer_norm_rms_epsilon", F32, 0.0), "epsilon is 0.0"),
    "epsilon missing": (lambda m: m.without(m.entries[8][0]), "epsilon is missing"),
    "odd rope": (put("llama.rope.dimension_count", U32, 15), "odd or above"),
    "wide rope": (put("llama.rope.dimension_count", U32, 4096), "odd or above"),
    "rope base 0": (put("llama.rope.freq_base", F32, 0.0), "freq_base is 0.0"),
    "unknown rope scaling": (put("llama.rope.scaling.type", STRING, "magic"), "'magic'"),
    "experts": (put("llama.expert_count", U32, 8), "not supported"),
    "no tokens": (lambda m: m.without(TOKENS), "tokens is missing"),
    "tokens as numbers": (put(TOKENS, ARRAY, (U32, [1, 2])), "array of the right type"),
    "empty vocabulary": (put(TOKENS, ARRAY, (STRING, [])), "vocabulary of 0"),
    "no merges": (lambda m: m.without("tokenizer.ggml.merges"), "merges is missing"),
    "foreign tokenizer": (put("tokenizer.ggml.model", STRING, "t5"), "tokenizer 't5'"),
    "short token types": (put("tokenizer.ggml.token_type", ARRAY, (I32, [1])), "for 64 tokens"),
    "unknown token type": (put("tokenizer.ggml.token_type", ARRAY, (I32, [9] * 64)), "type 9"),
    "long scores": (put("tokenizer.ggml.scores", ARRAY, (F32, [0.0] * 65)), "for 64 tokens"),
    "eos beyond": (put("tokenizer.ggml.eos_token_id", U32, 64), "vocabulary ends at 63"),
    "eos -1": (put("tokenizer.ggml.eos_token_id", U32, 2**32 - 1), "vocabulary ends at 63"),
    "eos as text": (put("tokenizer.ggml.eos_token_id", STRING, "2"), "32-bit token number"),
    "pad beyond": (put("tokenizer.ggml.padding_token_id", U32, 99), "vocabulary ends at 63"),
    "ids beyond": (put("tokenizer.ggml.eog_token_ids", ARRAY, (U32, [1, 64])), "lacks"),
    "ids as text": (put("tokenizer.ggml.eog_token_ids", ARRAY, (STRING, ["1"])), "token numbers"),
    "template as number": (put("tokenizer.chat_template", U32, 1), "not a text"),
    "template too long": (put("tokenizer.chat_template", STRING, "a" * 300_000), "not a text"),
}


@pytest.mark.attacks("C33")
@pytest.mark.parametrize("name", MALFORMED)
def test_a_file_that_breaks_one_rule_is_refused(name: str) -> None:
    change, reason = MALFORMED[name]
    made = make_gguf()
    change(made)
    data = made.encode()
    if name == "cut short":
        data = data[:-100]
    refused(MemorySource(data), reason or "the tensors end at")


def test_every_fault_is_listed() -> None:
    made = make_gguf().set("llama.context_length", U32, 0)
    made.set("tokenizer.ggml.eos_token_id", U32, 999).tail = b"x" * 100
    reasons = refused(made.source(), "context_length")
    assert len(reasons) == 3
    assert any("999" in reason for reason in reasons)
    assert any("follow the last tensor" in reason for reason in reasons)


def test_the_list_of_faults_is_bounded() -> None:
    made = make_gguf()
    made.tensors += [(f"evil{number}", (32,), 0) for number in range(1_000)]
    reasons = refused(made.source(), "does not belong")
    assert len(reasons) == limits.FAULTS_MAX + 1
    assert reasons[-1] == f"and {1_000 - limits.FAULTS_MAX} more faults"


@pytest.mark.attacks("C33")
@pytest.mark.parametrize("length", [0, 1, 3, 4, 7, 8, 23, 24, 40, 100, 500])
def test_every_beginning_of_a_file_is_refused(length: int) -> None:
    refused(MemorySource(make_gguf().encode()[:length]), "")


def test_a_bomb_costs_neither_memory_nor_reads() -> None:
    bomb = b"GGUF" + struct.pack("<IQQ", 3, 1, 1) + text("x") + struct.pack("<IIQ", 9, 8, 2**63)
    source = MemorySource(bomb)
    tracemalloc.start()
    refused(source, "claims")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < limits.MIB
    assert source.reads <= 3


def test_a_source_that_shrinks_while_it_is_read_is_refused() -> None:
    class Shrinking(MemorySource):
        @property
        def size(self) -> int:
            return len(self.data) + 1_000_000

    data = make_gguf().header()
    refused(Shrinking(data[: len(data) // 2]), "ends before its stated size")
