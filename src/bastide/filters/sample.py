# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Sample: a share of the documents, by a keyed hash of their names.

The rank of a document depends on nothing but its name and the seed. So a larger share holds the
smaller one, and neither the order of the files nor the number of workers matters.
"""

import hashlib
from dataclasses import dataclass
from typing import ClassVar, Final

from bastide.core.document import Document, Outcome
from bastide.filters.filter import removed
from bastide.filters.words import Words

__all__ = ["RANKS", "Sample", "rank"]

RANKS: Final = 1 << 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Keeps a share of the documents."""

    ident: ClassVar[str] = "sample"
    rules: ClassVar[tuple[str, ...]] = ("not-drawn",)

    share: float  # from 0 to 1
    seed: str  # the recipe's; another seed draws other documents
    language: str = ""  # draw only among this one, such as ces_Latn; all others are kept

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            raise ValueError("share must be from 0 to 1")

    def apply(self, document: Document, words: Words | None = None) -> Outcome:
        """Judge one document."""
        if self.language and document.language != self.language:
            return Outcome(document=document)
        # Compared as whole numbers: every share has one exact bound.
        if rank(document.ident, self.seed) < int(self.share * RANKS):
            return Outcome(document=document)
        return removed(self.ident, "not-drawn")


def rank(ident: str, seed: str) -> int:
    """The place of a document in the draw, below RANKS."""
    key = hashlib.sha256(seed.encode()).digest()
    return int.from_bytes(hashlib.blake2b(ident.encode(), digest_size=8, key=key).digest())
