# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Groups of what hangs together, found by all workers, by ranges of the nodes' hashes.

1. Who finds edges keeps a forest of them: what hangs together is linked to its smallest by
   union-find, as much as memory holds, and then written. Of a dense graph few edges are left.
2. What workers found apart is put together by large-star and small-star (Kiveris et al. 2014,
   "Connected Components in MapReduce and Beyond", section 3): each turn sorts the edges twice, and
   links neighbours to the smallest. The number of turns grows with the logarithm of the size.
3. It ends when every node has larger neighbours only, or one smaller one only: the smallest of its
   group. The result is a function of the graph: no order, memory or number of ranges shows in it.

An edge is two nodes of 40 bytes; a node begins with a hash, so ranges of it are of one size.
"""

from typing import Final

from bastide.app.corpus_objects import RunWriter
from bastide.app.corpus_part import Workbench
from bastide.app.corpus_ranges import RangeJob, Runs, Team, by_hash
from bastide.ports import SealingStore

__all__ = ["EDGE_WIDTH", "EdgeWriter", "grouped", "large_range", "small_range"]

_NODE: Final = 40
EDGE_WIDTH: Final = 2 * _NODE
# Of a node in the forest: two objects of 73 bytes, its place in a table that has just doubled.
_NODE_MEMORY: Final = 360


class EdgeWriter:
    """Writes the forest of some edges as runs, each edge both ways.

    memory: bytes; half of it is for nodes, half for rows that are sorted.
    """

    def __init__(self, store: SealingStore, name: str, *, memory: int) -> None:
        self._runs = RunWriter(store, name, EDGE_WIDTH, memory=memory // 2)
        self._most = max(2, memory // 2 // _NODE_MEMORY)
        self._above: dict[bytes, bytes] = {}  # what is not the smallest of its tree

    def add(self, one: bytes, other: bytes) -> None:
        """Add one edge."""
        one, other = self._smallest(one), self._smallest(other)
        if one != other:
            self._above[max(one, other)] = min(one, other)
            if len(self._above) >= self._most:
                self._write()

    def close(self) -> int:
        """Write what is left; the number of runs."""
        self._write()
        return self._runs.close()

    def _write(self) -> None:
        for node in self._above:
            smallest = self._smallest(node)
            self._runs.add(node + smallest)
            self._runs.add(smallest + node)
        self._above = {}

    def _smallest(self, node: bytes) -> bytes:
        """Of the tree of a node. Who asks next has one step to it."""
        above = self._above
        found = node
        while (up := above.get(found)) is not None:
            found = up
        while node != found:
            above[node], node = found, above[node]
        return found


def grouped(team: Team, edges: Runs) -> Runs:
    """Runs of every node that is not the smallest of its group, with the smallest.

    edges: as `EdgeWriter` writes them; they are deleted.
    """
    turn = 0
    while True:
        told = f"finding groups, turn {turn + 1}"
        jobs = by_hash(team.ranges, edges, turn=turn)
        found = team.each(told, large_range, jobs, tuple[int, int])
        inward = team.made(f"inward{turn}", [count for count, _ in found])
        team.drop(edges)
        if not any(unsettled for _, unsettled in found):
            return inward
        jobs = by_hash(team.ranges, inward, turn=turn)
        edges = team.made(f"outward{turn}", team.each(told, small_range, jobs, int))
        team.drop(inward)
        turn += 1


def large_range(bench: Workbench, job: RangeJob) -> tuple[int, int]:
    """Link every larger neighbour of a node to the smallest of node and neighbours.

    How many runs, and how many nodes are not where they belong. If none of any range is, these
    runs are the groups.
    """
    store = bench.open()
    runs = job.writer(bench, store, f"inward{job.turn}", EDGE_WIDTH)
    node = smallest = b""
    unsettled = 0
    for row in job.rows(bench, store, EDGE_WIDTH):  # sorted by node and neighbour
        other = row[_NODE:]
        if not node or not row.startswith(node):
            node, smallest = row[:_NODE], min(row[:_NODE], other)
        elif smallest < node:
            unsettled += 1  # a neighbour beside the smallest, which is smaller than the node
        if other > node:
            runs.add(other + smallest)
    return runs.close(), unsettled


def small_range(bench: Workbench, job: RangeJob) -> int:
    """Link a node and its smaller neighbours to the smallest of them; all neighbours are.

    What of that hangs together within the range is linked at once; how many runs.
    """
    store = bench.open()
    name = job.name(bench, f"outward{job.turn}")
    edges = EdgeWriter(store, name, memory=bench.memory // 2)
    node = smallest = b""
    for row in job.rows(bench, store, EDGE_WIDTH):  # sorted by node and neighbour
        if not node or not row.startswith(node):
            node, smallest = row[:_NODE], row[_NODE:]
            edges.add(node, smallest)
        else:
            edges.add(row[_NODE:], smallest)
    return edges.close()
