# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Which GGUF files OpenVINO GenAI reads rightly, and a tiny one for it to try schemas with.

Its reader (openvino.genai 2026.4, src/cpp/src/gguf_utils) fails on some files, and takes others
while it overlooks what they say: scaled positions, experts, a window of attention, and how a text
is split into tokens. Such a model would answer, and answer wrongly. So what it may be given is
listed here, and anything else is refused with every reason.
"""

import os
import struct
from typing import Any, Final, NamedTuple

from bastide.core.engine import OPENVINO_ARCHITECTURES
from bastide.core.errors import Misconfigured
from bastide.formats.faults import Faults
from bastide.formats.gguf_header import Header, read_header
from bastide.formats.gguf_layout import TENSOR_TYPES

__all__ = ["Found", "examine", "tiny_model"]

_NUMBERS: Final = frozenset({"F32", "F16", "Q4_0", "Q4_1", "Q8_0", "Q4_K", "Q6_K"})
_SPLITS: Final = ("smollm", "qwen2", "default")  # tokenizer.ggml.pre
_OVERLOOKED: Final = {
    "expert_count": "experts",
    "rope.scaling.factor": "scaled positions",
    "attention.sliding_window": "a window of attention",
}
_WIDTH: Final = 64  # of the tiny model: one head of a usual size


class Found(NamedTuple):
    """What the engine has to be told: how many tokens there are, and which begins every prompt."""

    vocabulary: int
    bos: int | None


def examine(descriptor: int, name: str) -> Found:
    """Look into a GGUF file. Raises Misconfigured if OpenVINO would not read it rightly."""
    header = read_header(_Descriptor(descriptor), Faults("a GGUF file"))
    reasons = _reasons(header)
    if reasons:
        raise Misconfigured(
            f"the engine openvino cannot serve {name}: {'; '.join(reasons)}",
            reasons=reasons,
            fix='serve it with engine = "llamacpp"',
        )
    begins = _value(header, "tokenizer.ggml.add_bos_token")
    bos = _value(header, "tokenizer.ggml.bos_token_id") if begins else None
    return Found(header.metadata["tokenizer.ggml.tokens"].value.count, bos)


def tiny_model(vocabulary: int) -> bytes:
    """A GGUF model of one layer of zeros, with the tokens of another."""
    settings: dict[str, int | float | str] = {
        "general.architecture": "llama",
        "general.file_type": 1,  # mostly F16
        "llama.block_count": 1,
        "llama.attention.head_count": 1,
        "llama.attention.head_count_kv": 1,
        "llama.embedding_length": _WIDTH,
        "llama.feed_forward_length": _WIDTH,
        "llama.context_length": _WIDTH,
        "llama.attention.layer_norm_rms_epsilon": 1e-5,
    }
    square = ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")
    # (shape, type: 0 is F32, 1 is F16)
    tensors: dict[str, tuple[tuple[int, ...], int]] = {
        "token_embd": ((_WIDTH, vocabulary), 1),
        "output_norm": ((_WIDTH,), 0),
        "blk.0.attn_norm": ((_WIDTH,), 0),
        "blk.0.ffn_norm": ((_WIDTH,), 0),
        **{f"blk.0.{name}": ((_WIDTH, _WIDTH), 1) for name in square},
    }
    out = bytearray(b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(settings)))
    for key, value in settings.items():
        out += _text(key) + _typed(value)
    offset = 0
    for name, (shape, kind) in tensors.items():
        out += _text(f"{name}.weight") + struct.pack(f"<I{len(shape)}Q", len(shape), *shape)
        out += struct.pack("<IQ", kind, offset)
        rows = shape[1] if len(shape) > 1 else 1
        offset += shape[0] * rows * (2 if kind else 4)  # all are multiples of the alignment, 32
    return bytes(out) + bytes(-len(out) % 32) + bytes(offset)


class _Descriptor:
    """A `Source` over an open descriptor."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.size = os.fstat(descriptor).st_size

    def read_at(self, offset: int, length: int) -> bytes:
        """Up to `length` bytes from `offset`."""
        return os.pread(self._descriptor, length, offset)


def _reasons(header: Header) -> list[str]:
    architecture = _value(header, "general.architecture")
    if architecture not in OPENVINO_ARCHITECTURES:
        known = ", ".join(OPENVINO_ARCHITECTURES)
        return [f"its reader knows the architectures {known}, not {architecture}"]
    out = [f"its reader overlooks {what}" for key, what in _OVERLOOKED.items()
           if _value(header, f"{architecture}.{key}")]  # fmt: skip
    if any(tensor.name == "rope_freqs.weight" for tensor in header.tensors):
        out.append("its reader overlooks scaled positions")
    kinds = {TENSOR_TYPES[tensor.kind].name for tensor in header.tensors}
    if kinds - _NUMBERS:
        out.append(f"its reader knows no {', '.join(sorted(kinds - _NUMBERS))}")
    model, split = _value(header, "tokenizer.ggml.model"), _value(header, "tokenizer.ggml.pre")
    if model != "gpt2":
        out.append(f"its reader knows tokenizers of the kind gpt2, not {model}")
    elif split not in _SPLITS:
        out.append(f"its reader splits texts as {', '.join(_SPLITS)}, not as {split}")
    return out


def _value(header: Header, key: str) -> Any:
    entry = header.metadata.get(key)
    return None if entry is None else entry.value


def _text(text: str) -> bytes:
    return struct.pack("<Q", len(text)) + text.encode()


def _typed(value: float | str) -> bytes:
    if isinstance(value, str):
        return struct.pack("<I", 8) + _text(value)
    kind, form = (6, "f") if isinstance(value, float) else (4, "I")
    return struct.pack(f"<I{form}", kind, value)
