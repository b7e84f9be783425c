# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Words: the pieces of one text that several quality rules count, each made once.

A word is what stands between white space, as in Dolma's taggers and in Gopher's own words. (The
default of datatrove is spaCy's split, which makes a word of each punctuation mark and is
many times slower.)
"""

from functools import cached_property

from bastide.filters.punctuation import PUNCTUATION

__all__ = ["Words"]


class Words:
    """One text with its words and lines. Nothing is made before it is asked for."""

    def __init__(self, text: str) -> None:
        self.text = text

    @cached_property
    def all(self) -> list[str]:
        """Every word."""
        return self.text.split()

    @cached_property
    def distinct(self) -> dict[str, None]:
        """The different words, as they come; a few of all."""
        return dict.fromkeys(self.all)

    @cached_property
    def spoken(self) -> list[str]:
        """The words that are more than punctuation marks."""
        marks = PUNCTUATION
        mute = {word for word in self.distinct if not (word.isalnum() or word.strip(marks))}
        return [word for word in self.all if word not in mute] if mute else self.all

    @cached_property
    def lines(self) -> list[str]:
        """The lines, split where str.splitlines splits."""
        return self.text.splitlines()
