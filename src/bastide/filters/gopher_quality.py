# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Gopher's quality rules (Rae et al. 2021, arXiv 2112.11446, appendix A1.1), in their order.

The rules are those of datatrove 0.10 `GopherQualityFilter`. Two differences, on purpose: words
are split at white space (see words.py), and function words are those of the document's language.
"""

from dataclasses import dataclass
from operator import itemgetter
from typing import ClassVar

from bastide.core.document import Document, Outcome
from bastide.filters.filter import removed, words_of
from bastide.filters.stop_words import STOP_WORDS
from bastide.filters.words import Words

__all__ = ["GopherQuality"]


@dataclass(frozen=True, slots=True, kw_only=True)
class GopherQuality:
    """Removes what is too short, too long, or no prose."""

    ident: ClassVar[str] = "gopher-quality"
    rules: ClassVar[tuple[str, ...]] = (
        "too-few-words",
        "too-many-words",
        "words-too-short",
        "words-too-long",
        "hashes",
        "ellipses",
        "bullet-lines",
        "ellipsis-lines",
        "non-alphabetic-words",
        "stop-words",
    )

    words_min: int = 50  # words that are more than punctuation
    words_max: int = 100_000
    word_chars_min: float = 3.0  # mean length of a word
    word_chars_max: float = 10.0
    symbols_max: float = 0.1  # hash signs, or ellipses, for each word
    bullet_lines_max: float = 0.9  # share of lines that begin with a bullet point
    ellipsis_lines_max: float = 0.3  # share of lines that end with an ellipsis
    alphabetic_words_min: float = 0.8  # share of words with at least one letter
    stop_words_min: int = 2  # different function words; 0 for no such rule
    stop_words: tuple[str, ...] = ()  # for every language; else those of the document's language

    def apply(self, document: Document, words: Words | None = None) -> Outcome:
        """Judge one document; the first rule that it breaks is the reason."""
        words = words_of(document, words)
        rule = self._of_words(words) or self._of_lines(words) or self._of_letters(document, words)
        return removed(self.ident, rule) if rule else Outcome(document=document)

    def _of_words(self, words: Words) -> str:
        spoken = words.spoken
        if not spoken or len(spoken) < self.words_min:
            return "too-few-words"
        if len(spoken) > self.words_max:
            return "too-many-words"
        mean = sum(map(len, spoken)) / len(spoken)
        if mean < self.word_chars_min:
            return "words-too-short"
        if mean > self.word_chars_max:
            return "words-too-long"
        return self._of_symbols(words.text, len(words.all))

    def _of_symbols(self, text: str, count: int) -> str:
        # Divided as datatrove does it: a product rounds differently right at the bound.
        if text.count("#") / count > self.symbols_max:
            return "hashes"
        if (text.count("...") + text.count("…")) / count > self.symbols_max:
            return "ellipses"
        return ""

    def _of_lines(self, words: Words) -> str:
        text, lines = words.text, words.lines
        if "•" in text or "-" in text:
            bullets = sum(line.lstrip().startswith(("•", "-")) for line in lines)
            if bullets / len(lines) > self.bullet_lines_max:
                return "bullet-lines"
        if "..." in text or "…" in text:
            ellipses = sum(line.rstrip().endswith(("...", "…")) for line in lines)
            if ellipses / len(lines) > self.ellipsis_lines_max:
                return "ellipsis-lines"
        return ""

    def _of_letters(self, document: Document, words: Words) -> str:
        # Where words that begin with a letter are enough, the others are not looked at.
        letters = sum(map(str.isalpha, map(itemgetter(0), words.all)))
        if letters / len(words.all) < self.alphabetic_words_min:
            letters = sum(any(map(str.isalpha, word)) for word in words.all)
            if letters / len(words.all) < self.alphabetic_words_min:
                return "non-alphabetic-words"
        wanted = frozenset(self.stop_words) or STOP_WORDS.get(document.language)
        if self.stop_words_min and wanted is not None:
            found = len(wanted.intersection(words.distinct))
            if found < self.stop_words_min:
                return "stop-words"
        return ""
