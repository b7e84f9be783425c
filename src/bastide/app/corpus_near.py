# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Near duplicates over the whole corpus, sorted on the disk at every step.

1. Documents that share the key of a band are candidates. Of equal texts only the one that stays.
2. The pairs are sorted by one end and then by the other, and meet the signatures, which lie in the
   order of the places: each pair is compared while both streams pass.
3. Pairs that are similar enough are edges; what hangs together is one group. Groups are found by
   large-star and small-star (Kiveris et al. 2014, "Connected Components in MapReduce and Beyond",
   section 3): each round sorts the edges and links neighbours to the smallest, until every edge
   ends at the smallest of its group. The number of rounds grows with the logarithm of the size.

No step holds more than the rows that one sort may hold. The result depends on no order.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations, groupby, islice, pairwise
from typing import Final

from bastide.app.corpus_objects import Spill, put_rows, read_rows
from bastide.app.corpus_part import BAND_WIDTH, SIGNATURE_WIDTH, PartReport, runs_of
from bastide.core.errors import NotProven
from bastide.filters.near_duplicate import NearDuplicate, estimate

__all__ = ["linked", "similar_rows"]

_COMPARED_MAX: Final = 32  # documents with one band in common that are all compared with each other
_END: Final = 40  # of an edge: a document's key and place; of a pair: place and key
_EDGE_WIDTH: Final = 2 * _END
_HALF_WIDTH: Final = _EDGE_WIDTH + SIGNATURE_WIDTH - 8  # a pair and the signature of its first end


def similar_rows(
    spill: Spill, reports: Sequence[PartReport], near: NearDuplicate
) -> Iterator[bytes]:
    """Key and place of what is similar to another, and the key of the one that stays."""
    pairs = spill.sorted("pairs", _EDGE_WIDTH, _candidates(spill, reports))
    halves = (
        row[_END:] + row[:_END] + signature
        for row, signature in _with_signatures(pairs, _signatures(spill, reports))
    )
    rows = spill.sorted("halves", _HALF_WIDTH, halves)
    edges = (
        _turned(row[:_END]) + _turned(row[_END:_EDGE_WIDTH])
        for row, signature in _with_signatures(rows, _signatures(spill, reports))
        if estimate(signature, row[_EDGE_WIDTH:]) >= near.similarity_min
    )
    for row in linked(spill, edges):
        yield row[: _END + 32]


def linked(spill: Spill, edges: Iterable[bytes]) -> Iterator[bytes]:
    """Of a graph: every node that is not the smallest of its group, with the smallest, sorted.

    edges: two nodes of 40 bytes each, in any order.
    """
    digest = None
    while True:
        outward = spill.sorted("outward", _EDGE_WIDTH, _both_ways(edges))
        inward = spill.sorted("inward", _EDGE_WIDTH, _large_stars(outward))
        stars = spill.sorted("stars", _EDGE_WIDTH, _small_stars(inward))
        state = hashlib.sha256()
        name = f"{spill.folder}/merge/edges"
        put_rows(spill.store, name, _hashed(stars, state))
        if state.digest() == digest:
            break
        digest = state.digest()
        edges = read_rows(spill.store, name, _EDGE_WIDTH)
    yield from read_rows(spill.store, name, _EDGE_WIDTH)


def _candidates(spill: Spill, reports: Sequence[PartReport]) -> Iterator[bytes]:
    """Pairs that share a band: place and key of each, the lower place first."""
    # Where equal texts go, they are known by their digest: no list of what goes is needed.
    equal_go = any(report.objects.get("texts") for report in reports)
    rows = spill.merged("bands", BAND_WIDTH, runs_of(spill.folder, reports, "bands"))
    for _, group in groupby(rows, key=lambda row: row[:8]):
        for one, other in _compared(_members(group, equal_go)):
            yield one + other if one < other else other + one


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


def _signatures(spill: Spill, reports: Sequence[PartReport]) -> Iterator[bytes]:
    """All signatures, by place."""
    for name in runs_of(spill.folder, reports, "signatures"):
        yield from read_rows(spill.store, name, SIGNATURE_WIDTH)


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


def _both_ways(edges: Iterable[bytes]) -> Iterator[bytes]:
    for edge in edges:
        yield edge
        yield edge[_END:] + edge[:_END]


def _large_stars(rows: Iterable[bytes]) -> Iterator[bytes]:
    """Link every larger neighbour of a node to the smallest of node and neighbours."""
    for node, group in groupby(rows, key=lambda row: row[:_END]):
        smallest = b""
        for row in group:  # sorted by neighbour
            other = row[_END:]
            smallest = smallest or min(node, other)
            if other > node:
                yield other + smallest


def _small_stars(rows: Iterable[bytes]) -> Iterator[bytes]:
    """Link a node and its smaller neighbours to the smallest of them; all neighbours are."""
    for node, group in groupby(rows, key=lambda row: row[:_END]):
        smallest = b""
        for row in group:  # sorted by neighbour
            other = node if not smallest else row[_END:]
            smallest = smallest or row[_END:]
            yield other + smallest


def _hashed(rows: Iterable[bytes], state: "hashlib._Hash") -> Iterator[bytes]:
    for row in rows:
        state.update(row)
        yield row


def _turned(end: bytes) -> bytes:
    """Place and key as key and place."""
    return end[8:] + end[:8]
