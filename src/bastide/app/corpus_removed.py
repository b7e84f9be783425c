# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What goes of a corpus, by key and by place: from what workers found, by ranges and by workers.

Three kinds of rows come together: equal texts, similar ones, and what no budget has room for. Where
documents have keys of their own in the dataset, each row is given them: rows go by place of one end
and then of the other, and meet the keys, which lie in the order of the places.
"""

import heapq
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from bastide.app.corpus_groups import EDGE_WIDTH
from bastide.app.corpus_objects import put_rows
from bastide.app.corpus_part import OWN_WIDTH, PartReport, Workbench
from bastide.app.corpus_plan import EXACT, NEAR
from bastide.app.corpus_ranges import RangeJob, Runs, Team, by_hash, by_part, runs_in
from bastide.filters.budget import Budget
from bastide.ports import SealingStore

__all__ = [
    "DUPLICATE_WIDTH",
    "EQUAL",
    "GONE_WIDTH",
    "REASONS",
    "REMOVED_WIDTH",
    "SPENT_WIDTH",
    "gone_range",
    "owned_range",
    "places_of",
    "places_range",
    "removed_range",
    "write_removed",
]

# Rows of the object `duplicates`: key of the removed, key of the one that stays, which reason.
DUPLICATE_WIDTH: Final = 32 + 32 + 1
# Rows of the object `gone`: place of the removed, which reason; sorted by place.
GONE_WIDTH: Final = 8 + 1
REASONS: Final = (
    f"{EXACT}/equal",
    f"{NEAR}/similar",
    *(f"{Budget.ident}/{rule}" for rule in Budget.rules),
)
EQUAL: Final = bytes([0])  # of the reasons
_SIMILAR: Final = bytes([1])
_DUPLICATES: Final = 2  # of the reasons

_END: Final = 40  # key and place
REMOVED_WIDTH: Final = 2 * _END + 1  # of the removed, of the one that stays, reason
SPENT_WIDTH: Final = _END + 1  # of the removed, the number of a budget's rule


class Removed(msgspec.Struct, frozen=True):
    """What a range wrote. runs: of places. counts: of each reason, how many go."""

    runs: int
    counts: list[int]


def places_of(team: Team, equal: Runs, similar: Runs) -> Runs:
    """Runs of the places of duplicates, as rows of GONE_WIDTH."""
    jobs = by_hash(team.ranges, equal, more=(similar,))
    return team.made("left", team.each("placing duplicates", places_range, jobs, int))


def write_removed(
    team: Team, reports: Sequence[PartReport], equal: Runs, similar: Runs, spent: Runs
) -> dict[str, int]:
    """Write the objects `duplicates` and `gone`; how many documents go, by reason.

    equal: rows of REMOVED_WIDTH. similar: edges to what stays. spent: rows of SPENT_WIDTH. All are
    sorted by what goes.
    """
    jobs = by_hash(team.ranges, equal, more=(similar, spent))
    own = runs_in(team, reports, "own")
    if own.counts:
        told = "finding keys of the dataset"
        rows = team.made("owned0", team.each(told, removed_by_place, jobs, int))
        for turn in (0, 1):  # of what goes, of what stays
            places = by_part(team.ranges, rows, own, turn=turn)
            rows = team.made(f"owned{turn + 1}", team.each(told, owned_range, places, int))
        jobs = by_hash(team.ranges, rows)
    found = team.each("writing what goes", removed_range, jobs, Removed)
    team.join_objects([job.name(team.bench, "removed") for job in jobs], "duplicates", jobs)
    places = team.made("places", [one.runs for one in found])
    jobs = by_part(team.ranges, places, runs_in(team, reports, "keys"))
    team.each("placing what goes", gone_range, jobs, int)
    team.join_objects([job.name(team.bench, "gone") for job in jobs], "gone", jobs)
    numbers = [sum(counts) for counts in zip(*(one.counts for one in found), strict=True)]
    return {reason: count for reason, count in zip(REASONS, numbers, strict=True) if count}


def places_range(bench: Workbench, job: RangeJob) -> int:
    """Write the places of the duplicates of a range; how many runs."""
    store = bench.open()
    runs = job.writer(bench, store, "left", GONE_WIDTH)
    for row in _removed(bench, store, job):
        runs.add(row[32:_END] + row[-1:])
    return runs.close()


def removed_by_place(bench: Workbench, job: RangeJob) -> int:
    """Write what goes of a range, sorted by its place; how many runs."""
    store = bench.open()
    runs = job.writer(bench, store, "owned0", REMOVED_WIDTH)
    for row in _removed(bench, store, job):
        runs.add(row[32:_END] + row[:32] + row[_END:])
    return runs.close()


def owned_range(bench: Workbench, job: RangeJob) -> int:
    """Give the first end of each row its own key, and put it behind the other; how many runs.

    The rows are written by the place of their other end; the second time by its key.
    """
    store = bench.open()
    runs = job.writer(bench, store, f"owned{job.turn + 1}", REMOVED_WIDTH)
    known = job.rows_beside(store, OWN_WIDTH)
    held = b""
    for row in job.rows(bench, store, REMOVED_WIDTH):
        place, key = row[:8], row[8:_END]
        while held[:8] < place and (found := next(known, None)):
            held = found
        if held[:8] == place and any(key):  # what no other stands for has a key of zeros
            key = held[8:]
        other = row[_END:-1]
        if not job.turn:
            other = other[32:] + other[:32]
        runs.add(other + key + place + row[-1:])
    return runs.close()


def removed_range(bench: Workbench, job: RangeJob) -> Removed:
    """Write what goes of a range as rows of DUPLICATE_WIDTH, and its places as runs."""
    store = bench.open()
    numbers = [0] * len(REASONS)
    places = job.writer(bench, store, "places", GONE_WIDTH)

    def by_key() -> Iterator[bytes]:
        for row in _removed(bench, store, job):
            numbers[row[-1]] += 1
            places.add(row[32:_END] + row[-1:])
            yield row[:32] + row[_END:-9] + row[-1:]

    put_rows(store, job.name(bench, "removed"), by_key())
    return Removed(places.close(), numbers)


def gone_range(bench: Workbench, job: RangeJob) -> int:
    """Write the places of what goes of some parts, in order; their bytes."""
    store = bench.open()
    return put_rows(store, job.name(bench, "gone"), job.rows(bench, store, GONE_WIDTH))


def _removed(bench: Workbench, store: SealingStore, job: RangeJob) -> Iterator[bytes]:
    """What goes of a range, sorted, as rows of REMOVED_WIDTH."""
    kinds = [job.rows(bench, store, REMOVED_WIDTH)]
    if job.more:
        edges = job.rows(bench, store, EDGE_WIDTH, 1)
        kinds.append(row + _SIMILAR for row in edges)
    if len(job.more) > 1:
        left_out = job.rows(bench, store, SPENT_WIDTH, 2)
        kinds.append(map(_of_budget, left_out))
    yield from heapq.merge(*kinds)


def _of_budget(row: bytes) -> bytes:
    """A row of SPENT_WIDTH as one of REMOVED_WIDTH. Nothing stands for it: its other end has a key
    of zeros, but the row's own place, so that ranges of places share such rows evenly."""
    return row[:_END] + bytes(32) + row[32:_END] + bytes([_DUPLICATES + row[_END]])
