# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The leaves of a dataset and the root over them, by ranges of keys.

1. Each worker merges the leaves of its range; how many there are is then known of every range.
2. Each hashes them up to the perfect subtrees of the whole tree that lie within its range.
3. The process that leads appends these subtrees, and joins the leaves to one object.
"""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Final

from bastide.app.corpus_objects import put_rows, read_rows
from bastide.app.corpus_part import Workbench
from bastide.app.corpus_ranges import RangeJob, Runs, Team, by_hash
from bastide.app.corpus_shards import LEAF_WIDTH, BatchReport
from bastide.core.errors import NotFound, NotProven
from bastide.crypto.merkle import Frontier, leaf_hash

__all__ = ["merge_leaves", "subtrees", "write_leaves"]

Subtree = tuple[int, bytes]  # its height and its root
_LEAVES: Final = "leaves"


def write_leaves(team: Team, batches: Sequence[BatchReport]) -> tuple[bytes, int]:
    """Write the object `leaves`; the root and the number of leaves. Raises NotProven."""
    try:
        return _write_leaves(team, batches)
    except NotFound as error:  # a range is noted, and what it wrote is not there
        raise NotProven(f"the leaves lack a range: {error.message}", fix="build again") from error


def _write_leaves(team: Team, batches: Sequence[BatchReport]) -> tuple[bytes, int]:
    runs = Runs(
        f"{team.bench.folder}/batches/{{0:06d}}/leaves-{{1}}",
        tuple((batch.number, batch.leaves) for batch in batches if batch.leaves),
    )
    jobs = by_hash(team.ranges, runs)
    sizes = team.each("merging leaves", merge_leaves, jobs, int)
    starts = [sum(sizes[:number]) for number in range(len(sizes))]
    hashing = [
        RangeJob(job.number, _place(start), _place(start + size), runs)
        for job, start, size in zip(jobs, starts, sizes, strict=True)
    ]
    tree = Frontier()
    for found in team.each("hashing leaves", subtrees, hashing, list[Subtree]):
        for height, node in found:
            tree.append_subtree(node, height)
    names = [job.name(team.bench, _LEAVES) for job in jobs]
    team.join_objects(names, "leaves", hashing)
    return tree.root(), tree.size


def merge_leaves(bench: Workbench, job: RangeJob) -> int:
    """Write the leaves of a range, in order; how many. Raises NotProven if a key stands twice."""
    store, count = bench.open(), 0

    def once() -> Iterator[bytes]:
        nonlocal count
        last = b""
        for row in job.rows(bench, store, LEAF_WIDTH):
            if row[:32] <= last:
                raise NotProven("the leaves are not sorted by key, or a key stands twice")
            last = row[:32]
            count += 1
            yield row

    put_rows(store, job.name(bench, _LEAVES), once())
    return count


def subtrees(bench: Workbench, job: RangeJob) -> list[Subtree]:
    """The perfect subtrees of a range's leaves. low, high: where they stand among all."""
    begin, end = (int.from_bytes(at, "big") for at in (job.low, job.high))
    rows = read_rows(bench.open(), job.name(bench, _LEAVES), LEAF_WIDTH)
    found: list[Subtree] = []
    for height in _heights(begin, end):
        tree = Frontier()
        for row in islice(rows, 1 << height):
            tree.append(leaf_hash(row[:64]))
        found.append((height, tree.root()))
    return found


def _heights(begin: int, end: int) -> Iterator[int]:
    """Of the largest perfect subtrees of a tree that lie between two leaves, in order."""
    while begin < end:
        height = (end - begin).bit_length() - 1
        if begin:
            height = min(height, (begin & -begin).bit_length() - 1)
        yield height
        begin += 1 << height


def _place(at: int) -> bytes:
    return at.to_bytes(8, "big")
