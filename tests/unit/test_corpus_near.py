# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Groups of near duplicates: found on the disk, they are those of a graph in memory.

Broken once to prove the tests: without the small stars, or with one round only, they fail.
"""

import random
from itertools import pairwise

import pytest

from bastide.adapters.entropy.seeded import SeededEntropy
from bastide.app import wiring
from bastide.app.corpus_near import linked
from bastide.app.corpus_objects import Spill
from bastide.ports import SealingStore

Edge = tuple[int, int]


@pytest.fixture(scope="module")
def store() -> SealingStore:
    return wiring.open_scratch(SeededEntropy(b"near"))


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
    for first in sorted(near):
        waiting = [first] if first not in seen else []
        while waiting:
            node = waiting.pop()
            if node not in seen:
                seen.add(node)
                waiting += near[node]
                if node != first:
                    found[node] = first
    return found


@pytest.mark.parametrize("memory", [2_000, 20_000, 1 << 24])
@pytest.mark.parametrize(
    "edges",
    [[], [(1, 0)], chain(300), scattered(400, 150), scattered(400, 380), scattered(60, 900)],
    ids=["none", "one", "chain", "sparse", "critical", "dense"],
)
def test_what_hangs_together_is_one_group(
    store: SealingStore, edges: list[Edge], memory: int
) -> None:
    rows = (b"".join(node.to_bytes(40, "big") for node in edge) for edge in edges)
    found = list(linked(Spill(store, "near", memory), rows))
    assert {
        int.from_bytes(row[:40], "big"): int.from_bytes(row[40:], "big") for row in found
    } == groups(edges)
    assert found == sorted(found)
    assert store.names("near/merge") == ["near/merge/edges"]
