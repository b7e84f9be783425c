# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Dataset: what a build made, as a manifest whose digest is the dataset's name for ever.

A document of a dataset is known by its *key*, the SHA-256 of its source and its ident: sorted by
keys, a dataset can be proven to hold a document or not to, and the proof names no other document.
"""

import hashlib
from typing import Any

import msgspec

from bastide.core.canonical import canonical
from bastide.core.subject import Digest

__all__ = [
    "Asked",
    "BudgetCount",
    "Manifest",
    "Searched",
    "Shard",
    "SourceCount",
    "StepCount",
    "document_key",
    "leaf_of",
]


def document_key(source: str, ident: str) -> bytes:
    """The key of a document: SHA-256 over the source's name, a zero byte, and the ident."""
    return hashlib.sha256(f"{source}\0{ident}".encode()).digest()


def leaf_of(key: bytes, text: bytes) -> bytes:
    """What the tree holds of a document: its key, then the SHA-256 of its text in UTF-8."""
    return key + text


class Shard(msgspec.Struct, frozen=True):
    """One object of the dataset: Zstandard over JSON Lines.

    digest: of the stored content, compressed. bytes: of the text lines, uncompressed.
    """

    object: str
    digest: str
    documents: int
    bytes: int


class SourceCount(msgspec.Struct, frozen=True):
    """What was read of one source, and what of it is in the dataset."""

    name: str
    licence: str
    basis: str
    origin: str
    collected: str
    files: int
    bytes: int
    read: int
    broken: int
    kept: int


class StepCount(msgspec.Struct, frozen=True):
    """What one step did: documents that came in, that it changed, and that it removed by reason.

    characters: how many the changed documents gained; negative if they lost some.
    """

    step: str
    entered: int
    changed: int
    removed: dict[str, int]
    characters: int


class BudgetCount(msgspec.Struct, frozen=True):
    """What came of one budget.

    rule: source, language or total. asked: by the recipe. there: what was left to draw from.
    taken: of it, in `documents`. epochs_thousandths: how often a training that wants what was asked
    for reads them, times 1000; no text is copied.
    """

    rule: str
    name: str
    unit: str
    asked: int
    there: int
    taken: int
    documents: int
    epochs_thousandths: int


class Searched(msgspec.Struct, frozen=True):
    """A suite of evaluation for whose questions every document was searched.

    digest: the suite's. ngram: words in a row that had to agree. questions: that it has; searched:
    those long enough to be searched for.
    """

    suite: str
    digest: str
    ngram: int
    questions: int
    searched: int


class Asked(msgspec.Struct, frozen=True):
    """A finder of names that was asked about every document.

    scheme: `list` or `program`. digest: of the scheme and the digests of all its files. kinds: that
    were masked or removed.
    """

    scheme: str
    digest: str
    kinds: list[str]


class Manifest(msgspec.Struct, frozen=True, omit_defaults=True):
    """A whole dataset. It holds digests and counts, and no name of a file or of a document.

    build: digest over recipe, input files and the versions of what made it. root: of the RFC 6962
    tree over `leaf_of` of every document, sorted by key. broken: places that could not be read, by
    reason. text_bytes and chars: of all texts.
    """

    name: str
    recipe: str
    build: str
    made_with: dict[str, str]
    root: str
    documents: int
    text_bytes: int
    chars: int
    languages: dict[str, int]
    sources: list[SourceCount]
    steps: list[StepCount]
    broken: dict[str, int]
    shards: list[Shard]
    decontaminated: list[Searched] = []  # left out if empty, so that older digests stay
    budgets: list[BudgetCount] = []  # the same
    asked: list[Asked] = []  # the same

    @property
    def digest(self) -> Digest:
        """The digest of the canonical JSON: the dataset's."""
        return Digest.of(self.encode())

    def to_json(self) -> dict[str, Any]:
        """The manifest as plain JSON values."""
        return msgspec.to_builtins(self)

    def encode(self) -> bytes:
        """The canonical bytes that are stored and hashed."""
        return canonical(self.to_json())

    @classmethod
    def decode(cls, data: bytes) -> "Manifest":
        """Read what `encode` wrote. Raises msgspec.DecodeError for anything else."""
        return msgspec.json.decode(data, type=cls)
