# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Who does the jobs of a join in a test: this process, with a store in memory."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from bastide.app.corpus_part import Workbench
from bastide.app.corpus_ranges import Team
from bastide.ports import SealingStore


class Bench(Workbench):
    """A bench whose store is in memory."""

    held: SealingStore

    def open(self) -> SealingStore:
        return self.held


def team_of(store: SealingStore, ranges: int, memory: int) -> Team:
    """A team without a pool. memory: bytes of one sort, half of what its bench has."""
    bench = Bench("", (), (), "c", (), b"", memory=2 * memory)
    object.__setattr__(bench, "held", store)
    return Team(bench, store, None, ranges)


class Stop(Exception):
    """A pool stopped, as one that is killed."""


class Here:
    """A pool whose workers are this process, so that what is done is noted. most: jobs that it
    does before it stops."""

    def __init__(self, bench: Workbench, most: int = 1_000) -> None:
        self._bench = bench
        self._left = most

    def each(
        self, task: Callable[[Workbench, Any], Any], jobs: Sequence[Any]
    ) -> Iterator[tuple[Any, Any]]:
        for job in jobs:
            if not self._left:
                raise Stop
            self._left -= 1
            yield job, task(self._bench, job)
