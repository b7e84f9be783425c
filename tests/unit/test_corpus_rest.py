# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What a plan reckons of the time behind the reading, with a clock that only a store moves.

Broken once to prove the tests: with what one process does of a sample multiplied as a whole, with a
join of nothing that is not taken off what ranges do, and with ranges as many as parts, they fail.
"""

from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

import pytest

from bastide.adapters.entropy.seeded import SeededEntropy
from bastide.adapters.keys.identities import IdentityKeys
from bastide.adapters.keys.memory import new_identities
from bastide.adapters.store.memory import MemoryReader, MemoryStore
from bastide.adapters.store.sealed import SealedStore
from bastide.app.corpus_join import join
from bastide.app.corpus_ranges import Team
from bastide.app.corpus_rest import Rest, measure_rest
from bastide.core.recipe import Recipe
from bastide.ports import SealingStore
from unit.corpus_team import team_of
from unit.test_corpus_ranges import written

EACH_S = 0.02  # of every object that is opened or written
BYTE_S = 1e-6
RECIPE = Recipe("r", "1", (), ())


class Moved:
    """A clock that others move."""

    def __init__(self) -> None:
        self.now = 0.0

    def now_ms(self) -> int:
        return int(self.now * 1000)

    def monotonic(self) -> float:
        return self.now


class SlowStore(MemoryStore):
    """A store in memory that takes the time of a disk."""

    def __init__(self, clock: Moved) -> None:
        super().__init__()
        self._clock = clock

    def put(self, name: str, chunks: Iterable[bytes | memoryview]) -> int:
        size = super().put(name, chunks)
        self._clock.now += EACH_S + size * BYTE_S
        return size

    def open(self, name: str) -> AbstractContextManager[MemoryReader]:
        found = super().open(name)
        with super().open(name) as reader:
            self._clock.now += EACH_S + reader.size * BYTE_S
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched(Team):
    """A team whose workers' seconds are added up."""

    clock: Moved
    shared: list[float] = field(default_factory=list)

    def each(self, what: str, task: Any, jobs: Any, kind: Any) -> list[Any]:
        begun = self.clock.now
        found = [task(self.bench, job) for job in jobs]
        self.shared.append(self.clock.now - begun)
        return found


def world(documents: int) -> tuple[Moved, SealingStore, Team, Any]:
    clock, entropy = Moved(), SeededEntropy(b"rest")
    store = SealedStore(SlowStore(clock), IdentityKeys(new_identities(entropy)), (), entropy)
    corpus = [(at % 5, at // 2, 0) for at in range(documents)]  # every second is a duplicate
    return clock, store, team_of(store, 1, 1 << 22), written(store, corpus, 1 << 22)


def times(documents: int, reported: int = 5) -> tuple[float, float]:
    """Seconds of a whole join: of one process, and of what workers share."""
    clock, store, plain, reports = world(documents)
    watched = Watched(plain.bench, store, clock=clock)
    begun = clock.now
    join(watched, reports[:reported], (), (), trial=True)
    shared = sum(watched.shared)
    return clock.now - begun - shared, shared


def test_a_small_sample_tells_how_long_the_whole_is_joined() -> None:
    clock, _, plain, reports = world(40)
    rest = measure_rest(clock, plain.bench, RECIPE, reports)
    assert rest.documents == 40
    alone, _ = times(4_000)
    assert alone / 2.5 < rest.fixed + rest.alone * 100 < 2.5 * alone
    of_sample, of_nothing = times(40)[1], times(0, 0)[1]
    assert of_nothing > 0.1
    assert rest.joining == pytest.approx(of_sample - of_nothing)


def test_a_join_is_divided_by_its_ranges_and_not_by_the_parts() -> None:
    rest = Rest(documents=1_000, fixed=1.0, alone=0.01, joining=1.0, writing=2.0)
    few, alone = rest.seconds(100_000, 16, 50, reading=800.0)  # one range
    assert alone == pytest.approx(2.0)
    assert few == pytest.approx((800 + 200) / 16 + 100 + 2)
    many, _ = rest.seconds(4_000_000, 16, 2, reading=800.0)  # twenty ranges, two parts
    assert many == pytest.approx((800 + 8_000) / 2 + 4_000 / 16 + 41)
