# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""StreamFilter: one text, in pieces, without what a policy does not let through.

What comes out, put together, is the same however the text was cut. A piece is held back only
while it could still become a match that is to be masked or refused; observing holds nothing.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from bastide.core.guard import Action
from bastide.core.limits import GUARD_STEP_CHARS
from bastide.detectors.detector import Detector
from bastide.detectors.lineup import Glance, Lineup
from bastide.detectors.scanner import Found, Scanner

__all__ = ["Chain", "StreamFilter", "Tally", "filtered"]

_TRIES: Final = 8

Tally = dict[tuple[str, str], int]  # matches by detector and action


class Chain:
    """The detectors of one direction. `held` are those that are masked or refused."""

    __slots__ = ("holding", "observing", "refusing")

    def __init__(
        self,
        held: Lineup | Iterable[Detector] = (),
        refusing: frozenset[str] = frozenset(),
        observed: Lineup | Iterable[Detector] = (),
    ) -> None:
        self.holding = held if isinstance(held, Lineup) else Lineup(held)
        self.observing = observed if isinstance(observed, Lineup) else Lineup(observed)
        self.refusing = refusing

    def holding_too(self, detectors: tuple[Detector, ...]) -> "Chain":
        """The same, and some more that are held, of one request only."""
        return Chain(self.holding.more(detectors), self.refusing, self.observing)

    def observing_too(self, detectors: tuple[Detector, ...]) -> "Chain":
        """The same, and some more that are observed, of one request only."""
        return Chain(self.holding, self.refusing, self.observing.more(detectors))

    def within(self, text: str) -> "Chain":
        """The detectors that can find something in a text that is whole."""
        seen = Glance(text)
        return Chain(self.holding.among(seen), self.refusing, self.observing.among(seen))

    def __bool__(self) -> bool:
        return bool(self.holding.rows or self.observing.rows)


class StreamFilter:
    """Filters one text. Counts what it found in `tally`, which others may share."""

    __slots__ = ("_chain", "_cover", "_failed", "_holding", "_observing", "_pending", "_start",
                 "_tally", "_unseen", "_unseen_chars", "refused")  # fmt: skip

    def __init__(self, chain: Chain, tally: Tally) -> None:
        self._chain = chain
        self._tally = tally
        self._holding: Scanner | None = None
        self._observing: Scanner | None = None
        # What is observed is held against the text in larger pieces: that is cheaper, and early
        # enough.
        self._unseen: list[str] = []
        self._unseen_chars = 0
        self._pending = ""
        self._start = 0  # where `_pending` begins, in the whole text
        self._cover = 0  # all before this place is masked already
        self._failed = 0  # pieces in a row that did not pass
        self.refused = False

    def passes(self, piece: str) -> bool:
        """Take the next piece if it goes on as it is, at once. If not, it is to be fed."""
        if self._pending or self.refused or self._cover > self._start:
            return False
        if self._chain.holding:
            holding = self._holding
            if holding is None:
                holding = self._holding = Scanner(self._chain.holding)
            # Some detectors look at every word, and then this is only one search more.
            if self._failed == _TRIES or not holding.passes(piece):
                self._failed = min(self._failed + 1, _TRIES)
                return False
            self._failed = 0
            self._start += len(piece)
        if self._chain.observing:
            self._hear(piece)
        return True

    def feed(self, piece: str, final: bool = False) -> str:
        """Take the next piece; what is certain now and may go on. Nothing once it is `refused`."""
        if self.refused:
            return ""
        if self._chain.observing:
            self._hear(piece, final)
        holding = self._holding
        if holding is None:
            holding = self._holding = _scanner(self._chain.holding, piece, final)
        if holding is None:
            return piece
        found = holding.feed(piece, final)
        settled = holding.settled
        if not found and self._cover <= self._start:
            if not self._pending and settled == self._start + len(piece):
                self._start = settled
                return piece
            self._pending += piece
            return self._take(settled)
        self._pending += piece
        return self._masked(found, settled)

    def flush(self) -> None:
        """Count what is observed so far."""
        if self._unseen:
            self._observe(False)

    def _hear(self, piece: str, final: bool = False) -> None:
        self._unseen.append(piece)
        self._unseen_chars += len(piece)
        if final or self._unseen_chars > GUARD_STEP_CHARS:
            self._observe(final)

    def _observe(self, final: bool) -> None:
        text = "".join(self._unseen)
        self._unseen.clear()
        self._unseen_chars = 0
        observing = self._observing
        if observing is None:
            observing = self._observing = _scanner(self._chain.observing, text, final)
        if observing is None:
            return
        for row in observing.feed(text, final):
            self._count(row, Action.OBSERVE)

    def _masked(self, found: Sequence[Found], settled: int) -> str:
        out: list[str] = []
        for row in sorted(found, key=self._order):
            if row.detector.ident in self._chain.refusing:
                self._count(row, Action.REFUSE)
                self._drop(row.start)
                out.append(self._take(row.start))
                self._pending = ""
                self.refused = True
                self.flush()  # nothing more comes that would
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


def _scanner(lineup: Lineup, text: str, whole: bool) -> Scanner | None:
    """Who looks at a text from its beginning; None if nobody need. whole: this is all of it."""
    if whole:
        lineup = lineup.within(text)
    return Scanner(lineup) if lineup else None


def filtered(chain: Chain, text: str, tally: Tally) -> tuple[str, bool]:
    """A whole text, filtered, and whether it was refused."""
    chain = chain.within(text)
    if not chain:  # as nearly every text
        return text, False
    one = StreamFilter(chain, tally)
    return one.feed(text, final=True), one.refused
