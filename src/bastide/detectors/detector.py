# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Detector: one kind of data, as a local rule that works on a text still being written.

A rule looks at one place at a time. `run` says how far from there a match could reach: it stops
before the first character that no match of this kind can have. So a text that goes on behind the
run cannot change what `end` finds within it, and where the text ends inside the run the
place is not yet decided. That is all a stream needs to hold back, and no more.

A rule may look at CONTEXT characters before the place and at one behind the run, no further.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

__all__ = [
    "ALONE",
    "CONTEXT",
    "DIGITS",
    "WORD_BEGINS",
    "Detector",
    "after_word",
    "hinted",
    "longest",
    "spelled",
]

CONTEXT: Final = 64  # characters before a place that a rule may look at
_HINT: Final = 3  # letters; more would cost more than they spare
WORD_BEGINS: Final = r"(?<![^\W_])\w"
DIGITS: Final = tuple("0123456789")  # as marks: of what has a digit
ALONE: Final = r"(?<![0-9A-Za-z])"  # not in the middle of a word or of a number


@dataclass(frozen=True, slots=True)
class Detector:
    """One kind of data.

    ident: its name in policies and receipts. first: the characters that a match begins with, as
    the inside of a regular expression's class. run and end: see above; `end` returns 0 if there
    is no match. mask: what stands for a masked match, the name in brackets if None. begins: a
    pattern of one such character that also looks around, so that most places are passed over;
    it holds wherever a match begins, and where the text ends before one can be ruled out. marks: a
    text without any of these, after `str.casefold`, has no match; without marks every text may.
    after: one of these, likewise, stands within CONTEXT characters before every match. needs: of
    what is made for one request, whether a whole text can have a match, if marks cannot say so.
    """

    ident: str
    first: str
    run: Callable[[str, int], int]
    end: Callable[[str, int, int], int]
    mask: str | None = None
    begins: str = ""
    marks: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    needs: Callable[[str], bool] | None = None

    def may_be_in(self, text: str) -> bool:
        """Whether a text that is whole can have a match."""
        if self.needs is not None and not self.needs(text):
            return False
        folded = text.casefold()
        return not self.marks or any(mark in folded for mark in self.marks)

    @property
    def shown(self) -> str:
        """What stands for a masked match."""
        return f"[{self.ident}]" if self.mask is None else self.mask


def longest(pattern: str, flags: int = 0) -> Callable[[str, int], int]:
    """A `run` that reaches as far as a pattern does. The pattern matches every beginning of a
    match, for instance by making each next character optional.
    """
    match = re.compile(pattern, flags).match

    def run(text: str, at: int) -> int:
        found = match(text, at)
        return at if found is None else found.end()

    return run


def spelled(words: Iterable[str], rest: str, either_case: bool = False) -> str:
    """A pattern of all beginnings of some words, and after the whole of one of them, of `rest`."""
    words = set(words)
    choices = []
    for letter in sorted({word[0] for word in words if word}):
        one = _letter(letter, either_case)
        further = spelled((word[1:] for word in words if word[:1] == letter), rest, either_case)
        choices.append(f"{one}(?:{further})?")
    if "" in words:
        choices.append(rest)
    return "|".join(choices)


def hinted(words: Iterable[str], either_case: bool = False) -> str:
    """A `begins` for some words: a first letter, and the two behind it as far as there are any."""
    choices = set()
    for word in words:
        pattern = ""
        for letter in reversed(word[1:_HINT]):
            pattern = rf"(?:{_letter(letter, either_case)}{pattern}|\Z)"
        choices.add(f"{_letter(word[0], either_case)}(?={pattern})")
    return "(?:" + "|".join(sorted(choices)) + ")"


def _letter(letter: str, either_case: bool) -> str:
    if either_case and letter.isalpha():
        return f"[{letter.lower()}{letter.upper()}]"
    return re.escape(letter)


def after_word(words: str, reach: int = CONTEXT) -> Callable[[str, int], bool]:
    """Whether one of some words stands within `reach` characters before a place."""
    search = re.compile(rf"(?<![^\W\d_])(?:{words})(?![^\W\d_])", re.IGNORECASE).search

    def spoken(text: str, at: int) -> bool:
        return search(text[max(0, at - reach) : at]) is not None

    return spoken
