# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""A BERT embedding model in the layout of sentence-transformers, seen as one GGUF file.

`as_gguf` checks the parts and returns a Source. Nothing is computed and no copy is made: the
header is new, and every weight is the very bytes of the safetensors file, which has the same
order of numbers as GGUF. The same parts always give the same bytes, so their digest can be known
beforehand. What comes out passes formats/gguf.py like any file; that check, not this one, decides.

The key names and the spelling of WordPiece tokens follow llama.cpp's convert_hf_to_gguf.py.
"""

import struct
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from bastide.core import limits
from bastide.formats.faults import Faults
from bastide.formats.gguf_header import ARRAY, BOOL, FLOAT32, INT32, STRING, UINT32
from bastide.formats.safetensors import Tensor, read_tensors
from bastide.formats.strict_json import read_json
from bastide.formats.summary import Source

__all__ = ["PARTS", "Joined", "as_gguf"]

CONFIG: Final = "config.json"
POOLING: Final = "1_Pooling/config.json"
TOKENIZER: Final = "tokenizer.json"
WEIGHTS: Final = "model.safetensors"
PARTS: Final = (CONFIG, POOLING, TOKENIZER, WEIGHTS)

_ALIGNMENT: Final = 32
_F32: Final = 0
_NORMAL, _UNKNOWN, _CONTROL = 1, 2, 3  # llama.h: kinds of token
_OUTER: Final[Mapping[str, str]] = {
    "embeddings.word_embeddings.weight": "token_embd.weight",
    "embeddings.position_embeddings.weight": "position_embd.weight",
    "embeddings.token_type_embeddings.weight": "token_types.weight",
    "embeddings.LayerNorm.weight": "token_embd_norm.weight",
    "embeddings.LayerNorm.bias": "token_embd_norm.bias",
}
_BLOCK: Final[Mapping[str, str]] = {
    "attention.self.query": "attn_q",
    "attention.self.key": "attn_k",
    "attention.self.value": "attn_v",
    "attention.output.dense": "attn_output",
    "attention.output.LayerNorm": "attn_output_norm",
    "intermediate.dense": "ffn_up",
    "output.dense": "ffn_down",
    "output.LayerNorm": "layer_output_norm",
}
# In the file, but of no use to a vector: the numbers 0, 1, 2 ..., and the head for sentence pairs.
_UNUSED: Final = frozenset({"embeddings.position_ids", "pooler.dense.weight", "pooler.dense.bias"})
# What llama.cpp computes for this architecture; another value would give other vectors, silently.
_FIXED: Final[Mapping[str, Any]] = {
    "model_type": "bert",
    "hidden_act": "gelu",
    "position_embedding_type": "absolute",
}
_NUMBERS: Final[Mapping[str, str]] = {
    "context_length": "max_position_embeddings",
    "embedding_length": "hidden_size",
    "block_count": "num_hidden_layers",
    "feed_forward_length": "intermediate_size",
    "attention.head_count": "num_attention_heads",
}
_SPECIAL: Final[Mapping[str, str]] = {
    "[CLS]": "bos",
    "[UNK]": "unknown",
    "[SEP]": "seperator",  # spelt so in the format
    "[PAD]": "padding",
    "[MASK]": "mask",
}
_POOLINGS: Final[Mapping[str, int]] = {"pooling_mode_mean_tokens": 1, "pooling_mode_cls_token": 2}


def as_gguf(files: Mapping[str, Source], licence: str) -> "Joined":
    """The GGUF file of PARTS. Raises Refused with every reason."""
    faults = Faults("a BERT embedding model")
    missing = [name for name in PARTS if name not in files]
    for name in missing:
        faults.add(f"{name} is missing")
    if missing:
        raise faults.refusal()
    config = _document(files, CONFIG, faults)
    pooling = _pooling(_document(files, POOLING, faults), faults)
    tokens = _tokens(_document(files, TOKENIZER, faults), faults)
    entries = [
        ("general.architecture", STRING, "bert"),
        ("general.license", STRING, licence.lower()),
        *_settings(config, faults),
        ("bert.attention.causal", BOOL, 0),
        ("bert.pooling_type", UINT32, pooling),
        *_vocabulary(tokens, faults),
    ]
    weights = files[WEIGHTS]
    named = _named(read_tensors(weights, faults), config.get("num_hidden_layers"), faults)
    if faults:
        raise faults.refusal()
    data = 8 + int.from_bytes(weights.read_at(0, 8), "little")
    return Joined(_header(entries, named), weights, data, [tensor for _, tensor in named])


def _document(files: Mapping[str, Source], name: str, faults: Faults) -> dict[str, Any]:
    source = files[name]
    if source.size > limits.CHECKPOINT_JSON_BYTES_MAX:
        faults.add(f"{name} is over {limits.CHECKPOINT_JSON_BYTES_MAX} bytes")
        return {}
    document = read_json(source.read_at(0, source.size), name, faults)
    if isinstance(document, dict):
        return document
    faults.add(f"{name} is not a JSON object")
    return {}


_Entry = tuple[str, int, Any]


def _settings(config: Mapping[str, Any], faults: Faults) -> Iterable[_Entry]:
    for key, fixed in _FIXED.items():
        if config.get(key, fixed) != fixed:
            faults.add(f"{CONFIG}: {key} is not {fixed}")
    for key, name in _NUMBERS.items():
        yield f"bert.{key}", UINT32, _whole(config, name, faults)
    yield "tokenizer.ggml.token_type_count", UINT32, _whole(config, "type_vocab_size", faults)
    epsilon = config.get("layer_norm_eps")
    if type(epsilon) is not float or not 0 < epsilon < 1:
        faults.add(f"{CONFIG}: layer_norm_eps is not a number between 0 and 1")
        epsilon = 1.0
    yield "bert.attention.layer_norm_epsilon", FLOAT32, epsilon


def _whole(config: Mapping[str, Any], name: str, faults: Faults) -> int:
    value = config.get(name)
    if type(value) is int and 0 < value < 1 << 31:
        return value
    faults.add(f"{CONFIG}: {name} is not a whole number above 0")
    return 1


def _pooling(config: Mapping[str, Any], faults: Faults) -> int:
    chosen = [key for key, on in config.items() if key.startswith("pooling_mode_") and on]
    if len(chosen) == 1 and chosen[0] in _POOLINGS:
        return _POOLINGS[chosen[0]]
    faults.add(f"{POOLING}: not the mean of all tokens, nor the first token alone")
    return 0


def _tokens(document: Mapping[str, Any], faults: Faults) -> list[str]:
    """The vocabulary in the order of its numbers, if llama.cpp would cut texts the same way."""
    model, normal = document.get("model"), document.get("normalizer")
    vocabulary = model.get("vocab") if isinstance(model, dict) else None
    if not isinstance(model, dict) or not isinstance(vocabulary, dict):
        faults.add(f"{TOKENIZER} has no vocabulary")
        return []
    if model.get("type") != "WordPiece" or model.get("continuing_subword_prefix") != "##":
        faults.add(f"{TOKENIZER} is not WordPiece with ## before the parts of words")
    if not isinstance(normal, dict) or normal.get("lowercase") is not True:
        faults.add(f"{TOKENIZER} keeps capital letters, the engine does not")
    if sorted(map(str, vocabulary.values())) != sorted(map(str, range(len(vocabulary)))):
        faults.add(f"{TOKENIZER}: the numbers of the tokens are not 0, 1, 2 ...")
        return []
    return sorted(vocabulary, key=lambda token: vocabulary[token])


def _vocabulary(tokens: Sequence[str], faults: Faults) -> Iterable[_Entry]:
    prefix = "tokenizer.ggml."
    yield prefix + "model", STRING, "bert"
    yield prefix + "tokens", ARRAY, (STRING, [_spelt(token) for token in tokens])
    yield prefix + "token_type", ARRAY, (INT32, [_kind(token) for token in tokens])
    places = {token: number for number, token in enumerate(tokens)}
    for token, key in _SPECIAL.items():
        if token not in places:
            faults.add(f"{TOKENIZER} has no token {token}")
        yield f"{prefix}{key}_token_id", UINT32, places.get(token, 0)


def _spelt(token: str) -> str:
    """A token as llama.cpp looks it up: the start of a word is marked, not its parts."""
    if token.startswith("[") and token.endswith("]"):
        return token
    return token[2:] if token.startswith("##") else "\u2581" + token


def _kind(token: str) -> int:
    if token == "[UNK]":  # noqa: S105 (a token of a text, no secret)
        return _UNKNOWN
    return _CONTROL if token in _SPECIAL else _NORMAL


def _named(tensors: Iterable[Tensor], blocks: Any, faults: Faults) -> list[tuple[str, Tensor]]:
    """Our name of every tensor that is used, in the order of the weights' file."""
    names = dict(_OUTER)
    for block in range(min(blocks, limits.BLOCKS_MAX) if type(blocks) is int else 0):
        for theirs, ours in _BLOCK.items():
            for kind in ("weight", "bias"):
                names[f"encoder.layer.{block}.{theirs}.{kind}"] = f"blk.{block}.{ours}.{kind}"
    found = []
    for tensor in tensors:
        if tensor.name in _UNUSED:
            continue
        if tensor.name not in names:
            faults.add(f"the tensor {tensor.name} does not belong to BERT")
        elif tensor.dtype != "F32":
            faults.add(f"the tensor {tensor.name} is {tensor.dtype}, not F32")
        elif not 0 < len(tensor.shape) <= limits.GGUF_DIMENSIONS_MAX:
            faults.add(f"the tensor {tensor.name} has the shape {tensor.shape}")
        else:
            found.append((names[tensor.name], tensor))
    return found


# Writing


def _padded(position: int) -> int:
    return -(-position // _ALIGNMENT) * _ALIGNMENT


def _text(value: str) -> bytes:
    raw = value.encode()
    return struct.pack("<Q", len(raw)) + raw


def _value(kind: int, value: Any) -> bytes:
    if kind == STRING:
        return _text(value)
    if kind == ARRAY:
        item, items = value
        return struct.pack("<IQ", item, len(items)) + b"".join(_value(item, one) for one in items)
    return struct.pack({UINT32: "<I", INT32: "<i", FLOAT32: "<f", BOOL: "<B"}[kind], value)


def _header(entries: Sequence[_Entry], named: Sequence[tuple[str, Tensor]]) -> bytes:
    out = [b"GGUF", struct.pack("<IQQ", 3, len(named), len(entries))]
    for key, kind, value in entries:
        out += [_text(key), struct.pack("<I", kind), _value(kind, value)]
    offset = 0
    for name, tensor in named:
        shape = tensor.shape[::-1]  # GGUF names the innermost length first
        row = struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, _F32, offset)
        out += [_text(name), row]
        offset = _padded(offset + tensor.end - tensor.start)
    raw = b"".join(out)
    return raw + bytes(_padded(len(raw)) - len(raw))


class Joined:
    """The new header, and behind it pieces of the weights' file, each padded with zeros."""

    def __init__(self, header: bytes, weights: Source, data: int, tensors: list[Tensor]) -> None:
        self._header = header
        self._weights = weights
        self._starts, self._pieces = [0], [(0, len(header))]  # the first one is the header
        end = len(header)
        for tensor in tensors:
            self._starts.append(end)
            self._pieces.append((data + tensor.start, tensor.end - tensor.start))
            end = _padded(end + tensor.end - tensor.start)
        self.size = end

    def read_at(self, offset: int, length: int) -> bytes:
        """Up to `length` bytes from `offset`; fewer only at the end."""
        end, out = min(offset + length, self.size), bytearray()
        while offset < end:
            number = bisect_right(self._starts, offset) - 1
            after = self._starts[number + 1] if number + 1 < len(self._starts) else self.size
            wanted = min(end, after) - offset
            out += self._piece(number, offset - self._starts[number], wanted)
            offset += wanted
        return bytes(out)

    def close(self) -> None:
        """Nothing to free: whoever opened the parts closes them."""

    def _piece(self, number: int, skip: int, wanted: int) -> bytes:
        start, size = self._pieces[number]
        if number == 0:
            return self._header[skip : skip + wanted]
        have = max(0, min(wanted, size - skip))
        read = self._weights.read_at(start + skip, have) if have else b""
        return read + bytes(wanted - have)
