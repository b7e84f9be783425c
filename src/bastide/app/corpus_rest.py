# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""How long a build takes once all is read, reckoned from a sample that is joined and written.

Of a small sample the time that a join takes anyway, whatever it joins, is most of what it takes. So
a join of nothing is measured first, and counts once. What one process copies is reckoned by bytes.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from bastide.app.corpus_join import join
from bastide.app.corpus_objects import read_rows
from bastide.app.corpus_part import PartReport, Workbench
from bastide.app.corpus_ranges import Team, ranges_for
from bastide.app.corpus_removed import GONE_WIDTH
from bastide.app.corpus_shards import cut_batches, write_batch
from bastide.core.limits import MIB
from bastide.core.recipe import Recipe
from bastide.ports import Clock, SealingStore

__all__ = ["Rest", "measure_rest"]

_COPIED_BYTES: Final = 8 * MIB  # from which it is reckoned how fast one process copies


@dataclass(frozen=True, slots=True)
class Rest:
    """Seconds behind the reading. fixed: of any join, once. alone, joining, writing: of so many
    documents, what one process copies, what ranges do, and what batches do."""

    documents: int
    fixed: float
    alone: float
    joining: float
    writing: float

    def seconds(
        self, documents: int, workers: int, parts: int, reading: float
    ) -> tuple[float, float]:
        """Of a whole build, and of that what one process does. reading: of one worker."""
        scale = documents / max(1, self.documents)
        alone = self.fixed + self.alone * scale
        by_part = (reading + self.writing * scale) / max(1, min(workers, parts))
        by_range = self.joining * scale / min(workers, ranges_for(workers, documents))
        return by_part + by_range + alone, alone


@dataclass(frozen=True, slots=True, kw_only=True)
class _Timed(Team):
    """A team that adds up the seconds of what workers would do, and the bytes that one copies."""

    clock: Clock
    shared: list[float] = field(default_factory=list)
    copied: list[int] = field(default_factory=list)

    def each(self, what: str, task: Any, jobs: Sequence[Any], kind: Any) -> list[Any]:
        """Do a task with every job; the results."""
        begun = self.clock.monotonic()
        found = [task(self.bench, job) for job in jobs]
        self.shared.append(self.clock.monotonic() - begun)
        return found

    def join_objects(self, names: Sequence[str], target: str, jobs: Sequence[Any]) -> None:
        """Write what some objects hold as one."""
        for name in names:
            with self.store.open(name) as reader:
                self.copied.append(reader.size)
        Team.join_objects(self, names, target, jobs)


def measure_rest(
    clock: Clock, bench: Workbench, recipe: Recipe, reports: Sequence[PartReport]
) -> Rest:
    """Join a sample and write its shards, in the bench's store."""
    store = bench.open()
    rate = _copied_a_second(clock, bench, store)
    begun = clock.monotonic()
    nothing = _joined(clock, bench, store, recipe, ())
    fixed = clock.monotonic() - begun
    team = _joined(clock, bench, store, recipe, reports)
    begun = clock.monotonic()
    gone = read_rows(store, f"{bench.folder}/gone", GONE_WIDTH)
    for batch in cut_batches(reports, gone, recipe.limits.shard_bytes):
        write_batch(bench, batch)
    return Rest(
        documents=sum(report.read for report in reports),
        fixed=fixed,
        alone=sum(team.copied) / rate,
        joining=max(0.0, sum(team.shared) - sum(nothing.shared)),
        writing=clock.monotonic() - begun,
    )


def _joined(
    clock: Clock,
    bench: Workbench,
    store: SealingStore,
    recipe: Recipe,
    reports: Sequence[PartReport],
) -> _Timed:
    team = _Timed(bench, store, clock=clock)
    join(team, reports, recipe.steps, bench.files, trial=True)
    return team


def _copied_a_second(clock: Clock, bench: Workbench, store: SealingStore) -> float:
    """Bytes a second, of objects that are joined."""
    name, target = f"{bench.folder}/merge/copied", "copied"
    store.put(name, [bytes(MIB)] * (_COPIED_BYTES // MIB))
    begun = clock.monotonic()
    Team(bench, store).join_objects([name], target, ())
    elapsed = clock.monotonic() - begun
    store.delete(f"{bench.folder}/{target}")
    return _COPIED_BYTES / max(elapsed, 1e-6)
