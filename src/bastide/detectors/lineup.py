# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Lineup: detectors that look at texts together.

It knows which of them look at a place, by the character that stands there; and, of a text that is
whole, which of them can have a match in it at all. Most texts have no `@`, no `:` and no `AKIA`,
and to know that takes a hundredth of the time that looking at every place takes.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from bastide.detectors.detector import ALONE, Detector

__all__ = ["Lineup", "Plan"]

_ASCII: Final = 128
# Of one lineup, that are made ready: each takes milliseconds, and whoever writes a text chooses
# which one it asks for. To look with too many detectors is slower, and never wrong.
_SUBSETS_MAX: Final = 16


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


def _sign(marks: tuple[str, ...]) -> str:
    """A rare character that all of them have, if there is one: quicker to look for."""
    common = set(marks[0]).intersection(*marks[1:])
    return max((sign for sign in common if not sign.isalnum()), default="")


def _beginnings(rows: Iterable[Detector]) -> tuple[tuple[str, str], ...]:
    return tuple([(row.first, row.begins) for row in rows])


class Lineup:
    """Some detectors, made ready once for many texts."""

    __slots__ = ("__weakref__", "_base", "_every", "_harmless", "_known", "_needs", "_plain",
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
        rows = [row for row in range(len(self.rows)) if self._plain >> row & 1]
        self._harmless = bytes(
            code for code in range(_ASCII) if not set(rows) & set(self.plan.ascii[code])
        )
        self._needs = tuple((_sign(marks), marks, bits) for marks, bits in needs.items())
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
        if self._base is not None:
            own = self.rows[len(self._base.rows) :]
            return self._base.within(text).more(tuple(row for row in own if row.may_be_in(text)))
        folded, found = text.casefold(), self._every
        if self._plain and not (
            text.isascii() and not text.encode().translate(None, self._harmless)
        ):
            found |= self._plain
        for sign, marks, bits in self._needs:
            if sign not in folded:
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
