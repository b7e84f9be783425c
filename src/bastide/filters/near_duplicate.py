# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Near duplicates, the pure half: a MinHash signature of each text, and the keys of its bands.

Texts that share most of their five-word shingles get signatures that agree in most places
(Broder 1997). 128 places in 16 bands of 8 rows: two texts of similarity s share the key of a band
with the probability 1 - (1 - s^8)^16, which is 0.95 at s = 0.8 and 0.06 at s = 0.5.

The signatures are those of rensa's RMinHash, algorithm version 2, seed 42. Another version makes
others, so it is refused: signatures of two runs must be comparable. Pseudonyms are neutral marks in
them (`filters/neutral.py`), so the key that made them does not decide what is similar. In three
other steps it can tell: `language` behind `personal-data`, `budget` in tokens, and `sample` where
names of records hold personal data.
"""

import hashlib
import operator
import re
import struct
from dataclasses import dataclass
from itertools import islice
from typing import ClassVar, Final

from bastide.core.errors import Misconfigured
from bastide.filters.neutral import neutral

__all__ = ["BANDS", "PERMUTATIONS", "NearDuplicate", "bands", "estimate", "exact_digest"]

PERMUTATIONS: Final = 128
BANDS: Final = 16
_SEED: Final = 42
_ALGORITHM: Final = 2
_BAND_BYTES: Final = PERMUTATIONS * 4 // BANDS
_WORD: Final = re.compile(r"[^\W_]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class NearDuplicate:
    """Signatures of texts. Which document of a group stays is decided where all are known."""

    ident: ClassVar[str] = "near-duplicate"
    rules: ClassVar[tuple[str, ...]] = ("similar",)

    shingle_words: int = 5  # words in a row that count as one
    similarity_min: float = 0.8  # of two signatures; what shares a band but is below stays

    def __post_init__(self) -> None:
        if self.shingle_words < 1 or not 0 < self.similarity_min <= 1:
            raise ValueError("shingle_words is at least 1, similarity_min above 0 and at most 1")

    def signature(self, text: str) -> bytes:
        """The signature: 128 unsigned 32-bit numbers, little endian; b"" of a text without words.

        Raises Misconfigured if the installed rensa makes other signatures.
        """
        shingles = self._shingles(text)
        if not shingles:
            return b""
        from rensa import RMinHash  # pyrefly: ignore[missing-module-attribute]

        if RMinHash.ALGORITHM_VERSION != _ALGORITHM:
            raise Misconfigured(
                f"rensa makes signatures of version {RMinHash.ALGORITHM_VERSION}, not {_ALGORITHM}",
                fix="install the extra corpus as it is locked",
            )
        sketch = RMinHash(num_perm=PERMUTATIONS, seed=_SEED)
        sketch.update(shingles)
        return struct.pack(f"<{PERMUTATIONS}I", *sketch.digest())

    def _shingles(self, text: str) -> list[str]:
        """Runs of words in small letters, without marks; a short text is one shingle."""
        words = _WORD.findall(neutral(text).lower())
        if len(words) <= self.shingle_words:
            return [" ".join(words)] if words else []
        shifted = (islice(words, at, None) for at in range(self.shingle_words))
        return list(map(" ".join, zip(*shifted, strict=False)))


def bands(signature: bytes) -> tuple[int, ...]:
    """The keys of the 16 bands, unsigned 64-bit: two texts with one in common are compared."""
    parts = (signature[at : at + _BAND_BYTES] for at in range(0, len(signature), _BAND_BYTES))
    return tuple(
        # The number of the band is part of the key: equal rows in other bands mean nothing.
        int.from_bytes(hashlib.blake2b(part, digest_size=8, person=bytes([band])).digest())
        for band, part in enumerate(parts)
    )


def estimate(one: bytes, other: bytes) -> float:
    """The similarity of two texts from their signatures: the share of places that agree."""
    if not one or not other:
        return 0.0
    numbers = (memoryview(text).cast("I") for text in (one, other))  # compared, never reckoned with
    return sum(map(operator.eq, *numbers)) / PERMUTATIONS


def exact_digest(text: str) -> bytes:
    """What equal texts have in common: the SHA-256 of their UTF-8."""
    return hashlib.sha256(text.encode()).digest()
