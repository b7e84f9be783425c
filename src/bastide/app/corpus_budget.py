# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The draw of the step `budget`, over sorted rows: memory is that of the sorting.

Each kind of budget is one pass: the rows of what is left are sorted by budget and rank, and stay
until the next would not fit. What goes is written as key, place and reason.
"""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Final

from bastide.app.corpus_objects import RunWriter, Spill, read_rows
from bastide.app.corpus_part import SIZE_WIDTH, PartReport, runs_of
from bastide.core.dataset import BudgetCount
from bastide.core.errors import Refused
from bastide.filters.budget import NONE, Ask, Budgeter

__all__ = ["SPENT_WIDTH", "Draw", "verify_budgets"]

SPENT_WIDTH: Final = 32 + 8 + 1  # key and place of the removed, the number of the rule
_RULES: Final = ("source", "language", "total")
_DRAWN_WIDTH: Final = 2 + SIZE_WIDTH  # a budget's number, rank, key, place, both numbers, size


class Draw:
    """Draws the documents of one build. counts: what came of each budget, once `rows` ended."""

    def __init__(self, spill: Spill, budget: Budgeter) -> None:
        self._spill = spill
        self._budget = budget
        self._sums = {number: [0, 0, 0] for number in range(len(budget.asks))}
        name = f"{spill.folder}/merge/spent"
        self._spent = RunWriter(spill.store, name, SPENT_WIDTH, memory=spill.memory)

    def rows(self, reports: Sequence[PartReport], gone: Iterator[bytes]) -> Iterator[bytes]:
        """What no budget has room for, sorted by key. gone: by place, what duplicates removed."""
        left = _without(_sizes(self._spill, reports), gone)
        for number, rule in enumerate(_RULES):
            if any(ask.rule == rule for ask in self._budget.asks):
                left = self._fitting(number, rule, left)
        for _ in left:
            pass
        count = self._spent.close()
        runs = [f"{self._spill.folder}/merge/spent-{number}" for number in range(count)]
        yield from self._spill.merged("spent", SPENT_WIDTH, runs)
        for name in runs:
            self._spill.store.delete(name)

    @property
    def counts(self) -> list[BudgetCount]:
        """In the recipe's order: what was asked for, what was there, and what is taken."""
        return [
            _counted(self._budget, ask, *self._sums[number])
            for number, ask in enumerate(self._budget.asks)
        ]

    def _fitting(self, number: int, rule: str, rows: Iterator[bytes]) -> Iterator[bytes]:
        """The rows that stay after the budgets of one rule."""
        numbered = (self._number(rule, row) + row for row in rows)
        ordered = self._spill.sorted(f"drawn-{number}", _DRAWN_WIDTH, numbered)
        for head, group in groupby(ordered, key=lambda row: row[:2]):
            own = int.from_bytes(head, "big")
            ask = self._budget.asks[own] if own < NONE - 1 else None
            sums, full = self._sums.get(own, [0, 0, 0]), own == NONE - 1
            for row in group:
                size = int.from_bytes(row[-8:], "big")
                sums[0] += size
                full = full or (ask is not None and sums[1] + size > ask.amount)
                if full:
                    self._spent.add(row[10:50] + bytes([number]))
                    continue
                sums[1] += size
                sums[2] += 1
                yield row[2:]

    def _number(self, rule: str, row: bytes) -> bytes:
        if rule == "total":
            return (len(self._budget.asks) - 1).to_bytes(2, "big")
        return row[48:50] if rule == "source" else row[50:52]


def verify_budgets(budget: Budgeter, counts: Sequence[BudgetCount]) -> None:
    """Return if every budget could be met as the recipe wants. Raises Refused, every reason.

    What earlier budgets did not use, because the next document did not fit, was there, too.
    """
    settings = budget.settings
    reasons = []
    for row in counts:
        earlier = [one for one in counts if _RULES.index(one.rule) < _RULES.index(row.rule)]
        unused = sum(min(one.asked, one.there) - one.taken for one in earlier)
        what = f"{row.rule} {row.name}".strip()
        if row.asked and row.there and not row.taken:
            reasons.append(f"{what}: the first document that is drawn is larger than {row.asked}")
        if row.there + unused >= row.asked or settings.short == "take":
            continue
        told = f"{what}: {row.asked} {row.unit} are asked for, {row.there} are there"
        if settings.short == "refuse":
            reasons.append(told)
        elif row.asked > settings.epochs_max * row.taken:
            reasons.append(f"{told}, and nothing may be repeated over {settings.epochs_max} times")
    if reasons:
        raise Refused(
            "the budgets of the recipe cannot be met",
            reasons=reasons,
            fix='ask for less, add sources, or say short = "take" or "repeat" in the step budget',
        )


def _counted(budget: Budgeter, ask: Ask, there: int, taken: int, documents: int) -> BudgetCount:
    epochs = 1_000
    if budget.settings.short == "repeat" and taken and there < ask.amount:
        epochs = ask.amount * 1_000 // taken
    unit = budget.settings.unit
    return BudgetCount(ask.rule, ask.name, unit, ask.amount, there, taken, documents, epochs)


def _sizes(spill: Spill, reports: Sequence[PartReport]) -> Iterator[bytes]:
    """All documents that the steps kept, by place."""
    for name in runs_of(spill.folder, reports, "sizes"):
        yield from read_rows(spill.store, name, SIZE_WIDTH)


def _without(rows: Iterator[bytes], gone: Iterator[bytes]) -> Iterator[bytes]:
    """The rows whose places do not go, as rank, key, place and the rest."""
    removed = next(gone, b"")
    for row in rows:
        while removed and removed[:8] < row[:8]:
            removed = next(gone, b"")
        if removed[:8] != row[:8]:
            yield row[8:48] + row[:8] + row[48:]
