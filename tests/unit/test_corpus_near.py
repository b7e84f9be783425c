# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Groups of near duplicates: found on the disk, they are those of a graph in memory.

Broken once to prove the tests: without the small stars, with one turn only, or with nodes that
count as settled beside a smaller neighbour, they fail.
"""

import hashlib
import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any, cast

import pytest

from bastide.adapters.entropy.seeded import SeededEntropy
from bastide.app import wiring
from bastide.app.corpus_groups import EDGE_WIDTH, EdgeWriter, grouped
from bastide.app.corpus_objects import read_rows
from bastide.app.corpus_part import Workbench
from bastide.app.corpus_ranges import Runs, Team
from bastide.ports import SealingStore
from unit.corpus_team import Here, Stop, team_of

Edge = tuple[int, int]


@pytest.fixture(scope="module")
def store() -> SealingStore:
    return wiring.open_scratch(SeededEntropy(b"near"))


def node_of(number: int) -> bytes:
    """A node begins with a hash, so that every range has some."""
    return hashlib.sha256(str(number).encode()).digest() + number.to_bytes(8, "big")


def chain(size: int) -> list[Edge]:
    """A path whose nodes have shuffled numbers: the hardest graph for labels that travel."""
    numbers = list(range(size))
    random.Random(7).shuffle(numbers)
    return list(pairwise(numbers))


def scattered(nodes: int, edges: int) -> list[Edge]:
    rng = random.Random(edges)
    return [tuple(sorted(rng.sample(range(nodes), 2))) for _ in range(edges)]  # type: ignore[misc]


def groups(edges: list[Edge]) -> dict[int, int]:
    """Every node that is not the smallest of its group, with the smallest, by walking."""
    near: dict[int, set[int]] = {}
    for one, other in edges:
        near.setdefault(one, set()).add(other)
        near.setdefault(other, set()).add(one)
    found: dict[int, int] = {}
    seen: set[int] = set()
    for first in sorted(near, key=node_of):
        waiting = [first] if first not in seen else []
        while waiting:
            node = waiting.pop()
            if node not in seen:
                seen.add(node)
                waiting += near[node]
                if node != first:
                    found[node] = first
    return found


class Counted(Here):
    """A pool that stops after some jobs. done: of all pools."""

    def __init__(self, bench: Workbench, done: Counter[Any], most: int) -> None:
        super().__init__(bench, most)
        self._done = done

    def each(
        self, task: Callable[[Workbench, Any], Any], jobs: Sequence[Any]
    ) -> Iterator[tuple[Any, Any]]:
        for job, result in super().each(task, jobs):
            self._done[task.__name__, job.turn, job.number] += 1
            yield job, result


def written(team: Team, edges: list[Edge]) -> Runs:
    memory, counts = team.bench.memory, []
    for number in range(2):  # two workers, each with a part of the edges
        name = f"c/merge/edges-{number}"
        writer = EdgeWriter(team.store, name, memory=memory // 2)
        for one, other in edges[number::2]:
            writer.add(node_of(one), node_of(other))
        counts.append(writer.close())
    return team.made("edges", counts)


def found(store: SealingStore, edges: list[Edge], memory: int, ranges: int) -> dict[int, int]:
    team = team_of(store, ranges, memory // 2)
    names = grouped(team, written(team, edges)).names
    assert sorted(store.names("c/merge")) == sorted(names)  # what was merged is deleted
    return groups_in(team, names)


def groups_in(team: Team, names: list[str]) -> dict[int, int]:
    rows = [row for name in names for row in read_rows(team.store, name, EDGE_WIDTH)]
    team.forget()
    assert len(rows) == len(set(rows))
    return {int.from_bytes(row[32:40], "big"): int.from_bytes(row[72:], "big") for row in rows}


@pytest.mark.parametrize(
    ("memory", "ranges"), [(30_000, 1), (60_000, 3), (1 << 25, 1), (1 << 25, 5)]
)
@pytest.mark.parametrize(
    "edges",
    [[], [(1, 0)], chain(200), scattered(200, 75), scattered(200, 190), scattered(40, 400)],
    ids=["none", "one", "chain", "sparse", "critical", "dense"],
)
def test_what_hangs_together_is_one_group(
    store: SealingStore, edges: list[Edge], memory: int, ranges: int
) -> None:
    assert found(store, edges, memory, ranges) == groups(edges)


@pytest.mark.parametrize("most", [1, 2, 5])
def test_groups_that_are_stopped_after_any_job_go_on_behind_it(
    store: SealingStore, most: int
) -> None:
    edges, done, made, stops = chain(200), Counter[Any](), None, 0
    plain = team_of(store, 3, 30_000)
    runs = written(plain, edges)
    while made is None:
        pool = Counted(plain.bench, done, most)
        try:
            made = grouped(replace(plain, pool=cast("Any", pool)), runs)
        except Stop:
            stops += 1
    assert groups_in(plain, made.names) == groups(edges)
    assert set(done.values()) == {1}  # nothing is done twice
    assert max(turn for _, turn, _ in done) >= 1
    assert stops >= len(done) // most - 1


def test_a_worker_writes_no_more_edges_than_a_forest_has(store: SealingStore) -> None:
    edges = scattered(40, 400)
    writer = EdgeWriter(store, "c/merge/forest", memory=1 << 20)
    for one, other in edges:
        writer.add(node_of(one), node_of(other))
    assert writer.close() == 1
    rows = list(read_rows(store, "c/merge/forest-0", EDGE_WIDTH))
    assert len(rows) == 2 * len(groups(edges))
    store.delete("c/merge/forest-0")
