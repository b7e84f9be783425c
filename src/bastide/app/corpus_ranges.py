# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Sorted rows of a build in ranges, each the work of one worker.

What is sorted by a hash is cut at equal steps of it, what is sorted by place between parts. A
worker reads of each run the rows of its range alone, found by halving, and merges them. So the
results of all ranges, one after the other, are those of a single merge, however many they are.

Each range that is done is noted beside what it wrote, with a digest of its job. So a join that was
killed goes on, and what one process makes of the ranges is noted in the same way.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, TypeVar

import msgspec

from bastide.app.corpus_objects import RunWriter, merged_rows, read_object, read_rows
from bastide.app.corpus_part import PartReport, Workbench, damaged_objects
from bastide.app.corpus_pool import Pool
from bastide.core.errors import NotFound, NotProven
from bastide.core.limits import MIB
from bastide.ports import SealingStore

__all__ = [
    "RangeJob",
    "Runs",
    "Team",
    "by_hash",
    "by_part",
    "ranges_for",
    "ranges_of",
    "runs_in",
]

_R = TypeVar("_R")
_J = TypeVar("_J", bound="RangeJob")

_JOURNAL: Final = "merge/done"  # below the folder of a build

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

    beside: runs in the order of places. more: other runs of the same range. turn: of jobs that are
    done several times, which time it is. similarity_min: of pairs that count. equal_go: whether
    equal texts were removed before.
    """

    number: int
    low: bytes
    high: bytes
    runs: Runs
    beside: Runs | None = None
    more: tuple[Runs, ...] = ()
    turn: int = 0
    similarity_min: float = 0.0
    equal_go: bool = False

    def rows(
        self, bench: Workbench, store: SealingStore, width: int, which: int = 0
    ) -> Iterator[bytes]:
        """The rows, merged, equal ones once. which: of the runs and of `more`, in this order."""
        every = (self.runs, *self.more)
        scratch = f"{bench.folder}/merge/m{self.number}-{which}"
        memory = bench.memory // 2 // len(every)
        rows = merged_rows(store, every[which].names, width, scratch, memory, (self.low, self.high))
        last = None
        for row in rows:
            if row != last:
                yield row
            last = row

    def rows_beside(self, store: SealingStore, width: int) -> Iterator[bytes]:
        """The rows of `beside`, by place."""
        for name in self.beside.names if self.beside else ():
            yield from read_rows(store, name, width)

    def name(self, bench: Workbench, kind: str) -> str:
        """Of an object of one kind that the job writes; of runs, without their numbers."""
        return f"{bench.folder}/merge/{kind}-{self.number}"

    def writer(self, bench: Workbench, store: SealingStore, kind: str, width: int) -> RunWriter:
        """Writes runs of one kind, which `Team.made` finds."""
        return RunWriter(store, self.name(bench, kind), width, memory=bench.memory // 2)


@dataclass(frozen=True, slots=True)
class Team:
    """Who does the jobs of a join: a pool, or without one the process itself.

    ranges: into how many the rows are cut.
    """

    bench: Workbench
    store: SealingStore
    pool: Pool | None = None
    ranges: int = 1
    tell: Callable[[str, int, int], None] = lambda what, done, total: None

    def each(
        self,
        what: str,
        task: Callable[[Workbench, _J], _R],
        jobs: Sequence[_J],
        kind: Any,
    ) -> list[_R]:
        """Do a task with every job; the results, of a kind, in the order of the jobs.

        what: what is told of it. A job that an earlier run finished is not done again.
        """
        if self.pool is None:
            return [task(self.bench, job) for job in jobs]
        names = {job.number: f"{task.__name__}-{_at(job)}" for job in jobs}
        found: dict[int, Any] = {}
        for job in jobs:
            if (known := self.noted(names[job.number], job, kind)) is not None:
                found[job.number] = known
        missing = [job for job in jobs if job.number not in found]
        self.tell(what, len(found), len(jobs))
        for job, result in self.pool.each(task, missing):
            found[job.number] = result
            self.note(names[job.number], job, result)
            self.tell(what, len(found), len(jobs))
        return [found[job.number] for job in jobs]

    def noted(self, name: str, made_of: Any, kind: Any) -> Any:
        """What was noted under a name, if it was of the same; else None."""
        try:
            data = read_object(self.store, f"{self.bench.folder}/{_JOURNAL}-{name}")
            digest, result = msgspec.msgpack.decode(data, type=tuple[bytes, kind])
        except (NotFound, msgspec.DecodeError):
            return None
        return result if digest == _digest(made_of) else None

    def note(self, name: str, made_of: Any, result: Any) -> None:
        """Note what came of something, once all that it wrote is there."""
        if self.pool is not None:
            row = msgspec.msgpack.encode((_digest(made_of), result))
            self.store.put(f"{self.bench.folder}/{_JOURNAL}-{name}", [row])

    def join_objects(self, names: Sequence[str], target: str, jobs: Sequence[RangeJob]) -> None:
        """Write what the objects of some jobs hold as one, and delete them; once.

        Raises NotProven if an earlier run did, and it is not as it was.
        """
        store, name = self.store, f"{self.bench.folder}/{target}"
        made_of = [_digest(job) for job in jobs]  # each names all runs
        if self.noted(target, made_of, bool) is None:
            store.put(name, _joined(store, names))
            self.note(target, made_of, True)
        elif damaged_objects(self.bench, (target, [name])):
            raise NotProven(f"{name} was changed", fix="build again")
        for name in names:
            store.delete(name)

    def clear(self) -> None:
        """Delete what was merged and is needed no more; what was noted stays."""
        for name in self.store.names(f"{self.bench.folder}/merge"):
            if not name.startswith(f"{self.bench.folder}/{_JOURNAL}-"):
                self.store.delete(name)

    def forget(self) -> None:
        """Delete all that was merged and noted: it is done from the beginning."""
        for name in self.store.names(f"{self.bench.folder}/merge"):
            self.store.delete(name)

    def drop(self, *runs: Runs) -> None:
        """Delete runs that were read."""
        for one in runs:
            for name in one.names:
                self.store.delete(name)

    def made(self, kind: str, counts: Sequence[int]) -> Runs:
        """The runs that jobs wrote below their numbers."""
        pattern = f"{self.bench.folder}/merge/{kind}-{{0}}-{{1}}"
        return Runs(pattern, tuple(enumerate(counts)))


def runs_in(team: Team, reports: Sequence[PartReport], kind: str) -> Runs:
    """The runs of one kind that parts wrote."""
    counts = [(report.number, report.objects.get(kind, 0)) for report in reports]
    pattern = f"{team.bench.folder}/parts/{{0:06d}}/{kind}-{{1}}"
    return Runs(pattern, tuple((number, count) for number, count in counts if count))


def ranges_of(team: Team, ranges: int) -> Team:
    """The team with the number of ranges that a join has, or had when it was begun: another one
    would find nothing of what was done."""
    known = team.noted("ranges", "", int)
    if known is None:
        team.note("ranges", "", ranges)
    return replace(team, ranges=known or ranges)


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


def _at(job: RangeJob) -> str:
    """Turns are noted apart: what the turn before made may be gone when the next one is killed."""
    return f"{job.turn}-{job.number}" if job.turn else f"{job.number}"


def _joined(store: SealingStore, names: Sequence[str]) -> Iterator[bytes]:
    """What some objects hold, one after the other."""
    for name in names:
        with store.open(name) as reader:
            for offset in range(0, reader.size, MIB):
                yield reader.read_at(offset, MIB)


def _digest(made_of: Any) -> bytes:
    return hashlib.sha256(msgspec.msgpack.encode(made_of)).digest()
