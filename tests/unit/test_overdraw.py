# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What all replicas together give under one promise is bounded, however late they hear of it.

docs/adr/0065-no-gap.md derives the bound; here it is checked over random schedules in virtual time,
with exchanges that take long, fail, or stop for a while. Costs are exact: what answers cost beyond
their estimates is the other term, and no queue can know it. No engine answers here, so that nothing
is lent: what counts is when a request becomes due.
"""

import contextlib
import heapq
import random
from collections.abc import Callable

import pytest

from bastide.core.errors import Busy
from bastide.core.fair_queue import FairQueue
from bastide.core.lease import Lease
from bastide.core.limits import SHARE_LEASE_S
from bastide.core.share import Cost, Promise
from bastide.core.taken import Taken
from bastide.core.ticket import Standing, Ticket

SYNC_S = 0.1


class World:
    """Replicas, the exchange between them, and every unit that was taken from the promise."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.count = self.chance.choice([2, 3, 4, 8])
        self.rate = self.chance.choice([1.0, 40.0])
        self.burst_s = self.chance.choice([0.0, 0.5, 5.0])
        self.largest = self.rate * (self.burst_s + 0.2) * self.chance.choice([0.05, 0.2])
        cost = Cost(prompt=1.0, output=1.0)
        self.queues = [
            FairQueue(10_000, cost, 1e9, 1e9, replicas=self.count) for _ in range(self.count)
        ]
        for queue in self.queues:
            queue.share_out(0.0, {"a": Promise(self.rate, self.burst_s)})
        self.taken = Taken()
        self.untold: list[dict[str, float]] = [{} for _ in self.queues]
        self.heard = [0.0] * self.count
        self.silence_s = 0.0
        self.first = [True] * self.count
        self.waiting: list[tuple[int, Ticket]] = []
        self.took: list[tuple[float, float]] = []
        self.events: list[tuple[float, int, Callable[[float], None]]] = []
        self.number = 0
        self.wakes = [0.0] * self.count
        self.outage = self.chance.uniform(2.0, 4.0), self.chance.choice([0.0, 0.0, 3.0])
        for index in range(self.count):
            self.at(self.chance.uniform(0.0, SYNC_S), lambda now, at=index: self.ask(now, at))

    def at(self, time: float, do: Callable[[float], None]) -> None:
        self.number += 1
        heapq.heappush(self.events, (time, self.number, do))

    def ask(self, now: float, index: int) -> None:
        """As app/share_minutes.py: tell, and hear a while later, unless control is away."""
        for tenant, units in self.queues[index].taken().items():
            self.untold[index][tenant] = self.untold[index].get(tenant, 0.0) + units
        began, lasts = self.outage
        if began <= now < began + lasts or self.chance.random() < 0.05:
            self.at(now + SYNC_S, lambda at: self.ask(at, index))
            return
        others = self.taken.tell(("", index), self.untold[index], self.first[index])
        self.untold[index], self.first[index] = {}, False
        self.at(now + self.chance.choice([0.0, 0.02, 0.3]), lambda at: self.hear(at, index, others))

    def hear(self, now: float, index: int, others: dict[str, float]) -> None:
        self.queues[index].taken_elsewhere(now, others)
        self.silence_s = max(self.silence_s, now - self.heard[index])
        self.heard[index] = now
        self.turn(now, index)
        self.at(now + SYNC_S, lambda at: self.ask(at, index))

    def enter(self, now: float, index: int, units: float) -> None:
        with contextlib.suppress(Busy):
            self.waiting.append((index, self.queues[index].enter(now, "a", units, 0.0)))
        self.turn(now, index)

    def turn(self, now: float, index: int) -> None:
        queue = self.queues[index]
        queue._make_due(now)
        due = [row for row in self.waiting if row[1].promised]
        self.took += [(now, ticket.paid) for _, ticket in due]
        self.waiting = [row for row in self.waiting if not row[1].promised]
        if (wake := queue.wake_at()) is not None:
            assert wake > now, "a timer that is always over"
            if wake != self.wakes[index]:
                self.wakes[index] = wake
                self.at(max(wake, now + 1e-3), lambda at: self.turn(at, index))

    def run(self, end: float) -> None:
        hot = self.chance.choice([1, self.count, self.count])  # at one replica, or everywhere
        each = round(1.5 * (self.burst_s + 0.5) * self.rate / self.largest)
        time = 0.0
        while (time := time + self.chance.uniform(0.2, 3.0)) < end:
            # After a pause, in which the whole burst came back, more than that at once.
            for index in [at for at in range(hot) for _ in range(each)]:
                units = self.chance.uniform(0.3, 1.0) * self.largest
                soon = time + self.chance.uniform(0.0, 0.05)
                self.at(soon, lambda now, at=index, units=units: self.enter(now, at, units))
        while self.events and self.events[0][0] <= end:
            now, _, do = heapq.heappop(self.events)
            do(now)
        for heard in self.heard:
            self.silence_s = max(self.silence_s, end - heard)

    @property
    def overdrawn(self) -> float:
        """The most that was taken in any time beyond rate * time, less the bound."""
        count, rate = self.count, self.rate
        lease = rate * (max(self.burst_s / count, SHARE_LEASE_S) + self.silence_s / count)
        bound = rate * self.burst_s + (count - 1) * lease + count * self.largest
        worst = running = 0.0
        before = 0.0
        for time, units in self.took:
            running = max(0.0, running - rate * (time - before)) + units
            before, worst = time, max(worst, running)
        return worst - bound


@pytest.mark.slow
@pytest.mark.parametrize("part", range(4))
def test_no_schedule_takes_more_than_the_bound(part: int) -> None:
    taken = 0
    for seed in range(250 * part, 250 * (part + 1)):
        world = World(seed)
        world.run(8.0)
        assert world.overdrawn <= 1e-6, seed
        taken += len(world.took)
    assert taken > 25_000


def _without_lease(lease: Lease, row: Standing) -> float:
    return row.used_until - row.promise.burst_s


def test_without_the_lease_each_replica_gives_a_burst(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Lease, "due_at", _without_lease)
    over = []
    for seed in range(30):
        world = World(seed)
        world.run(8.0)
        over.append(world.overdrawn)
    assert max(over) > 0


def test_a_promise_is_whole_while_control_is_away() -> None:
    """Each replica gives its part of it: together that is the promise."""
    queues = [FairQueue(1_000, Cost(1.0, 1.0), 1e9, 1e9, replicas=4) for _ in range(4)]
    for queue in queues:
        queue.share_out(0.0, {"a": Promise(100.0, burst_s=1.0)})
        for _ in range(1_000):
            queue.enter(0.0, "a", 2.0, 0.0)
    for tick in range(1, 101):
        for queue in queues:
            queue._make_due(tick / 10)
    paid = [sum(row.paid for row in queue._tenants["a"].due) for queue in queues]
    # 10 s of 25 a second, and what each may give before it must be heard.
    assert all(250 <= one <= 250 + 25 + 2 for one in paid)


def test_who_is_at_one_replica_gets_the_whole_promise_there() -> None:
    queue, taken = FairQueue(10_000, Cost(1.0, 1.0), 1e9, 1e9, replicas=8), Taken()
    queue.share_out(0.0, {"a": Promise(100.0, burst_s=1.0)})
    for _ in range(1_000):
        queue.enter(0.0, "a", 2.0, 0.0)
    for tick in range(1, 101):
        queue._make_due(tick / 10)
        told = queue.taken()
        queue.taken_elsewhere(tick / 10, taken.tell(("", 1), told, tick == 1))
    paid = sum(row.paid for row in queue._tenants["a"].due)
    assert 1_000 <= paid <= 1_102
