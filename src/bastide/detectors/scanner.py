# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Scanner: runs detectors over a text that comes in pieces, and says up to where it is decided.

Every place is looked at once, in order, and only when all text is there that it depends on (see
`detector`). So what is found depends on the text alone and never on where it was cut.
"""

from dataclasses import dataclass
from typing import Final

from bastide.detectors.detector import CONTEXT, Detector
from bastide.detectors.lineup import Lineup

__all__ = ["Found", "Scanner"]

_TRIM: Final = 4 * CONTEXT  # decided characters that may lie in the buffer before they are cut off


@dataclass(frozen=True, slots=True)
class Found:
    """A match: from `start` to `end`, counted from the beginning of the text.

    It is not `fresh` if it only goes on from an earlier match of the same detector.
    """

    detector: Detector
    start: int
    end: int
    fresh: bool


class Scanner:
    """Looks for matches of some detectors in one text."""

    __slots__ = ("_after", "_at", "_base", "_calm", "_detectors", "_plan", "_starts", "_taken",
                 "_text")  # fmt: skip

    def __init__(self, lineup: Lineup) -> None:
        self._detectors = lineup.rows
        self._plan = lineup.plan
        self._starts = lineup.plan.starts
        self._calm, self._after = lineup.calm, lineup.after
        self._text = ""
        self._base = 0  # where the buffer begins, in the whole text
        self._at = 0  # the next undecided place, in the buffer
        # Where the last match of each ended, in the whole text.
        self._taken = [0] * len(lineup.rows)

    @property
    def settled(self) -> int:
        """All places before this one are decided."""
        return self._base + self._at

    def passes(self, piece: str) -> bool:
        """Take the next piece if nothing was undecided before it and no match begins in it."""
        at = self._at
        if at != len(self._text):
            return False
        text = self._text + piece
        if self._calm.search(text, at) is not None:
            return False
        spoken = self._after and _spoken(self._after, text, at, len(text))
        if spoken and self._starts.search(text, at) is not None:
            return False
        self._text, self._at = text, len(text)
        if self._at > _TRIM:
            self._trim()
        return True

    def feed(self, piece: str, final: bool = False) -> list[Found]:
        """The matches that are certain now and were not before, by their beginnings."""
        text = self._text = self._text + piece if self._text else piece
        found: list[Found] = []
        for start in self._starts.finditer(text, self._at):
            at = start.start()
            if self._look(text, at, final, found):
                self._at = at
                break
        else:
            self._at = len(text)
        if self._at > _TRIM:
            self._trim()
        return found

    def _trim(self) -> None:
        cut = self._at - CONTEXT
        self._text = self._text[cut:]
        self._base += cut
        self._at -= cut

    def _look(self, text: str, at: int, final: bool, found: list[Found]) -> bool:
        """Look at one place; True if it cannot be decided yet."""
        size = len(text)
        ends = []
        for row in self._plan.rows(text[at]):
            detector = self._detectors[row]
            if detector.after and not _spoken(detector.after, text, at, at):
                continue
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


def _spoken(words: tuple[str, ...], text: str, at: int, stop: int) -> bool:
    """Whether one of some words stands before `stop`, at most CONTEXT characters before `at`."""
    near = text[at - CONTEXT if at > CONTEXT else 0 : stop].casefold()
    # For every piece of every stream: with any() it takes twice as long, 0.57 µs and not 0.28.
    for word in words:  # noqa: SIM110
        if word in near:
            return True
    return False
