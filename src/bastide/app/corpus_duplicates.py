# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The steps over the whole corpus: each name once, equal texts once, near duplicates once.

Of a group of duplicates the document with the smallest key stays. That depends on names alone:
neither the order of the files nor the number of workers matters. A name with a pseudonym has a key
of its neutral form for that (`filters.neutral`); of two that agree, the first that is read stays.

All rows are sorted on the disk, so memory is that of the sorting, whatever the corpus' size. What
is much is divided into ranges (corpus_ranges).
"""

import heapq
from collections.abc import Iterator, Sequence
from itertools import chain, groupby
from typing import Final

from bastide.app.corpus_budget import Draw
from bastide.app.corpus_near import similar_edges, similar_rows
from bastide.app.corpus_objects import RunWriter, Spill, put_rows, read_rows
from bastide.app.corpus_part import KEY_WIDTH, OWN_WIDTH, TEXT_WIDTH, PartReport, Workbench, runs_of
from bastide.app.corpus_plan import EXACT, NEAR
from bastide.app.corpus_ranges import RangeJob, Team, by_hash, runs_in
from bastide.core.errors import Refused
from bastide.filters.budget import Budget
from bastide.filters.near_duplicate import NearDuplicate

__all__ = [
    "DUPLICATE_WIDTH",
    "GONE_WIDTH",
    "REASONS",
    "equal_range",
    "find_duplicates",
    "key_range",
    "merge_keys",
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
_DUPLICATES: Final = 2  # of the reasons

_END: Final = 40  # key and place
_REMOVED_WIDTH: Final = 2 * _END + 1  # of the removed, of the one that stays, reason


def merge_keys(team: Team, reports: Sequence[PartReport]) -> None:
    """Write the object `keys`: every document that was read, by key.

    Raises Refused if two documents of one source have one name.
    """
    jobs = by_hash(team.ranges, runs_in(team, reports, "keys"))
    for twice in team.each("merging names", key_range, jobs, bytes):
        if twice:
            part = int.from_bytes(twice[32:36], "big")
            raise Refused(
                "two documents of one source have the same name",
                reasons=(f"{reports[part].source}: key {twice[:32].hex()}",),
                fix='give the reader a field that names each record, or id = "" to name it by'
                " its place",
            )
    names = [_keys(team.bench, job) for job in jobs]
    team.join_objects(names, "keys", jobs)


def key_range(bench: Workbench, job: RangeJob) -> bytes:
    """Write the keys of a range, in order; the first row whose key stands twice, or b""."""
    store, twice = bench.open(), b""

    def distinct() -> Iterator[bytes]:
        nonlocal twice
        last = b""
        for row in job.rows(bench, store, KEY_WIDTH):
            if row[:32] == last[:32]:
                twice = row
                return
            last = row
            yield row

    put_rows(store, _keys(bench, job), distinct())
    return twice


def equal_range(bench: Workbench, job: RangeJob) -> int:
    """Write what has the text of another and which one stays, by key; how many runs."""
    store = bench.open()
    name = f"{bench.folder}/merge/equal-{job.number}"
    runs = RunWriter(store, name, _REMOVED_WIDTH, memory=bench.memory // 2)
    for _, group in groupby(job.rows(bench, store, TEXT_WIDTH), key=lambda row: row[:32]):
        stays = b""
        for row in group:  # sorted by key
            if stays:
                runs.add(row[32:] + stays + bytes([0]))
            stays = stays or row[32:]
    return runs.close()


def find_duplicates(
    team: Team,
    reports: Sequence[PartReport],
    near: NearDuplicate | None,
    draw: Draw | None = None,
) -> dict[str, int]:
    """Find all duplicates that the recipe asks for, and what of the rest no budget has room for.

    Writes the objects `duplicates` and `gone`; how many documents go, by reason. What the ranges
    wrote stays: who is killed here begins behind them.
    """
    spill = team.spill
    numbers = [0] * len(REASONS)
    places = RunWriter(spill.store, f"{spill.folder}/merge/gone", GONE_WIDTH, memory=spill.memory)
    jobs = by_hash(team.ranges, runs_in(team, reports, "texts"))
    told = "looking for equal texts"
    equal = team.made("equal", team.each(told, equal_range, jobs, int))
    edges = similar_edges(team, reports, near) if near is not None else []
    similar = similar_rows(spill, edges) if edges else iter(())
    removed = heapq.merge(
        spill.merged("equal", _REMOVED_WIDTH, equal.names),
        spill.sorted("similar", _REMOVED_WIDTH, (row + bytes([1]) for row in similar)),
    )
    if draw is not None:
        removed = _drawn(spill, reports, draw, removed)
    if own := runs_of(spill.folder, reports, "own"):
        removed = _under_own_keys(spill, own, removed)

    def by_key() -> Iterator[bytes]:
        for row in removed:
            numbers[row[-1]] += 1
            places.add(row[32:_END] + row[-1:])
            yield row[:32] + row[_END:-9] + row[-1:]

    put_rows(spill.store, f"{spill.folder}/duplicates", by_key())
    runs = [f"{spill.folder}/merge/gone-{number}" for number in range(places.close())]
    put_rows(spill.store, f"{spill.folder}/gone", spill.merged("gone", GONE_WIDTH, runs))
    return {reason: count for reason, count in zip(REASONS, numbers, strict=True) if count}


def _keys(bench: Workbench, job: RangeJob) -> str:
    return f"{bench.folder}/merge/keys-{job.number}"


def _drawn(
    spill: Spill, reports: Sequence[PartReport], draw: Draw, removed: Iterator[bytes]
) -> Iterator[bytes]:
    """The rows of duplicates and of what the draw left out, by key."""
    name = f"{spill.folder}/merge/duplicates"
    places = RunWriter(spill.store, f"{spill.folder}/merge/left", GONE_WIDTH, memory=spill.memory)

    def noted() -> Iterator[bytes]:
        for row in removed:
            places.add(row[32:_END] + row[-1:])
            yield row

    put_rows(spill.store, name, noted())
    runs = [f"{spill.folder}/merge/left-{number}" for number in range(places.close())]
    gone = spill.merged("left", GONE_WIDTH, runs)
    spent = (
        row[:_END] + bytes(_END) + bytes([_DUPLICATES + row[_END]])
        for row in draw.rows(reports, gone)
    )
    yield from heapq.merge(read_rows(spill.store, name, _REMOVED_WIDTH), spent)
    for one in (name, *runs):
        spill.store.delete(one)


def _under_own_keys(spill: Spill, own: Sequence[str], rows: Iterator[bytes]) -> Iterator[bytes]:
    """The rows with the keys that documents have in the dataset, sorted by them."""
    for end in ("goes", "stays"):
        rows = _own(spill, f"own-{end}", own, rows)
    return spill.sorted("own", _REMOVED_WIDTH, rows)


def _own(spill: Spill, name: str, own: Sequence[str], rows: Iterator[bytes]) -> Iterator[bytes]:
    """Give the first end of each row its own key, and put it behind the other."""
    known = chain.from_iterable(read_rows(spill.store, one, OWN_WIDTH) for one in own)
    held = b""
    by_place = (row[32:_END] + row[:32] + row[_END:] for row in rows)
    for row in spill.sorted(name, _REMOVED_WIDTH, by_place):
        place, key = row[:8], row[8:_END]
        while held[:8] < place and (found := next(known, None)):
            held = found
        if held[:8] == place and any(key):  # what no other stands for has an end of zeros
            key = held[8:]
        yield row[_END:-1] + key + place + row[-1:]
