# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Sorted rows of a build in ranges, each the work of one worker.

What is sorted by a hash is cut at equal steps of it, what is sorted by place between parts. A
worker reads of each run the rows of its range alone, found by halving, and merges them. So the
results of all ranges, one after the other, are those of a single merge, however many they are.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import msgspec

from bastide.app.corpus_objects import Spill, merged_rows
from bastide.app.corpus_part import PartReport, Workbench
from bastide.app.corpus_pool import Pool
from bastide.core.limits import MIB
from bastide.ports import SealingStore

__all__ = [
    "RangeJob",
    "Runs",
    "Team",
    "by_hash",
    "by_part",
    "joined_objects",
    "ranges_for",
    "runs_in",
]

_R = TypeVar("_R")

_ROWS_MIN: Final = 200_000  # of a range: below it, to divide costs more than it saves
_RANGES_EACH: Final = 4  # for each worker, so that none waits long for the last
_RANGES_MAX: Final = 1_024  # every one opens every run


class Runs(msgspec.Struct, frozen=True):
    """Names of runs. pattern: with places for a number, and for a run of it. counts: of each
    number, how many there are."""

    pattern: str
    counts: tuple[tuple[int, int], ...]

    @property
    def names(self) -> list[str]:
        """All of them, in order."""
        return [
            self.pattern.format(number, run)
            for number, count in self.counts
            for run in range(count)
        ]


class RangeJob(msgspec.Struct, frozen=True):
    """Rows of runs from a beginning on, up to another; b"" is the first and the last.

    beside: runs in the order of places. similarity_min: of pairs that count. equal_go: whether
    equal texts were removed before.
    """

    number: int
    low: bytes
    high: bytes
    runs: Runs
    beside: Runs | None = None
    similarity_min: float = 0.0
    equal_go: bool = False

    def rows(self, bench: Workbench, store: SealingStore, width: int) -> Iterator[bytes]:
        """The rows, merged, equal ones once."""
        scratch = f"{bench.folder}/merge/m{self.number}"
        rows = merged_rows(
            store, self.runs.names, width, scratch, bench.memory // 2, (self.low, self.high)
        )
        last = None
        for row in rows:
            if row != last:
                yield row
            last = row


@dataclass(frozen=True, slots=True)
class Team:
    """Who does the jobs of a join: a pool, or without one the process itself.

    ranges: into how many the rows are cut. spill: for what is small enough for one process.
    """

    bench: Workbench
    spill: Spill
    pool: Pool | None = None
    ranges: int = 1
    tell: Callable[[int, int], None] = lambda done, total: None

    def each(self, task: Callable[[Workbench, RangeJob], _R], jobs: Sequence[RangeJob]) -> list[_R]:
        """Do a task with every job; the results in the order of the jobs."""
        if self.pool is None or len(jobs) == 1:
            return [task(self.bench, job) for job in jobs]
        found = {job.number: result for job, result in self.pool.each(task, jobs)}
        return [found[job.number] for job in jobs]

    def drop(self, *runs: Runs) -> None:
        """Delete runs that were read."""
        for one in runs:
            for name in one.names:
                self.spill.store.delete(name)

    def made(self, kind: str, counts: Sequence[int]) -> Runs:
        """The runs that jobs wrote below their numbers."""
        pattern = f"{self.bench.folder}/merge/{kind}-{{0}}-{{1}}"
        return Runs(pattern, tuple(enumerate(counts)))


def runs_in(team: Team, reports: Sequence[PartReport], kind: str) -> Runs:
    """The runs of one kind that parts wrote."""
    counts = [(report.number, report.objects.get(kind, 0)) for report in reports]
    pattern = f"{team.bench.folder}/parts/{{0:06d}}/{kind}-{{1}}"
    return Runs(pattern, tuple((number, count) for number, count in counts if count))


def ranges_for(workers: int, rows: int) -> int:
    """Into how many ranges so many rows are cut. It changes no byte."""
    return max(1, min(_RANGES_EACH * workers, rows // _ROWS_MIN, _RANGES_MAX))


def by_hash(ranges: int, runs: Runs, **more: Any) -> list[RangeJob]:
    """Jobs for rows that begin with a hash."""
    steps = [(at << 64) // ranges for at in range(1, ranges)]
    ends = [b"", *(step.to_bytes(8, "big") for step in steps), b""]
    return [
        RangeJob(number, ends[number], ends[number + 1], runs, **more) for number in range(ranges)
    ]


def by_part(ranges: int, runs: Runs, beside: Runs, **more: Any) -> list[RangeJob]:
    """Jobs for rows that begin with a place. beside: of each part; a job gets those of its own."""
    counts = beside.counts
    ranges = max(1, min(ranges, len(counts)))
    cuts = [len(counts) * at // ranges for at in range(ranges + 1)]
    firsts = [counts[cut][0].to_bytes(4, "big") for cut in cuts[1:-1]]
    ends = [b"", *firsts, b""]
    return [
        RangeJob(
            number,
            ends[number],
            ends[number + 1],
            runs,
            Runs(beside.pattern, counts[cuts[number] : cuts[number + 1]]),
            **more,
        )
        for number in range(ranges)
    ]


def joined_objects(store: SealingStore, names: Sequence[str], target: str) -> None:
    """Write what some objects hold as one, and delete them."""

    def chunks() -> Iterator[bytes]:
        for name in names:
            with store.open(name) as reader:
                for offset in range(0, reader.size, MIB):
                    yield reader.read_at(offset, MIB)

    store.put(target, chunks())
    for name in names:
        store.delete(name)
