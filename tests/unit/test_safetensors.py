# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The validators of safetensors files and of whole checkpoints."""

import json
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest

from bastide.core import limits
from bastide.core.errors import Refused
from bastide.formats import checkpoint, safetensors
from unit.model_files import (
    TEMPLATE,
    MemorySource,
    make_checkpoint,
    make_safetensors,
    tensor_row,
)

GOOD = {
    "__metadata__": {"format": "pt"},
    "b": tensor_row("F32", [2, 2], 8, 24),
    "a": tensor_row("BF16", [4], 0, 8),
    "empty": tensor_row("I64", [0], 24, 24),
    "scalar": tensor_row("F64", [], 24, 32),
}


def refused(data: bytes, reason: str) -> tuple[str, ...]:
    with pytest.raises(Refused) as caught:
        safetensors.inspect(MemorySource(data))
    assert any(reason in one for one in caught.value.reasons), caught.value.reasons
    return caught.value.reasons


def test_a_sound_file_is_admitted() -> None:
    summary = safetensors.inspect(MemorySource(make_safetensors(GOOD, bytes(32))))
    assert (summary.format, summary.parameters) == ("safetensors", 4 + 4 + 0 + 1)


def test_a_padded_header_is_admitted() -> None:
    raw = json.dumps(GOOD).encode() + b"     "
    assert safetensors.inspect(MemorySource(make_safetensors(raw, bytes(32)))).parameters == 9


def one(**row: Any) -> bytes:
    return json.dumps({"a": {**tensor_row("U8", [4], 0, 4), **row}}).encode()


MALFORMED: dict[str, tuple[bytes, bytes, str]] = {
    "hole at the start": (one(shape=[3], data_offsets=[1, 4]), bytes(4), "leaves a hole"),
    "trailing data": (one(), bytes(5), "there is data at 5"),
    "cut short": (one(), bytes(3), "the file ends at 3"),
    "no tensor": (b"{}", b"", "0 tensors"),
    "only metadata": (b'{"__metadata__":{"a":"b"}}', b"", "0 tensors"),
    "metadata of numbers": (b'{"__metadata__":{"a":1}}', b"", "text to text"),
    "metadata a list": (b'{"__metadata__":[]}', b"", "text to text"),
    "not JSON": (b'{"a":', b"", "not sound JSON"),
    "not UTF-8": (b'{"\xff":1}', b"", "not UTF-8"),
    "two documents": (b"{}{}", b"", "not sound JSON"),
    "NaN": (b'{"a":NaN}', b"", "NaN is not JSON"),
    "name twice": (b'{"a":1,"a":2}', b"", "'a' is there twice"),
    "field twice": (b'{"a":{"dtype":"U8","dtype":"U8"}}', b"", "'dtype' is there twice"),
    "a nest": (b'{"a":' + b"[" * 100_000, b"", "nested too deeply"),
    "tensor a number": (b'{"a":1}', b"", "other fields"),
    "missing field": (b'{"a":{"dtype":"U8","shape":[1]}}', b"", "other fields"),
    "further field": (one(code="x"), bytes(4), "other fields"),
    "unknown format": (one(dtype="object"), bytes(4), "unknown number format 'object'"),
    "format a list": (one(dtype=["U8"]), bytes(4), "unknown number format"),
    "negative dimension": (one(shape=[-1, -4]), bytes(4), "no sound shape"),
    "float dimension": (one(shape=[4.0]), bytes(4), "no sound shape"),
    "true dimension": (one(shape=[True], data_offsets=[0, 1]), bytes(1), "no sound shape"),
    "huge dimension": (one(shape=[2**63]), bytes(4), "no sound shape"),
    "shape overflow": (one(shape=[2**32, 2**32, 4]), bytes(4), "spans 4 bytes"),
    "nine dimensions": (one(shape=[1] * 8 + [4]), bytes(4), "no sound shape"),
    "shape too small": (one(shape=[3]), bytes(4), "24 bits spans 4 bytes"),
    "offsets turned": (one(data_offsets=[4, 0]), bytes(4), "no sound data_offsets"),
    "three offsets": (one(data_offsets=[0, 2, 4]), bytes(4), "no sound data_offsets"),
    "negative offset": (one(data_offsets=[-4, 0]), bytes(4), "no sound data_offsets"),
    "offset beyond": (one(data_offsets=[100, 104]), bytes(4), "leaves a hole"),
    "half a byte": (one(dtype="F4", shape=[3], data_offsets=[0, 1]), bytes(1), "12 bits"),
    "binary name": (json.dumps({"a\n": 1}).encode(), b"", "not plain ASCII"),
    "half a surrogate": (b'{"\\ud800":{}}', b"", "not plain ASCII"),
}


@pytest.mark.attacks("C34")
@pytest.mark.parametrize("name", MALFORMED)
def test_a_file_that_breaks_one_rule_is_refused(name: str) -> None:
    header, data, reason = MALFORMED[name]
    refused(make_safetensors(header, data), reason)


def test_overlap_and_hole_are_both_named() -> None:
    header = {"a": tensor_row("U8", [4], 0, 4), "b": tensor_row("U8", [4], 2, 6)}
    reasons = refused(make_safetensors(header, bytes(8)), "overlaps the one before")
    assert any("there is data at 8" in reason for reason in reasons)


@pytest.mark.parametrize("length", [0, 1, 2**31, 2**63, 2**64 - 1])
def test_a_wrong_header_length_is_refused(length: int) -> None:
    refused(make_safetensors(GOOD, bytes(32), length), "")


def test_a_header_of_many_values_is_refused_before_it_is_parsed() -> None:
    header = b'{"a":[' + b"{}," * 4_000_000 + b"{}]}"
    tracemalloc.start()
    refused(make_safetensors(header, b""), "values")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3 * len(header)


def test_a_header_over_the_limit_is_not_read() -> None:
    class Large(MemorySource):
        @property
        def size(self) -> int:
            return 2**40

    source = Large(make_safetensors(b"{}", b"", limits.SAFETENSORS_HEADER_BYTES_MAX + 1))
    with pytest.raises(Refused) as caught:
        safetensors.inspect(source)
    assert "the header is over" in caught.value.reasons[0]
    assert source.bytes_read < 1_000


# Whole checkpoints


def inspected(files: dict[str, bytes]) -> Any:
    return checkpoint.inspect({name: MemorySource(data) for name, data in files.items()})


def checkpoint_refused(files: dict[str, bytes], reason: str) -> None:
    with pytest.raises(Refused) as caught:
        inspected(files)
    assert any(reason in one for one in caught.value.reasons), caught.value.reasons


def test_a_checkpoint_is_admitted() -> None:
    summary = inspected(make_checkpoint())
    assert (summary.architecture, summary.parameters) == ("llama", 32 + 16 + 4)
    assert (summary.vocabulary, summary.context_tokens) == (8, 64)
    assert summary.template == TEMPLATE


def test_the_template_file_wins_and_the_other_is_still_reported() -> None:
    files = {**make_checkpoint(), "chat_template.jinja": b"{{ messages }}"}
    summary = inspected(files)
    assert summary.template == "{{ messages }}"
    assert summary.further_templates == (("default", TEMPLATE),)


def test_a_checkpoint_in_two_files_needs_a_true_index() -> None:
    files = make_checkpoint()
    first = files.pop("model.safetensors")
    files["model-00001-of-00002.safetensors"] = first
    second = make_safetensors({"lm_head.weight": tensor_row("BF16", [8, 4], 0, 64)}, bytes(64))
    files["model-00002-of-00002.safetensors"] = second
    checkpoint_refused(files, "index.json is missing")
    names = dict.fromkeys(header_names(first), "model-00001-of-00002.safetensors")
    places = {**names, "lm_head.weight": "model-00002-of-00002.safetensors"}
    files["model.safetensors.index.json"] = json.dumps({"weight_map": places}).encode()
    assert inspected(files).parameters == 52 + 32
    places["lm_head.weight"] = "model-00001-of-00002.safetensors"
    files["model.safetensors.index.json"] = json.dumps({"weight_map": places}).encode()
    checkpoint_refused(files, "does not name exactly the tensors")
    files["model-00002-of-00002.safetensors"] = first
    checkpoint_refused(files, "and in model-00002")


def header_names(data: bytes) -> list[str]:
    length = int.from_bytes(data[:8], "little")
    return list(json.loads(data[8 : 8 + length]))


def config(**changes: Any) -> Callable[[dict[str, bytes]], object]:
    def change(files: dict[str, bytes]) -> None:
        files["config.json"] = json.dumps({**json.loads(files["config.json"]), **changes}).encode()

    return change


def file(name: str, data: bytes) -> Callable[[dict[str, bytes]], object]:
    return lambda files: files.update({name: data})


SPOILT: dict[str, tuple[Callable[[dict[str, bytes]], object], str]] = {
    "Python": (file("modeling_evil.py", b"import os"), "it is code"),
    "pickle": (file("pytorch_model.bin", b"\x80\x02."), "loading it can run code"),
    "archive": (file("model.zip", b"PK\3\4"), "an archive can hold anything"),
    "foreign file": (file("notes.txt", b"hello"), "not a file of a checkpoint"),
    "file in a folder": (file("onnx/config.json", b"{}"), "not a file of a checkpoint"),
    "remote code": (config(auto_map={"AutoModel": "evil.Model"}), "auto_map asks for code"),
    "deep remote code": (config(x=[{"y": {"trust_remote_code": True}}]), "trust_remote_code"),
    "tokenizer code": (file("tokenizer_config.json", b'{"auto_map":{}}'), "auto_map asks"),
    "foreign class": (config(architectures=["EvilForCausalLM"]), "is not one of"),
    "two classes": (config(architectures=["LlamaForCausalLM"] * 2), "is not one of"),
    "no class": (config(architectures=None), "is not one of"),
    "classes of lists": (config(architectures=[["LlamaForCausalLM"]]), "is not one of"),
    "vocabulary": (config(vocab_size=9), "expected (9, 4)"),
    "no vocabulary": (config(vocab_size=None), "vocab_size is not a whole number"),
    "true layers": (config(num_hidden_layers=True), "num_hidden_layers is not a whole number"),
    "more layers": (config(num_hidden_layers=2), "config.json says 2"),
    "layer bomb": (config(num_hidden_layers=10**9), "num_hidden_layers is not"),
    "odd heads": (config(num_attention_heads=3), "no multiple of"),
    "eos beyond": (config(eos_token_id=[2, 8]), "beyond the vocabulary of 8"),
    "bos text": (config(bos_token_id="1"), "beyond the vocabulary of 8"),
    "no config": (lambda files: files.pop("config.json"), "config.json is missing"),
    "no tokenizer": (lambda files: files.pop("tokenizer.json"), "tokenizer.json is missing"),
    "no weights": (lambda files: files.pop("model.safetensors"), "no model.safetensors"),
    "weights a pickle": (file("model.safetensors", b"\x80\x02}."), "a Python pickle"),
    "tokenizer a pickle": (file("tokenizer.json", b"\x80\x02}."), "not UTF-8"),
    "tokenizer a list": (file("tokenizer.json", b"[1]"), "not a JSON object"),
    "template a number": (file("tokenizer_config.json", b'{"chat_template":1}'), "neither a text"),
    "template names": (
        file("tokenizer_config.json", b'{"chat_template":[{"name":"","template":"x"}]}'),
        "is not a name",
    ),
    "template not UTF-8": (file("chat_template.jinja", b"\xff"), "not UTF-8"),
    "JSON bomb": (file("vocab.json", b"[" * 1_000_000), "nested too deeply"),
}


@pytest.mark.attacks("C34")
@pytest.mark.parametrize("name", SPOILT)
def test_a_checkpoint_that_breaks_one_rule_is_refused(name: str) -> None:
    change, reason = SPOILT[name]
    files = make_checkpoint()
    change(files)
    checkpoint_refused(files, reason)


def test_too_many_files_are_refused() -> None:
    files = {f"f{number}": b"" for number in range(limits.CHECKPOINT_FILES_MAX + 1)}
    checkpoint_refused(files, "files are over")
