# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""StreamFilter: one text, in pieces, without what a policy does not let through.

What comes out, put together, is the same however the text was cut. A piece is held back only
while it could still become a match that is to be masked or refused; observing holds nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from bastide.core.guard import Action
from bastide.detectors.detector import Detector
from bastide.detectors.scanner import Found, Scanner

__all__ = ["Chain", "StreamFilter", "Tally", "filtered"]

Tally = dict[tuple[str, str], int]  # matches by detector and action


@dataclass(frozen=True, slots=True)
class Chain:
    """The detectors of one direction. `held` are those that are masked or refused."""

    held: tuple[Detector, ...] = ()
    refusing: frozenset[str] = frozenset()
    observed: tuple[Detector, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.held or self.observed)


class StreamFilter:
    """Filters one text. Counts what it found in `tally`, which others may share."""

    def __init__(self, chain: Chain, tally: Tally) -> None:
        self._chain = chain
        self._tally = tally
        self._holding = Scanner(chain.held) if chain.held else None
        self._observing = Scanner(chain.observed) if chain.observed else None
        self._pending = ""
        self._start = 0  # where `_pending` begins, in the whole text
        self._cover = 0  # all before this place is masked already
        self.refused = False

    def feed(self, piece: str, final: bool = False) -> str:
        """Take the next piece; what is certain now and may go on. Nothing once it is `refused`."""
        if self.refused:
            return ""
        if self._observing is not None:
            for row in self._observing.feed(piece, final):
                self._count(row, Action.OBSERVE)
        if self._holding is None:
            return piece
        found = self._holding.feed(piece, final)
        settled = self._holding.settled
        if not found and self._cover <= self._start:
            if not self._pending and settled == self._start + len(piece):
                self._start = settled
                return piece
            self._pending += piece
            return self._take(settled)
        self._pending += piece
        return self._masked(found, settled)

    def _masked(self, found: Sequence[Found], settled: int) -> str:
        out: list[str] = []
        for row in sorted(found, key=self._order):
            if row.detector.ident in self._chain.refusing:
                self._count(row, Action.REFUSE)
                self._drop(row.start)
                out.append(self._take(row.start))
                self._pending = ""
                self.refused = True
                return "".join(out)
            if row.end <= self._cover:
                continue
            self._count(row, Action.MASK)
            if row.start >= self._cover:
                self._drop(row.start)
                out.append(self._take(row.start))
                out.append(row.detector.shown)
            self._cover = row.end
        self._drop(settled)
        out.append(self._take(settled))
        return "".join(out)

    def _order(self, row: Found) -> tuple[int, bool, int]:
        return row.start, row.detector.ident not in self._chain.refusing, -row.end

    def _take(self, end: int) -> str:
        """All that is pending before a place of the whole text."""
        count = end - self._start
        if count >= len(self._pending):
            text, self._pending = self._pending, ""
        else:
            text, self._pending = self._pending[:count], self._pending[count:]
        self._start = end
        return text

    def _drop(self, end: int) -> None:
        """Forget what is masked, before a place."""
        masked = min(self._cover, end)
        if masked > self._start:
            self._take(masked)

    def _count(self, row: Found, action: Action) -> None:
        if row.fresh:
            key = (row.detector.ident, action.value)
            self._tally[key] = self._tally.get(key, 0) + 1


def filtered(chain: Chain, text: str, tally: Tally) -> tuple[str, bool]:
    """A whole text, filtered, and whether it was refused."""
    one = StreamFilter(chain, tally)
    return one.feed(text, final=True), one.refused
