# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""FineWeb's own rules (Penedo et al. 2024, arXiv 2406.17557, section 3.6), in their order.

The rules are those of datatrove 0.10 `FineWebQualityFilter`, with words split at white space.
"""

from dataclasses import dataclass
from typing import ClassVar

from bastide.core.document import Document, Outcome
from bastide.filters.filter import removed, words_of
from bastide.filters.gopher_repetition import duplicates
from bastide.filters.punctuation import TERMINAL
from bastide.filters.words import Words

__all__ = ["FineWeb"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FineWeb:
    """Removes lists, menus and what was cut out of a page."""

    ident: ClassVar[str] = "fineweb"
    rules: ClassVar[tuple[str, ...]] = (
        "empty",
        "line-punctuation",
        "short-lines",
        "repeated-characters",
        "line-breaks",
    )

    line_punctuation_min: float = 0.12  # share of lines that end like a sentence
    short_lines_max: float = 0.67  # share of lines that are short
    short_line_chars: int = 30  # a line of so many characters or fewer is short
    repeated_chars_max: float = 0.01  # share of the characters in lines that stood before
    line_breaks_max: float = 0.3  # for each word

    def apply(self, document: Document, words: Words | None = None) -> Outcome:
        """Judge one document; the first rule that it breaks is the reason."""
        rule = self._broken(document, words)
        return removed(self.ident, rule) if rule else Outcome(document=document)

    def _broken(self, document: Document, words: Words | None) -> str:
        text = document.text
        lines = [line for line in text.split("\n") if line and not line.isspace()]
        if not lines:
            return "empty"
        ends = sum(line[-1] in TERMINAL for line in lines)
        if ends / len(lines) < self.line_punctuation_min:
            return "line-punctuation"
        short = sum(len(line) <= self.short_line_chars for line in lines)
        if short / len(lines) > self.short_lines_max:
            return "short-lines"
        breaks = text.count("\n")
        if duplicates(lines)[1] / (len(text) - breaks) > self.repeated_chars_max:
            return "repeated-characters"
        if breaks and breaks / len(words_of(document, words).all) > self.line_breaks_max:
            return "line-breaks"
        return ""
