# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Lineup: detectors that look at texts together.

It knows which of them look at a place, by the character that stands there; and, of a text that is
whole, which of them can have a match in it at all. Most texts have no `@`, no `:` and no `AKIA`,
and to know that takes a hundredth of the time that looking at every place takes. Most marks have a
character that prose seldom has, so one look at those (a `Glance`) rules most detectors out.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from string import ascii_letters
from typing import Final

from bastide.detectors.detector import ALONE, Detector

__all__ = ["Glance", "Lineup", "Plan"]

_ASCII: Final = 128
# Of one lineup, that are made ready: each takes milliseconds, and whoever writes a text chooses
# which one it asks for. To look with too many detectors is slower, and never wrong.
_SUBSETS_MAX: Final = 16
_PROSE: Final = f"{ascii_letters} ,\n"  # what a glance does not tell: nearly all of most texts


class Glance:
    """What can be seen at once of a text that is whole."""

    __slots__ = ("folded", "is_ascii", "signs", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self.is_ascii = text.isascii()
        self.folded = text.casefold()
        left = self.folded.encode("ascii", "ignore").translate(None, _PROSE.encode())
        self.signs = frozenset(left)  # of ASCII, as codes


@dataclass(frozen=True, slots=True)
class Plan:
    """Which detectors look at a place, by the character that stands there."""

    starts: re.Pattern[str]
    ascii: tuple[tuple[int, ...], ...]
    classes: tuple[re.Pattern[str], ...]

    def rows(self, letter: str) -> Sequence[int]:
        """Their numbers."""
        code = ord(letter)
        if code < _ASCII:
            return self.ascii[code]
        return [row for row, one in enumerate(self.classes) if one.match(letter)]


@lru_cache(maxsize=256)
def _plan(beginnings: tuple[tuple[str, str], ...]) -> Plan:
    classes = tuple(re.compile(f"[{first}]") for first, _ in beginnings)
    by_code = tuple(
        tuple(row for row, one in enumerate(classes) if one.match(chr(code)))
        for code in range(_ASCII)
    )
    plain = "".join(dict.fromkeys(first for first, begins in beginnings if not begins))
    choices = [f"[{plain}]"] if plain else []
    # What may not follow a letter or a digit is tried only where there is none: once for all.
    alone = [begins.removeprefix(ALONE) for _, begins in beginnings if begins.startswith(ALONE)]
    choices += [f"{ALONE}(?:{'|'.join(dict.fromkeys(alone))})"] if alone else []
    choices += dict.fromkeys(
        begins for _, begins in beginnings if begins and not begins.startswith(ALONE)
    )
    return Plan(re.compile("|".join(choices) or r"(?!)"), by_code, classes)


def _signs(marks: tuple[str, ...]) -> frozenset[int]:
    """Codes of which a text has one if it has one of the marks; none if a glance tells nothing."""
    signs = [[sign for sign in mark if sign.isascii() and sign not in _PROSE] for mark in marks]
    return frozenset(ord(max(of_mark)) for of_mark in signs) if all(signs) else frozenset()


def _beginnings(rows: Iterable[Detector]) -> tuple[tuple[str, str], ...]:
    return tuple([(row.first, row.begins) for row in rows])


class Lineup:
    """Some detectors, made ready once for many texts."""

    __slots__ = ("__weakref__", "_base", "_every", "_known", "_needs", "_plain", "_plain_signs",
                 "after", "calm", "plan", "rows")  # fmt: skip

    def __init__(self, detectors: Iterable[Detector]) -> None:
        self._base: Lineup | None = None
        self.rows = tuple(detectors)
        self.plan = _plan(_beginnings(self.rows))
        # Where a match can begin if none of these words stands before it.
        self.after = tuple({word for row in self.rows for word in row.after})
        self.calm = _plan(_beginnings(row for row in self.rows if not row.after)).starts
        # By what a text must have: which rows, as bits.
        needs: dict[tuple[str, ...], int] = {}
        self._plain = 0  # what finds single characters, most of them not of ASCII
        for number, row in enumerate(self.rows):
            if row.marks or row.begins:
                needs[row.marks] = needs.get(row.marks, 0) | 1 << number
            else:
                self._plain |= 1 << number
        self._every = needs.pop((), 0)
        plain = {row for row in range(len(self.rows)) if self._plain >> row & 1}
        letters = [chr(code) for code in range(_ASCII) if plain & set(self.plan.ascii[code])]
        self._plain_signs = _signs(tuple(letters))
        if letters and not self._plain_signs:  # a glance does not tell: every text may have one
            self._every, self._plain = self._every | self._plain, 0
        self._needs = tuple((_signs(marks), marks, bits) for marks, bits in needs.items())
        self._known: dict[int, Lineup] = {}

    def more(self, detectors: tuple[Detector, ...]) -> "Lineup":
        """These and some more, which are of one request only: so it costs little."""
        if not detectors:
            return self
        made = Lineup.__new__(Lineup)
        made._base = self
        made.rows = self.rows + detectors
        made.after = self.after
        made.plan = _plan(_beginnings(made.rows))
        made.calm = _plan(_beginnings(row for row in made.rows if not row.after)).starts
        return made

    def within(self, text: str) -> "Lineup":
        """Those that can have a match in a text that is whole."""
        return self.among(Glance(text))

    def among(self, seen: Glance) -> "Lineup":
        """The same, of a text that was looked at already."""
        if self._base is not None:
            own = self.rows[len(self._base.rows) :]
            own = tuple(row for row in own if row.may_be_in(seen.text))
            return self._base.among(seen).more(own)
        folded, here, found = seen.folded, seen.signs, self._every
        if self._plain and not (seen.is_ascii and self._plain_signs.isdisjoint(here)):
            found |= self._plain
        for signs, marks, bits in self._needs:
            if signs and signs.isdisjoint(here):
                continue
            for mark in marks:
                if mark in folded:
                    found |= bits
                    break
        if found == (1 << len(self.rows)) - 1:
            return self
        if not found:
            return _nobody()
        known = self._known.get(found)
        if known is None:
            if len(self._known) == _SUBSETS_MAX:
                return self
            known = Lineup(row for number, row in enumerate(self.rows) if found >> number & 1)
            self._known[found] = known
        return known

    def __len__(self) -> int:
        return len(self.rows)


@lru_cache(maxsize=1)
def _nobody() -> Lineup:
    return Lineup(())
