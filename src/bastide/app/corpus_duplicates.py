# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The steps over the whole corpus: each name once, equal texts once, near duplicates once.

Of a group of duplicates the document with the smallest key stays. That depends on names alone:
neither the order of the files nor the number of workers matters. A name with a pseudonym has a key
of its neutral form for that (`filters.neutral`); of two that agree, the first that is read stays.

All rows are sorted on the disk, so memory is that of the sorting, whatever the corpus' size, and
all is divided into ranges (corpus_ranges).
"""

from collections.abc import Iterator, Sequence
from itertools import groupby

from bastide.app.corpus_budget import Draw
from bastide.app.corpus_near import similar
from bastide.app.corpus_objects import put_rows
from bastide.app.corpus_part import KEY_WIDTH, TEXT_WIDTH, PartReport, Workbench
from bastide.app.corpus_ranges import RangeJob, Runs, Team, by_hash, runs_in
from bastide.app.corpus_removed import EQUAL, REMOVED_WIDTH, places_of, write_removed
from bastide.core.errors import Refused
from bastide.filters.near_duplicate import NearDuplicate

__all__ = [
    "equal_range",
    "find_duplicates",
    "key_range",
    "merge_keys",
]


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
    names = [job.name(team.bench, "keys") for job in jobs]
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

    put_rows(store, job.name(bench, "keys"), distinct())
    return twice


def equal_range(bench: Workbench, job: RangeJob) -> int:
    """Write what has the text of another and which one stays, by key; how many runs."""
    store = bench.open()
    runs = job.writer(bench, store, "equal", REMOVED_WIDTH)
    for _, group in groupby(job.rows(bench, store, TEXT_WIDTH), key=lambda row: row[:32]):
        stays = b""
        for row in group:  # sorted by key
            if stays:
                runs.add(row[32:] + stays + EQUAL)
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
    wrote stays until the join is noted, or its next step is: who is killed here begins behind them.
    """
    jobs = by_hash(team.ranges, runs_in(team, reports, "texts"))
    equal = team.made("equal", team.each("looking for equal texts", equal_range, jobs, int))
    found = similar(team, reports, near) if near is not None else Runs("", ())
    spent = Runs("", ())
    if draw is not None:
        spent = draw.spent(team, reports, places_of(team, equal, found))
    return write_removed(team, reports, equal, found, spent)
