# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The model inside a GGUF file: known architecture, settings in range, tensors that fit them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from bastide.core import limits
from bastide.formats.faults import Faults
from bastide.formats.gguf_architectures import ARCHITECTURES, Architecture
from bastide.formats.gguf_header import BOOL, FLOAT32, STRING, UINT32, Header, TensorInfo
from bastide.formats.gguf_layout import TENSOR_TYPES

__all__ = ["Model", "check_model"]

_WIDTH_MAX: Final = 1 << 20  # of an embedding, a feed-forward layer; the widest known has 2**17
_HEADS_MAX: Final = 4_096
_BLOCK: Final = re.compile(r"blk\.(0|[1-9][0-9]{0,3})\.(.+)")
_KINDS_MAX: Final = 16  # kinds of text piece that an encoder tells apart; BERT has two
_KINDS: Final = "tokenizer.ggml.token_type_count"
_POOLINGS: Final = (1, 2)  # llama.h: the mean of all tokens, or the first token
_ROPE_SCALINGS: Final = ("none", "linear", "yarn", "longrope")

# Settings that make llama.cpp build another kind of model than the rows describe.
_FOREIGN: Final = (
    "expert_count",
    "expert_used_count",
    "expert_group_count",
    "expert_shared_count",
    "nextn_predict_layers",
    "decoder_block_count",
    "embedding_length_out",
    "pooling_type",
)


@dataclass(frozen=True, slots=True)
class Model:
    """What the settings say."""

    architecture: str
    context_tokens: int


def check_model(header: Header, vocabulary: int, faults: Faults) -> Model:
    """Check architecture, settings and tensors."""
    name = _setting(header, "general.architecture", STRING, faults)
    kind = _setting(header, "general.type", STRING, faults)
    if kind not in (None, "model"):
        faults.add(f"general.type is {kind!r}, not a model")
    if "split.count" in header.metadata and header.metadata["split.count"].value != 1:
        faults.add("the model is split over several files: join them first")
    architecture = ARCHITECTURES.get(name) if isinstance(name, str) else None
    if architecture is None:
        faults.add(f"the architecture {name!r} is not one of {', '.join(ARCHITECTURES)}")
        return Model(str(name), 0)
    settings = _Settings(header, str(name), faults)
    context = settings.number("context_length", limits.CONTEXT_TOKENS_MAX)
    types = _token_types(header, faults) if architecture.encoder else 1
    lengths = {**_lengths(settings, vocabulary), "ctx": context, "types": types}
    blocks = settings.number("block_count", limits.BLOCKS_MAX)
    if architecture.encoder:
        _check_encoder(settings)
    else:
        _check_further(settings, architecture)
    _check_foreign(settings, architecture)
    if not faults:  # shapes that follow from wrong settings would only repeat what is wrong
        _check_tensors(header, architecture, blocks, lengths, faults)
    return Model(str(name), context)


class _Settings:
    """The keys of one architecture; every reader notes what is wrong with what it reads."""

    def __init__(self, header: Header, architecture: str, faults: Faults) -> None:
        self.header = header
        self.prefix = architecture + "."
        self.faults = faults

    def get(self, key: str, kind: int) -> Any:
        return _setting(self.header, self.prefix + key, kind, self.faults)

    def number(self, key: str, largest: int, default: int | None = None) -> int:
        """A whole number from 1; `default` stands in where the key may be missing."""
        value = self.get(key, UINT32)
        if value is None:
            if default is None:
                self.faults.add(f"{self.prefix}{key} is missing or no 32-bit number")
            return default or 1
        if not 1 <= value <= largest:
            self.faults.add(f"{self.prefix}{key} is {value}, not in 1..{largest}")
            return 1
        return value

    def positive(self, key: str, largest: float, required: bool) -> None:
        """Check a number above zero and at most `largest`."""
        value = self.get(key, FLOAT32)
        if value is None and required:
            self.faults.add(f"{self.prefix}{key} is missing or no 32-bit float")
        elif value is not None and not 0 < value <= largest:
            self.faults.add(f"{self.prefix}{key} is {value}")


def _setting(header: Header, key: str, kind: int, faults: Faults) -> Any:
    entry = header.metadata.get(key)
    if entry is None:
        return None
    if entry.kind != kind:
        faults.add(f"{key} has the type {entry.kind}, expected {kind}")
        return None
    return entry.value


def _lengths(settings: _Settings, vocabulary: int) -> Mapping[str, int]:
    """The lengths that shapes are made of, from the settings."""
    faults, prefix = settings.faults, settings.prefix
    embd = settings.number("embedding_length", _WIDTH_MAX)
    ff = settings.number("feed_forward_length", _WIDTH_MAX)
    heads = settings.number("attention.head_count", _HEADS_MAX)
    heads_kv = settings.number("attention.head_count_kv", _HEADS_MAX, default=heads)
    if heads % heads_kv:
        faults.add(f"{prefix}attention.head_count ({heads}) is no multiple of head_count_kv")
    key = settings.number("attention.key_length", _WIDTH_MAX, default=max(embd // heads, 1))
    value = settings.number("attention.value_length", _WIDTH_MAX, default=max(embd // heads, 1))
    if embd % heads and f"{prefix}attention.key_length" not in settings.header.metadata:
        faults.add(f"{prefix}embedding_length ({embd}) is no multiple of head_count")
    rotated = settings.number("rope.dimension_count", _WIDTH_MAX, default=key)
    if rotated > key or rotated % 2:
        faults.add(f"{prefix}rope.dimension_count ({rotated}) is odd or above the key length")
    q, k, v = heads * key, heads_kv * key, heads_kv * value
    return {
        "embd": embd,
        "vocab": vocabulary,
        "ff": ff,
        "ff2": 2 * ff,
        "q": q,
        "k": k,
        "v": v,
        "vq": heads * value,
        "qkv": q + k + v,
        "head": key,
        "rot": rotated // 2,
    }


def _check_further(settings: _Settings, architecture: Architecture) -> None:
    settings.positive("attention.layer_norm_rms_epsilon", 1.0, required=True)
    settings.positive("rope.freq_base", 1e12, required=False)
    settings.positive("rope.scaling.factor", 1e6, required=False)
    for key in architecture.floats:
        settings.positive(key, 1e6, required=True)
    scaling = settings.get("rope.scaling.type", STRING)
    if scaling is not None and scaling not in _ROPE_SCALINGS:
        settings.faults.add(f"{settings.prefix}rope.scaling.type is {scaling!r}")


def _check_foreign(settings: _Settings, architecture: Architecture) -> None:
    for key in _FOREIGN:
        entry = settings.header.metadata.get(settings.prefix + key)
        pools = architecture.encoder and key == "pooling_type"
        if entry is not None and entry.value != 0 and not pools:
            settings.faults.add(f"{settings.prefix}{key} is not supported")


def _check_encoder(settings: _Settings) -> None:
    """What an encoder needs: without a pooling it would make a vector of every token."""
    settings.positive("attention.layer_norm_epsilon", 1.0, required=True)
    if settings.get("attention.causal", BOOL) != 0:
        settings.faults.add(f"{settings.prefix}attention.causal is missing or true")
    if settings.get("pooling_type", UINT32) not in _POOLINGS:
        settings.faults.add(f"{settings.prefix}pooling_type is neither the mean nor the first")


def _token_types(header: Header, faults: Faults) -> int:
    value = _setting(header, _KINDS, UINT32, faults)
    if value is None or not 1 <= value <= _KINDS_MAX:
        faults.add(f"{_KINDS} is missing or not in 1..{_KINDS_MAX}")
        return 1
    return value


def _check_tensors(
    header: Header,
    architecture: Architecture,
    blocks: int,
    lengths: Mapping[str, int],
    faults: Faults,
) -> None:
    """Every tensor is known, every one that is needed is there, every shape is right."""
    block_shapes = {**architecture.block_optional, **architecture.block}
    outer_shapes = {**architecture.outer_optional, **architecture.outer}
    found: list[set[str]] = [set() for _ in range(blocks)]
    outside = set()
    for tensor in header.tensors:
        match = _BLOCK.fullmatch(tensor.name)
        local = match[2] if match else tensor.name
        shape = (block_shapes if match else outer_shapes).get(local)
        if shape is None:
            faults.add(f"the tensor {tensor.name} does not belong to the architecture")
            continue
        if match and int(match[1]) >= blocks:
            faults.add(f"the tensor {tensor.name} is beyond the last block, {blocks - 1}")
            continue
        (found[int(match[1])] if match else outside).add(local)
        _check_tensor(tensor, tuple(lengths[length] for length in shape), faults)
    for number, names in enumerate(found):
        for local in sorted(_needed(architecture, names) - names):
            faults.add(f"the tensor blk.{number}.{local} is missing")
    for local in sorted(set(architecture.outer) - outside):
        faults.add(f"the tensor {local} is missing")


def _needed(architecture: Architecture, names: set[str]) -> set[str]:
    needed = set(architecture.block)
    if "attn_qkv.weight" in names:
        needed -= {"attn_q.weight", "attn_k.weight", "attn_v.weight"}
    return needed


def _check_tensor(tensor: TensorInfo, expected: tuple[int, ...], faults: Faults) -> None:
    if tensor.shape != expected:
        faults.add(f"the tensor {tensor.name} has the shape {tensor.shape}, expected {expected}")
    if len(expected) == 1 and TENSOR_TYPES[tensor.kind].name != "F32":
        faults.add(f"the tensor {tensor.name} is a vector and must be F32")
