# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The architectures that are admitted, and the shape of every tensor that each may have.

A shape names lengths: `embd` embedding, `vocab` vocabulary, `ff` feed-forward, `q`, `k`, `v` all
heads' queries, keys and values, `qkv` the three together, `head` one head's key, `rot` half of
the rotated dimensions, `ctx` positions, `types` kinds of text piece. The rows follow llama.cpp's
src/models/<architecture>.cpp; a new one is one row here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

__all__ = ["ARCHITECTURES", "Architecture", "Shapes"]

Shapes = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Architecture:
    """One architecture's tensors: those it must have, in each block and outside, and others.

    In `block`, the separate attn_q, attn_k and attn_v may be one attn_qkv instead. floats: keys
    (without the architecture's name) that must be there as well. An `encoder` reads a whole text
    at once and pools its tokens into one vector; its settings differ.
    """

    block: Shapes
    block_optional: Shapes
    outer: Shapes
    outer_optional: Shapes
    floats: tuple[str, ...] = ()
    encoder: bool = False


_QKV: Final[Shapes] = {
    "attn_q.weight": ("embd", "q"),
    "attn_k.weight": ("embd", "k"),
    "attn_v.weight": ("embd", "v"),
}
_ATTENTION: Final[Shapes] = {**_QKV, "attn_output.weight": ("vq", "embd")}
_BIASES: Final[Shapes] = {
    "attn_qkv.weight": ("embd", "qkv"),
    "attn_qkv.bias": ("qkv",),
    "attn_q.bias": ("q",),
    "attn_k.bias": ("k",),
    "attn_v.bias": ("v",),
    "attn_output.bias": ("embd",),
    "ffn_gate.bias": ("ff",),
    "ffn_up.bias": ("ff",),
    "ffn_down.bias": ("embd",),
}
_GATED: Final[Shapes] = {
    "ffn_gate.weight": ("embd", "ff"),
    "ffn_up.weight": ("embd", "ff"),
    "ffn_down.weight": ("ff", "embd"),
}
_UNGATED: Final[Shapes] = {
    "ffn_up.weight": ("embd", "ff"),
    "ffn_down.weight": ("ff", "embd"),
}
_BEFORE: Final[Shapes] = {"attn_norm.weight": ("embd",), "ffn_norm.weight": ("embd",)}
_AFTER: Final[Shapes] = {"post_attention_norm.weight": ("embd",), "post_ffw_norm.weight": ("embd",)}
_HEADS: Final[Shapes] = {"attn_q_norm.weight": ("head",), "attn_k_norm.weight": ("head",)}
_OUTER: Final[Shapes] = {
    "token_embd.weight": ("embd", "vocab"),
    "output_norm.weight": ("embd",),
}
_OUTPUT: Final[Shapes] = {"output.weight": ("embd", "vocab")}
_ROPE: Final[Shapes] = {
    "rope_freqs.weight": ("rot",),
    "rope_factors_long.weight": ("rot",),
    "rope_factors_short.weight": ("rot",),
}
_FREE: Final[Shapes] = {**_OUTPUT, **_ROPE}  # without output.weight the embedding is used again

_NORMS: Final[Shapes] = {
    "attn_output_norm.weight": ("embd",),
    "attn_output_norm.bias": ("embd",),
    "layer_output_norm.weight": ("embd",),
    "layer_output_norm.bias": ("embd",),
}

_PLAIN: Final = Architecture({**_BEFORE, **_ATTENTION, **_GATED}, _BIASES, _OUTER, _FREE)

ARCHITECTURES: Final[Mapping[str, Architecture]] = {
    "apertus": Architecture(
        {**_BEFORE, **_ATTENTION, **_UNGATED, **_HEADS},
        {**_BIASES, "attn_q_norm.bias": ("head",), "attn_k_norm.bias": ("head",)},
        {**_OUTER, **_OUTPUT},
        _ROPE,
    ),
    "bert": Architecture(
        {**_ATTENTION, **_UNGATED, **_NORMS},
        {name: shape for name, shape in _BIASES.items() if name != "ffn_gate.bias"},
        {
            "token_embd.weight": ("embd", "vocab"),
            "token_embd_norm.weight": ("embd",),
            "token_embd_norm.bias": ("embd",),
            "position_embd.weight": ("embd", "ctx"),
            "token_types.weight": ("embd", "types"),
        },
        {},
        encoder=True,
    ),
    "gemma": Architecture({**_BEFORE, **_ATTENTION, **_GATED}, _BIASES, _OUTER, {}),
    "gemma2": Architecture({**_BEFORE, **_AFTER, **_ATTENTION, **_GATED}, _BIASES, _OUTER, {}),
    "gemma3": Architecture(
        {**_BEFORE, **_AFTER, **_HEADS, **_ATTENTION, **_GATED}, _BIASES, _OUTER, _OUTPUT
    ),
    "granite": Architecture(
        {**_BEFORE, **_ATTENTION, **_GATED}, _BIASES, _OUTER, _FREE, ("logit_scale",)
    ),
    "llama": _PLAIN,
    "mistral3": _PLAIN,
    "olmo2": Architecture(
        {
            **_AFTER,
            **_ATTENTION,
            **_GATED,
            "attn_q_norm.weight": ("q",),
            "attn_k_norm.weight": ("k",),
        },
        _BIASES,
        {**_OUTER, **_OUTPUT},
        {},
    ),
    "phi3": Architecture(
        {
            **_BEFORE,
            **_ATTENTION,
            "ffn_up.weight": ("embd", "ff2"),
            "ffn_down.weight": ("ff", "embd"),
        },
        _BIASES,
        _OUTER,
        _FREE,
    ),
    "qwen2": Architecture(
        {**_BEFORE, **_ATTENTION, **_GATED}, _BIASES, _OUTER, {**_OUTPUT, "output.bias": ("vocab",)}
    ),
    "qwen3": Architecture({**_BEFORE, **_HEADS, **_ATTENTION, **_GATED}, _BIASES, _OUTER, _OUTPUT),
    "smollm3": _PLAIN,
}
