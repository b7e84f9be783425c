# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Scanner: runs detectors over a text that comes in pieces, and says up to where it is decided.

Every place is looked at once, in order, and only when all text is there that it depends on (see
`detector`). So what is found depends on the text alone and never on where it was cut.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from bastide.detectors.detector import ALONE, CONTEXT, Detector

__all__ = ["Found", "Scanner"]

_TRIM: Final = 4 * CONTEXT  # decided characters that may lie in the buffer before they are cut off
_ASCII: Final = 128


@dataclass(frozen=True, slots=True)
class Found:
    """A match: from `start` to `end`, counted from the beginning of the text.

    It is not `fresh` if it only goes on from an earlier match of the same detector.
    """

    detector: Detector
    start: int
    end: int
    fresh: bool


@dataclass(frozen=True, slots=True)
class _Plan:
    """Which detectors look at a place, by the character that stands there."""

    starts: re.Pattern[str]
    ascii: tuple[tuple[int, ...], ...]
    classes: tuple[re.Pattern[str], ...]

    def rows(self, letter: str) -> Sequence[int]:
        code = ord(letter)
        if code < _ASCII:
            return self.ascii[code]
        return [row for row, one in enumerate(self.classes) if one.match(letter)]


@lru_cache(maxsize=256)
def _plan(beginnings: tuple[tuple[str, str], ...]) -> _Plan:
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
    return _Plan(re.compile("|".join(choices) or r"(?!)"), by_code, classes)


class Scanner:
    """Looks for matches of some detectors in one text."""

    def __init__(self, detectors: Sequence[Detector]) -> None:
        self._detectors = detectors
        self._plan = _plan(tuple((row.first, row.begins) for row in detectors))
        self._text = ""
        self._base = 0  # where the buffer begins, in the whole text
        self._at = 0  # the next undecided place, in the buffer
        self._taken = [0] * len(detectors)  # where the last match of each ended, in the whole text

    @property
    def settled(self) -> int:
        """All places before this one are decided."""
        return self._base + self._at

    def feed(self, piece: str, final: bool = False) -> list[Found]:
        """The matches that are certain now and were not before, by their beginnings."""
        text = self._text = self._text + piece if self._text else piece
        found: list[Found] = []
        for start in self._plan.starts.finditer(text, self._at):
            at = start.start()
            if self._look(text, at, final, found):
                self._at = at
                break
        else:
            self._at = len(text)
        if self._at > _TRIM:
            cut = self._at - CONTEXT
            self._text = text[cut:]
            self._base += cut
            self._at -= cut
        return found

    def _look(self, text: str, at: int, final: bool, found: list[Found]) -> bool:
        """Look at one place; True if it cannot be decided yet."""
        size = len(text)
        ends = []
        for row in self._plan.rows(text[at]):
            detector = self._detectors[row]
            stop = detector.run(text, at)
            if stop == at:
                continue
            if stop >= size and not final:
                return True
            end = detector.end(text, at, stop)
            if end and self._base + end > self._taken[row]:
                ends.append((row, self._base + end))
        for row, end in ends:
            start, before = self._base + at, self._taken[row]
            found.append(Found(self._detectors[row], start, end, start >= before))
            self._taken[row] = end
        return False
