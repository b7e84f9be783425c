# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Length: a document within bounds of characters and words."""

from dataclasses import dataclass
from typing import ClassVar

from bastide.core.document import Document, Outcome
from bastide.filters.filter import removed, words_of
from bastide.filters.words import Words

__all__ = ["Length"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Length:
    """Removes what is too short or too long."""

    ident: ClassVar[str] = "length"
    rules: ClassVar[tuple[str, ...]] = (
        "too-few-characters",
        "too-many-characters",
        "too-few-words",
        "too-many-words",
    )

    chars_min: int = 1
    chars_max: int = 10_000_000
    words_min: int = 0  # words stand between white space
    words_max: int = 0  # 0 for no such bound

    def apply(self, document: Document, words: Words | None = None) -> Outcome:
        """Judge one document; the first rule that it breaks is the reason."""
        rule = ""
        if len(document.text) < self.chars_min:
            rule = "too-few-characters"
        elif len(document.text) > self.chars_max:
            rule = "too-many-characters"
        elif self.words_min or self.words_max:
            count = len(words_of(document, words).all)
            if count < self.words_min:
                rule = "too-few-words"
            elif self.words_max and count > self.words_max:
                rule = "too-many-words"
        return removed(self.ident, rule) if rule else Outcome(document=document)
