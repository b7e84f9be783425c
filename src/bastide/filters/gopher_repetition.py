# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Gopher's repetition rules (Rae et al. 2021, arXiv 2112.11446, table A1), in their order.

The rules are those of datatrove 0.10 `GopherRepetitionFilter`. Two differences, on purpose: words
are split at white space (see words.py), and an n-gram is its words, not their letters together.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

from bastide.core.document import Document, Outcome
from bastide.filters.filter import removed, words_of
from bastide.filters.ngrams import Repeats
from bastide.filters.words import Words

__all__ = ["GopherRepetition", "duplicates"]

_TOP: Final = (2, 3, 4)
_REPEATED: Final = (5, 6, 7, 8, 9, 10)


@dataclass(frozen=True, slots=True, kw_only=True)
class GopherRepetition:
    """Removes what says the same again and again."""

    ident: ClassVar[str] = "gopher-repetition"
    rules: ClassVar[tuple[str, ...]] = (
        "empty",
        "paragraphs",
        "paragraph-characters",
        "lines",
        "line-characters",
        *(f"top-{n}-gram" for n in _TOP),
        *(f"repeated-{n}-grams" for n in _REPEATED),
    )

    lines_max: float = 0.30  # share of lines that stood before
    paragraphs_max: float = 0.30  # share of paragraphs that stood before
    line_chars_max: float = 0.20  # share of the characters in such lines
    paragraph_chars_max: float = 0.20
    top_2_gram_max: float = 0.20  # share of the characters in the most frequent 2-gram
    top_3_gram_max: float = 0.18
    top_4_gram_max: float = 0.16
    repeated_5_grams_max: float = 0.15  # share of the characters in 5-grams that stood before
    repeated_6_grams_max: float = 0.14
    repeated_7_grams_max: float = 0.13
    repeated_8_grams_max: float = 0.12
    repeated_9_grams_max: float = 0.11
    repeated_10_grams_max: float = 0.10

    def apply(self, document: Document, words: Words | None = None) -> Outcome:
        """Judge one document; the first rule that it breaks is the reason."""
        text = document.text
        if not text.strip():
            return removed(self.ident, "empty")
        rule = self._of_parts(text)
        if not rule:
            rule = self._of_grams(words_of(document, words), len(text))
        return removed(self.ident, rule) if rule else Outcome(document=document)

    def _of_parts(self, text: str) -> str:
        if "\n" not in text:
            return ""
        # As the patterns \n{2,} and \n+ would split, which take ten times as long.
        parts = text.strip().split("\n\n")
        paragraphs = [part for part in (part.lstrip("\n") for part in parts) if part]
        count, chars = duplicates(paragraphs)
        if count / len(paragraphs) > self.paragraphs_max:
            return "paragraphs"
        if chars / len(text) > self.paragraph_chars_max:
            return "paragraph-characters"
        lines = [line for line in text.split("\n") if line]
        lines += [""] * (text.startswith("\n") + text.endswith("\n"))
        count, chars = duplicates(lines)
        if count / len(lines) > self.lines_max:
            return "lines"
        if chars / len(text) > self.line_chars_max:
            return "line-characters"
        return ""

    def _of_grams(self, words: Words, size: int) -> str:
        grams = Repeats(words.all, words.distinct)
        tops = (self.top_2_gram_max, self.top_3_gram_max, self.top_4_gram_max)
        for n, bound in zip(_TOP, tops, strict=True):
            grams.longer()
            if grams.top_chars() / size > bound:
                return f"top-{n}-gram"
        bounds = (
            self.repeated_5_grams_max,
            self.repeated_6_grams_max,
            self.repeated_7_grams_max,
            self.repeated_8_grams_max,
            self.repeated_9_grams_max,
            self.repeated_10_grams_max,
        )
        # What repeats in longer n-grams stands in repeated 4-grams too; in prose that is little.
        if grams.covered_chars() / size <= min(bounds):
            return ""
        for n, bound in zip(_REPEATED, bounds, strict=True):
            grams.longer()
            if grams.repeated_chars(bound * size) / size > bound:
                return f"repeated-{n}-grams"
        return ""


def duplicates(parts: Sequence[str]) -> tuple[int, int]:
    """How many parts stood before, and how many characters these have together."""
    if len(unique := set(parts)) == len(parts):
        return 0, 0
    # Each part counts once less than it is there.
    return len(parts) - len(unique), sum(map(len, parts)) - sum(map(len, unique))
