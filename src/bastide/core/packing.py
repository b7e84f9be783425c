# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Packing: how documents come into training sequences of one length.

*Best fit* is Best-Fit-Decreasing as in "Fewer Truncations Improve Language Modeling" (Ding et al.,
ICML 2024): only a document longer than a sequence is cut, into whole sequences and one rest; every
other piece stays whole, in the sequence where it leaves the least room. *Concat* is the usual way,
for comparison: all documents one after another, cut wherever a sequence is full.
"""

import hashlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from bastide.core.canonical import canonical
from bastide.core.subject import Digest

__all__ = [
    "BEST_FIT",
    "CONCAT",
    "METHODS",
    "PLACEMENT",
    "PackedShard",
    "Packing",
    "Piece",
    "best_fit",
    "concatenate",
    "cut",
    "document_leaf",
]

BEST_FIT: Final = "best-fit"
CONCAT: Final = "concat"
METHODS: Final = (BEST_FIT, CONCAT)


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a document, in tokens. document: its number in its shard. offset: its beginning."""

    document: int
    offset: int
    length: int


# Where a piece of a document is: shard, sequence in it, first token there; offset in the document,
# length.
PLACEMENT: Final = struct.Struct(">IIIII")


def document_leaf(key: bytes, tokens: bytes, placements: bytes) -> bytes:
    """What the tree of documents holds of one: its key, the SHA-256 of its tokens in little-endian,
    and that of its placements, one after the other by offset."""
    return key + hashlib.sha256(tokens).digest() + hashlib.sha256(placements).digest()


class PackedShard(msgspec.Struct, frozen=True):
    """The sequences that come of one shard of the dataset.

    objects: SHA-256 of the content of each object, by its part. split: documents that are in more
    than one piece. padding: tokens that fill sequences up. languages: tokens of each. runs: sorted
    objects with the leaves of its documents.
    """

    number: int
    documents: int
    split: int
    pieces: int
    sequences: int
    tokens: int
    padding: int
    languages: dict[str, int]
    objects: dict[str, str]
    runs: int = 0


class Packing(msgspec.Struct, frozen=True, omit_defaults=True):
    """A whole packing. dataset: digest of the dataset's manifest. root: of the RFC 6962 tree whose
    leaves are the sequences, each with its pieces. end: number of the token after each document.
    documents_root: of the tree over `document_leaf` of every document, sorted by key; "" in older
    ones."""

    dataset: str
    tokenizer: str
    tokenizers: str
    vocabulary: int
    dtype: str
    length: int
    method: str
    end: int
    root: str
    shards: list[PackedShard]
    documents_root: str = ""

    @property
    def digest(self) -> Digest:
        """The digest of the canonical JSON: the packing's."""
        return Digest.of(self.encode())

    def encode(self) -> bytes:
        """The canonical bytes that are stored and hashed."""
        return canonical(msgspec.to_builtins(self))


def cut(document: int, tokens: int, length: int) -> list[Piece]:
    """A document's pieces: whole sequences, then the rest. None of no tokens."""
    return [
        Piece(document, offset, min(length, tokens - offset)) for offset in range(0, tokens, length)
    ]


def best_fit(pieces: Sequence[Piece], length: int) -> list[list[Piece]]:
    """Put each piece where it leaves the least room, the longest first; equal ones in their order.

    Every piece has 1 to `length` tokens. Deterministic. The sequences that have room are found by
    the bits of one integer, one bit for each number of tokens that is free.
    """
    sequences: list[list[Piece]] = []
    free: list[list[int]] = [[] for _ in range(length + 1)]  # sequences by the room they have
    rooms = 0  # bit r: some sequence has room for r tokens
    for piece in sorted(pieces, key=lambda one: -one.length):
        fitting = rooms >> piece.length
        if fitting:
            room = piece.length + (fitting & -fitting).bit_length() - 1
            number = free[room].pop()
            if not free[room]:
                rooms &= ~(1 << room)
            sequences[number].append(piece)
        else:
            number, room = len(sequences), length
            sequences.append([piece])
        left = room - piece.length
        if left:
            free[left].append(number)
            rooms |= 1 << left
    return sequences


def concatenate(pieces: Sequence[Piece], length: int) -> list[list[Piece]]:
    """Put pieces one after another and cut wherever a sequence is full."""
    sequences: list[list[Piece]] = []
    room = 0
    for piece in pieces:
        offset, left = piece.offset, piece.length
        while left:
            if not room:
                sequences.append([])
                room = length
            taken = min(left, room)
            sequences[-1].append(Piece(piece.document, offset, taken))
            offset, left, room = offset + taken, left - taken, room - taken
    return sequences
