# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Near duplicates over the whole corpus, sorted on the disk at every step.

1. Documents that share the key of a band are candidates. Of equal texts only the one that stays.
2. The pairs are sorted by one end and then by the other, and meet the signatures, which lie in the
   order of the places: each pair is compared while both streams pass.
3. Pairs that are similar enough are edges; what hangs together is one group (corpus_groups).

All of it is done by ranges, of bands, of places and of names, by all workers. No step holds more
than the rows that one sort may hold. The result depends on no order.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations, groupby, islice, pairwise
from typing import Final

from bastide.app.corpus_groups import EDGE_WIDTH, EdgeWriter, grouped
from bastide.app.corpus_part import BAND_WIDTH, SIGNATURE_WIDTH, PartReport, Workbench
from bastide.app.corpus_ranges import RangeJob, Runs, Team, by_hash, by_part, runs_in
from bastide.core.errors import NotProven
from bastide.filters.near_duplicate import NearDuplicate, estimate

__all__ = [
    "edge_range",
    "half_range",
    "pair_range",
    "similar",
]

_COMPARED_MAX: Final = 32  # documents with one band in common that are all compared with each other
_END: Final = 40  # of an edge: a document's key and place; of a pair: place and key
_HALF_WIDTH: Final = EDGE_WIDTH + SIGNATURE_WIDTH - 8  # a pair and the signature of its first end


def similar(team: Team, reports: Sequence[PartReport], near: NearDuplicate) -> Runs:
    """Runs of what is similar to another and of what stays for it, each as key and place."""
    # Where equal texts go, they are known by their digest: no list of what goes is needed.
    equal_go = any(report.objects.get("texts") for report in reports)
    bands = runs_in(team, reports, "bands")
    signatures = runs_in(team, reports, "signatures")
    jobs = by_hash(team.ranges, bands, equal_go=equal_go)
    pairs = team.made("pairs", team.each("pairing documents", pair_range, jobs, int))
    if not signatures.counts:
        return Runs("", ())
    jobs = by_part(team.ranges, pairs, signatures)
    halves = team.made("halves", team.each("fetching signatures", half_range, jobs, int))
    team.drop(pairs)
    jobs = by_part(team.ranges, halves, signatures, similarity_min=near.similarity_min)
    edges = team.made("edges", team.each("comparing signatures", edge_range, jobs, int))
    team.drop(halves)
    return grouped(team, edges)


def pair_range(bench: Workbench, job: RangeJob) -> int:
    """Write the pairs that share a band of a range, sorted by the lower place; how many runs."""
    store = bench.open()
    runs = job.writer(bench, store, "pairs", EDGE_WIDTH)
    for _, group in groupby(job.rows(bench, store, BAND_WIDTH), key=lambda row: row[:8]):
        for one, other in _compared(_members(group, job.equal_go)):
            runs.add(one + other if one < other else other + one)
    return runs.close()


def half_range(bench: Workbench, job: RangeJob) -> int:
    """Write pairs with the signature of their first end, sorted by the second; how many runs."""
    store = bench.open()
    runs = job.writer(bench, store, "halves", _HALF_WIDTH)
    signatures = job.rows_beside(store, SIGNATURE_WIDTH)
    for row, signature in _with_signatures(job.rows(bench, store, EDGE_WIDTH), signatures):
        runs.add(row[_END:] + row[:_END] + signature)
    return runs.close()


def edge_range(bench: Workbench, job: RangeJob) -> int:
    """Write a forest of the pairs that are similar enough; how many runs."""
    store = bench.open()
    edges = EdgeWriter(store, job.name(bench, "edges"), memory=bench.memory // 2)
    signatures = job.rows_beside(store, SIGNATURE_WIDTH)
    for row, signature in _with_signatures(job.rows(bench, store, _HALF_WIDTH), signatures):
        if estimate(signature, row[EDGE_WIDTH:]) >= job.similarity_min:
            edges.add(_turned(row[:_END]), _turned(row[_END:EDGE_WIDTH]))
    return edges.close()


def _members(group: Iterable[bytes], equal_go: bool) -> Iterator[bytes]:
    """Place and key of each row of one band, of equal texts only the smallest key."""
    last = b""
    for row in group:
        if not equal_go or row[8:24] != last:
            yield row[56:] + row[24:56]
        last = row[8:24]


def _compared(members: Iterator[bytes]) -> Iterator[tuple[bytes, bytes]]:
    held = list(islice(members, _COMPARED_MAX + 1))
    if len(held) <= _COMPARED_MAX:
        yield from combinations(held, 2)
        return
    # A band of thousands is boilerplate: each with the first and with its neighbour, which finds
    # what hangs together without comparing all with all.
    yield from ((held[0], other) for other in held[1:])
    yield from pairwise(held[1:])
    last = held[-1]
    for other in members:
        yield held[0], other
        yield last, other
        last = other


def _with_signatures(
    rows: Iterable[bytes], signatures: Iterator[bytes]
) -> Iterator[tuple[bytes, bytes]]:
    """Each row with the signature of the place that it begins with; both are sorted by place."""
    held = b""
    for row in rows:
        while held[:8] < row[:8] and (found := next(signatures, None)):
            held = found
        if held[:8] != row[:8]:
            raise NotProven("a signature is missing", fix="build again")
        yield row, held[8:]


def _turned(end: bytes) -> bytes:
    """Place and key as key and place."""
    return end[8:] + end[:8]
