# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The draw of the step `budget`, by ranges of ranks and by all workers.

1. Workers take what is left of their parts, and sort it by rank.
2. A document stays while all that stand before it in its budget, and itself, are not more than the
   budget. So a range needs to know one number of each budget: what stands before the range. For
   every kind of budget the ranges are added up, those that earlier kinds left out not counted.
3. With these numbers each range decides alone, and writes what goes.

Memory is that of the sorting, and a number for each budget.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

from bastide.app.corpus_objects import put_rows, read_rows
from bastide.app.corpus_part import SIZE_WIDTH, PartReport, Workbench
from bastide.app.corpus_ranges import RangeJob, Runs, Team, by_hash, by_part, runs_in
from bastide.app.corpus_removed import GONE_WIDTH, SPENT_WIDTH
from bastide.core.dataset import BudgetCount
from bastide.core.errors import Refused
from bastide.filters.budget import NONE, Ask, Budgeter

__all__ = [
    "Draw",
    "left_range",
    "spent_range",
    "sum_range",
    "verify_budgets",
]

_NOTHING: Final = NONE - 1  # the number of a budget of nothing
_RULES: Final = ("source", "language", "total")
_RANKED: Final = "ranked"  # of a range, what is left by rank

Sums = tuple[dict[int, int], ...]  # of each rule, by the numbers of budgets
Counts = dict[int, tuple[int, int, int]]


class DrawJob(RangeJob, frozen=True):
    """A range of ranks, or what is done before these are known.

    amounts: of each budget, by its number. rules: of those that a recipe has the ones that are
    decided, by their numbers; before: for each of them, what of each budget stands before the
    range. adding: the rule that is added up.
    """

    amounts: tuple[int, ...] = ()
    rules: tuple[int, ...] = ()
    before: Sums = ()
    adding: int = 0


class Draw:
    """Draws the documents of one build. counts: what came of each budget, once it was drawn."""

    def __init__(self, budget: Budgeter) -> None:
        self._budget = budget
        self._rules = [
            number
            for number, rule in enumerate(_RULES)
            if any(ask.rule == rule for ask in budget.asks)
        ]
        self.counts: list[BudgetCount] = []

    def spent(self, team: Team, reports: Sequence[PartReport], gone: Runs) -> Runs:
        """Runs of what no budget has room for. gone: by place, what duplicates removed."""
        jobs = by_part(team.ranges, gone, runs_in(team, reports, "sizes"))
        left = team.made("drawn", team.each("ranking documents", left_range, jobs, int))
        before: list[Sums] = [()] * team.ranges
        for turn in range(len(self._rules)):
            drawing = self._jobs(left, team.ranges, turn, before)
            sums = team.each("adding up budgets", sum_range, drawing, dict[int, int])
            running: Counter[int] = Counter()
            for at, own in enumerate(sums):
                before[at] = (*before[at], dict(sorted(running.items())))
                running.update(own)
        team.drop(left)
        drawing = self._jobs(left, team.ranges, len(self._rules), before)
        found = team.each("drawing", spent_range, drawing, tuple[int, Counts])
        self.counts = self._counted([counts for _, counts in found])
        return team.made("spent", [count for count, _ in found])

    def _jobs(self, left: Runs, ranges: int, turn: int, before: Sequence[Sums]) -> list[DrawJob]:
        decided, rule = tuple(self._rules[:turn]), (*self._rules, 0)[turn]
        amounts = tuple(ask.amount for ask in self._budget.asks)
        jobs = by_hash(ranges, left, turn=turn)
        return [
            DrawJob(job.number, job.low, job.high, left, turn=turn, amounts=amounts,
                    rules=decided, before=before[job.number], adding=rule)
            for job in jobs
        ]  # fmt: skip

    def _counted(self, found: Sequence[Counts]) -> list[BudgetCount]:
        """In the recipe's order: what was asked for, what was there, and what is taken."""
        rows = []
        for number, ask in enumerate(self._budget.asks):
            own = [counts[number] for counts in found if number in counts]
            there, taken, documents = (sum(row[at] for row in own) for at in range(3))
            rows.append(_counted(self._budget, ask, there, taken, documents))
        return rows


def left_range(bench: Workbench, job: RangeJob) -> int:
    """Write what duplicates did not remove of some parts, sorted by rank; how many runs."""
    store = bench.open()
    runs = job.writer(bench, store, "drawn", SIZE_WIDTH)
    gone = job.rows(bench, store, GONE_WIDTH)
    for row in _without(job.rows_beside(store, SIZE_WIDTH), gone):
        runs.add(row)
    return runs.close()


def sum_range(bench: Workbench, job: DrawJob) -> dict[int, int]:
    """Of what earlier rules keep: how much of each budget of the next rule a range has.

    The first time it writes the range as one object, which is what is read later.
    """
    store, deciding = bench.open(), _Deciding(job)
    sums: dict[int, int] = {}

    def added(rows: Iterator[bytes]) -> Iterator[bytes]:
        for row in rows:
            if deciding.goes(row) is None:
                number = _number(job, job.adding, row)
                if number < _NOTHING:
                    sums[number] = sums.get(number, 0) + int.from_bytes(row[-8:], "big")
            yield row

    ranked = job.name(bench, _RANKED)
    if job.turn:
        for _ in added(read_rows(store, ranked, SIZE_WIDTH)):
            pass
    else:
        put_rows(store, ranked, added(job.rows(bench, store, SIZE_WIDTH)))
    return sums


def spent_range(bench: Workbench, job: DrawJob) -> tuple[int, Counts]:
    """Write what goes of a range, by key; how many runs, and what came of each budget."""
    store, deciding = bench.open(), _Deciding(job)
    runs = job.writer(bench, store, "spent", SPENT_WIDTH)
    for row in read_rows(store, job.name(bench, _RANKED), SIZE_WIDTH):
        rule = deciding.goes(row)
        if rule is not None:
            runs.add(row[8:48] + bytes([rule]))
    return runs.close(), deciding.counts


class _Deciding:
    """Says of each row of a range, in their order, which rule has no room for it.

    counts: of each budget what was there, what is taken, and how many documents these are.
    """

    def __init__(self, job: DrawJob) -> None:
        self._job = job
        self._rules = [
            (rule, dict(before)) for rule, before in zip(job.rules, job.before, strict=True)
        ]
        self.counts: Counts = {}

    def goes(self, row: bytes) -> int | None:
        """The number of the rule by which a row goes, or None."""
        for rule, before in self._rules:
            number = _number(self._job, rule, row)
            if number == _NOTHING:
                return rule
            if number == NONE:
                continue
            size = int.from_bytes(row[-8:], "big")
            before[number] = standing = before.get(number, 0) + size
            there, taken, documents = self.counts.get(number, (0, 0, 0))
            # What stands behind one that did not fit goes as well, however small it is.
            if standing > self._job.amounts[number]:
                self.counts[number] = there + size, taken, documents
                return rule
            self.counts[number] = there + size, taken + size, documents + 1
        return None


def _number(job: DrawJob, rule: int, row: bytes) -> int:
    """The number of the budget of one rule that a row counts on."""
    if _RULES[rule] == "total":
        return len(job.amounts) - 1
    return int.from_bytes(row[48:50] if _RULES[rule] == "source" else row[50:52], "big")


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


def _without(rows: Iterator[bytes], gone: Iterator[bytes]) -> Iterator[bytes]:
    """The rows whose places do not go, as rank, key, place and the rest."""
    removed = next(gone, b"")
    for row in rows:
        while removed and removed[:8] < row[:8]:
            removed = next(gone, b"")
        if removed[:8] != row[:8]:
            yield row[8:48] + row[:8] + row[48:]
