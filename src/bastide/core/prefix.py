# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Prefix: how much two prompts have in common from their beginning, without keeping their text.

A prompt is cut into blocks of PREFIX_BLOCK_CHARS; each is hashed together with the hash before it,
so that two chains agree exactly as far as the texts do. It is a guess at what an engine could
reuse: the engine itself compares tokens. Nothing secret rests on it: a hash that meets another by
chance sends a request to a slot or a replica where it finds less than hoped.
"""

from collections.abc import Iterable
from itertools import takewhile

from bastide.core.limits import PREFIX_BLOCK_CHARS, PREFIX_BLOCKS_MAX

__all__ = ["Prefix", "prefix_of", "shared"]

Prefix = tuple[int, ...]


def prefix_of(text: str) -> Prefix:
    """The chain of a prompt's whole blocks. Equal only within one process (`hash` is salted)."""
    end = min(len(text) // PREFIX_BLOCK_CHARS, PREFIX_BLOCKS_MAX) * PREFIX_BLOCK_CHARS
    return tuple(_chained(text, end))


def shared(one: Prefix, other: Prefix) -> int:
    """How many blocks two prompts have in common from their beginning."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


def _chained(text: str, end: int) -> Iterable[int]:
    link = 0
    for start in range(0, end, PREFIX_BLOCK_CHARS):
        link = hash((link, text[start : start + PREFIX_BLOCK_CHARS]))
        yield link
