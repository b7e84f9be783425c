# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Numbers with a checksum at one place of a text: IBANs, cards, and all of `state_numbers`."""

import re
from collections.abc import Iterator
from string import ascii_uppercase, digits
from typing import Final

from bastide.detectors import card, iban
from bastide.detectors.personal.kinds import Rule
from bastide.detectors.personal.state_numbers import RULES
from bastide.detectors.personal.words import Words

__all__ = ["CARD", "LISTS", "Numbers", "alone", "starts"]

CARD: Final = (
    r"cards?|visa\w*|kk-nr|mastercard|maestro|amex|american express|diners|karte\w*|kreditkarte\w*|"
    r"zahlkarte\w*|carte\w*|cb|tarjeta\w*|carta|cartão|kaart\w*|creditcard\w*|kart\w*|kárty\w*|"
    r"bankkárty\w*|card\w*|карта\w*|κάρτα\w*|kort\w*|kontokort\w*|betalkort\w*|kredittkort\w*|"
    r"luottokort\w*|kort\w*|kortt\w*|krediitkaart\w*|kredītkart\w*|kaardi\w*|kaart\w*|kortel\w*|kartic\w*|g?ch?árta"
)
LISTS: Final = (CARD, *(rule.words for rule in RULES if rule.words))

_SIGNS = re.compile(r"\W+")
_BARE = str.maketrans("", "", " ./+-")
_GROUP = re.compile(r"(?<=[0-9] )(?=[0-9]{8})")
_LETTERS = re.compile(r"[A-Z]{1,3}[ -]\Z")
_GROUP_BEFORE = re.compile(r"(?:[0-9]{4}|[A-Z]{4})[ -]\Z")
# States whose accounts have digits alone.
_DIGITS = "AT BE CZ DE DK EE ES FI HR HU LT NO PL PT SE SI SK"
_DIGITS_ONLY: Final = frozenset(_DIGITS.split())
_ACTIVE_MAX: Final = 4_096  # sets of words whose rules are remembered
_INSIDE_LETTERS_MAX: Final = 12
# The letter or class with which a pattern begins that cannot do without it.
_FIRST: Final = re.compile(r"\(\?:(\[[^\]]+\]|[0-9A-Z])(?![?*]|\{0|[^)]*\|)")


def starts(text: str, at: int, end: int) -> Iterator[int]:
    """Where a number may begin, for a run of digits from `at` to `end`: the letters before it, its
    own beginning, a group of its digits that is long enough to be one alone.
    """
    first = at
    while first and at - first < _INSIDE_LETTERS_MAX and _sign(text[first - 1]):
        first -= 1
    letters = _LETTERS.search(text, max(0, first - 4), first)
    if letters is not None:
        yield letters.start()
    yield first
    for group in _GROUP.finditer(text, at + 1, end):
        yield group.start()


def _sign(letter: str) -> bool:
    return letter.isascii() and letter.isalnum()


def alone(text: str, at: int) -> bool:
    """Nothing of the same word, fraction, path or version stands before a place."""
    before = text[at - 1] if at else " "
    if before.isalnum() or before in "_@\\":
        return False
    further = text[at - 2] if at > 1 else " "
    if before in "-/":
        return not further.isalnum()
    return before not in ".,:+*" or not further.isdigit()


class Numbers:
    """All rules for numbers, with the rows of `words` that say when each may be asked."""

    def __init__(self, words: Words) -> None:
        self._card = words[CARD]
        self._rules = tuple((rule, words[rule.words] if rule.words else -1) for rule in RULES)
        self._active: dict[tuple[frozenset[int], bool], tuple[Rule, ...]] = {}

    def number(
        self, text: str, at: int, said: frozenset[int], negative: bool
    ) -> tuple[int, str, str, str] | None:
        """What begins at a place: its end, kind, state and value. said: which lists of words stand
        near. negative: another kind of number was announced, so a form alone is not enough.
        """
        if not alone(text, at):
            return None
        if text[at].isalpha():
            end = iban.DETECTOR.end(text, at, iban.DETECTOR.run(text, at))
            value = _value(text[at:end])
            # Words behind a shorter number make a longer one, and one in 97 of those passes.
            if end and (value[:2] not in _DIGITS_ONLY or value[2:].isdigit()):
                return end, "iban", value[:2], value
        elif self._is_card(text, at, said, negative):
            end = card.DETECTOR.end(text, at, card.DETECTOR.run(text, at))
            if end:
                return end, "card", "", _value(text[at:end])
        for rule in self._rules_of(said, text[at] in "0123456789"):
            found = rule.shape.match(text, at)
            if found is None or (negative and not rule.words):
                continue
            shown = found.group()
            if rule.holds(shown.translate(_BARE) if rule.plain else shown):
                return found.end(), rule.kind, rule.state, _value(shown)
        return None

    def _is_card(self, text: str, at: int, said: frozenset[int], negative: bool) -> bool:
        # Sixteen digits in a row pass Luhn one time in ten: then a word is needed.
        # Groups of four inside a longer row of groups are something else's.
        grouped = text[at + 4 : at + 5] in {" ", "-"} and not _GROUP_BEFORE.search(text, 0, at)
        return text[at] in "23456" and (self._card in said or (grouped and not negative))

    def _rules_of(self, said: frozenset[int], digit: bool) -> tuple[Rule, ...]:
        """The rules for what begins with a digit, or with a letter; those with words first."""
        rules = self._active.get((said, digit))
        if rules is None:
            if len(self._active) >= _ACTIVE_MAX:
                self._active.clear()
            rows = [rule for rule, row in self._rules if row in said]
            rows += [rule for rule, row in self._rules if row < 0]
            letters = digits if digit else ascii_uppercase
            rules = tuple(rule for rule in rows if _may_begin(rule.shape, letters))
            self._active[said, digit] = rules
        return rules


def _may_begin(shape: re.Pattern[str], letters: str) -> bool:
    """Whether a form may begin with one of some letters; True if its pattern does not say."""
    first = _FIRST.match(shape.pattern)
    return first is None or re.search(first[1], letters) is not None


def _value(shown: str) -> str:
    return _SIGNS.sub("", shown).upper()
