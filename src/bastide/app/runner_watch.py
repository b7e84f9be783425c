# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What a runner counts: how soon answers begin, how fast they go on, its queue and its shares.

The time to the first token is measured here and not in the gateway, because here streams and
answers that are read as a whole look alike, and the waiting for a turn is part of it.
"""

from collections.abc import Iterator, Mapping
from typing import Protocol

from bastide.app.share_minutes import ShareKeeper
from bastide.app.turns import Turn, Turns
from bastide.core.metrics import (
    BORROWED,
    CAPACITY,
    EACH_TOKEN,
    ENGINE_LOADS,
    ENGINE_UP,
    FIRST_TOKEN,
    GUARANTEED,
    PROVIDER,
    SHARE_REFUSED,
    SLOTS,
    SLOTS_FREE,
    STARVED,
    USED,
    WAITING,
    Histogram,
    Sample,
    Series,
    sample,
)
from bastide.core.share import Promise, Tally

__all__ = ["RunnerWatch"]


class _Alive(Protocol):
    @property
    def up(self) -> bool: ...


class RunnerWatch:
    """Counts for one runner. Belongs to one event loop."""

    def __init__(self) -> None:
        self._first = Histogram(FIRST_TOKEN.buckets)
        self._each = Histogram(EACH_TOKEN.buckets)
        self._loads = 0
        self._starved: dict[str, float] = {}
        self._refused: dict[str, int] = {}
        self._tallies: Mapping[str, Tally] = {}
        self._period_s = 0.0

    def answered(self, turn: Turn) -> None:
        """Count an answer that came to its end."""
        if turn.first_s is None or turn.last_s is None:
            return
        self._first.observe(turn.first_s - turn.entered_s)
        after_first = (turn.usage.completion_tokens if turn.usage else 0) - 1
        if after_first > 0:
            self._each.observe((turn.last_s - turn.first_s) / after_first)

    def loaded(self) -> None:
        """Count a load."""
        self._loads += 1

    def share_minute(self, tallies: Mapping[str, Tally], period_s: float) -> None:
        """Take what tenants got in a period that has ended."""
        self._tallies, self._period_s = tallies, max(period_s, 0.001)
        for tenant, tally in tallies.items():
            self._starved[tenant] = self._starved.get(tenant, 0.0) + tally.starved_s
            self._refused[tenant] = self._refused.get(tenant, 0) + tally.refused

    async def told(self, turns: Turns, runner: _Alive, keeper: ShareKeeper) -> list[Sample]:
        """The metrics of now."""
        return list(self.samples(keeper.model, turns, runner, keeper.promises))

    def samples(
        self, model: str, turns: Turns, runner: _Alive, promises: Mapping[str, Promise]
    ) -> Iterator[Sample]:
        """Everything that is known now."""
        for metric, histogram in ((FIRST_TOKEN, self._first), (EACH_TOKEN, self._each)):
            yield metric.name, ("chat", PROVIDER, model), histogram.value
        yield sample(SLOTS, turns.slots, model)
        yield sample(SLOTS_FREE, turns.free, model)
        yield sample(WAITING, turns.waiting, model)
        yield sample(ENGINE_UP, int(runner.up), model)
        yield sample(ENGINE_LOADS, self._loads, model)
        if turns.capacity is not None:
            yield sample(CAPACITY, turns.capacity, model)
        yield from self._shares(model, promises)

    def _shares(self, model: str, promises: Mapping[str, Promise]) -> Iterator[Sample]:
        for tenant, promise in promises.items():
            yield sample(GUARANTEED, promise.tokens_per_s, tenant, model)
        # Who got nothing lately used nothing; without a row the last figure would stand for ever.
        used, borrowed = Series(USED), Series(BORROWED)
        for tenant in promises.keys() | self._tallies.keys():
            tally = self._tallies.get(tenant, Tally())
            period_s = self._period_s or 1.0
            # A settlement may give back what an earlier period had counted.
            used.add(max(0.0, tally.delivered) / period_s, tenant, model)
            borrowed.add(max(0.0, tally.borrowed) / period_s, tenant, model)
        yield from used.samples()
        yield from borrowed.samples()
        starved, refused = Series(STARVED), Series(SHARE_REFUSED)
        for tenant, seconds in self._starved.items():
            starved.add(seconds, tenant, model)
        for tenant, count in self._refused.items():
            refused.add(count, tenant, model)
        yield from starved.samples()
        yield from refused.samples()
