# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Replicas of one promise in virtual time, with exchanges that are late, fail, or stop.

Queues, the exchange and control's side of it are the real ones. Costs are exact: what answers cost
beyond their estimates is another term of the bound, and no queue can know it. No engine answers
here, so that nothing is lent: what counts is when a request becomes due.
"""

import contextlib
import heapq
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bastide.core.errors import Busy
from bastide.core.fair_queue import FairQueue
from bastide.core.limits import SHARE_LEASE_S
from bastide.core.share import Cost, Promise
from bastide.core.taken import Exchange, Heard, Report, Taken
from bastide.core.ticket import Ticket

__all__ = ["SYNC_S", "Plan", "World"]

SYNC_S = 0.1


@dataclass(frozen=True)
class Plan:
    """A deployment: how many replicas, when they begin, and from when until when they are asked."""

    replicas: int
    begins: float
    serves: float
    until: float


class Replica:
    """One queue, and what its runner knows."""

    def __init__(self, world: "World", plan: Plan, number: int, name: str) -> None:
        self.plan = plan
        cost = Cost(prompt=1.0, output=1.0)
        self.queue = FairQueue(10_000, cost, 1e9, 1e9, plan.replicas, joins=True)
        self.queue.share_out(plan.begins, {"a": Promise(world.rate, world.burst_s)})
        self.exchange = Exchange((name, number), f"{name} {number}")
        self.heard = plan.begins
        self.waiting: list[Ticket] = []
        self.wake = 0.0


class World:
    """Some deployments, one after the other, and every unit that was taken from the promise."""

    def __init__(self, seed: int, plans: Sequence[Plan] | None = None) -> None:
        self.chance = random.Random(seed)
        count = self.chance.choice([2, 3, 4, 8])
        self.rate = self.chance.choice([1.0, 40.0])
        self.burst_s = self.chance.choice([0.0, 0.5, 5.0])
        self.largest = self.rate * (self.burst_s + 0.2) * self.chance.choice([0.05, 0.2])
        self.taken = Taken()
        self.silence_s = 0.0
        self.took: list[tuple[float, float]] = []
        self.events: list[tuple[float, int, Callable[[float], None]]] = []
        self.number = 0
        self.outage = self.chance.uniform(2.0, 4.0), self.chance.choice([0.0, 0.0, 3.0])
        self.replicas = [
            Replica(self, plan, number, f"plan {at}")
            for at, plan in enumerate(plans or [Plan(count, 0.0, 0.0, 8.0)])
            for number in range(1, plan.replicas + 1)
        ]
        for one in self.replicas:
            soon = one.plan.begins + self.chance.uniform(0.0, SYNC_S)
            self.at(soon, lambda now, one=one: self.ask(now, one))

    def at(self, time: float, do: Callable[[float], None]) -> None:
        self.number += 1
        heapq.heappush(self.events, (time, self.number, do))

    def ask(self, now: float, one: Replica) -> None:
        """As app/share_minutes.py: tell, and hear a while later, unless something is lost."""
        report = one.exchange.report("m", one.queue.taken(), one.queue.ahead(now))
        began, lasts = self.outage
        lost = self.chance.random()
        if began <= now < began + lasts or lost < 0.05:
            self.at(now + SYNC_S, lambda at: self.ask(at, one))
            return
        heard = self.taken.tell(now, report, {"a": self.rate}, self.largest)
        if lost < 0.15:  # it counted, and nobody hears that it did
            self.at(now + SYNC_S, lambda at: self.ask(at, one))
            return
        late = now + self.chance.choice([0.0, 0.02, 0.3])
        self.at(late, lambda at: self.hear(at, one, report, heard))

    def hear(self, now: float, one: Replica, report: Report, heard: Heard) -> None:
        if (others := one.exchange.hear(report, heard)) is not None:
            one.queue.taken_elsewhere(now, others, heard.replicas, heard.ahead)
            self.silence_s = max(self.silence_s, now - one.heard)
            one.heard = now
        self.turn(now, one)
        self.at(now + SYNC_S, lambda at: self.ask(at, one))

    def enter(self, now: float, one: Replica, units: float) -> None:
        with contextlib.suppress(Busy):
            one.waiting.append(one.queue.enter(now, "a", units, 0.0))
        self.turn(now, one)

    def turn(self, now: float, one: Replica) -> None:
        one.queue._make_due(now)
        self.took += [(now, ticket.paid) for ticket in one.waiting if ticket.promised]
        one.waiting = [ticket for ticket in one.waiting if not ticket.promised]
        if (wake := one.queue.wake_at()) is not None:
            assert wake > now, "a timer that is always over"
            if wake != one.wake:
                one.wake = wake
                self.at(max(wake, now + 1e-3), lambda at: self.turn(at, one))

    def run(self, end: float, floods: Sequence[float] = ()) -> None:
        """Ask for more than a burst at once, at chosen times and at others between pauses."""
        each = round(1.5 * (self.burst_s + 0.5) * self.rate / self.largest)
        times, time = list(floods), 0.0
        while (time := time + self.chance.uniform(0.2, 3.0)) < end:
            times.append(time)
        hot = self.chance.choice([1, 8, 8])  # at one replica, or everywhere
        for time in times:
            serving = [row for row in self.replicas if row.plan.serves <= time < row.plan.until]
            for one in [one for one in serving[:hot] for _ in range(each)]:
                units = self.chance.uniform(0.3, 1.0) * self.largest
                soon = time + self.chance.uniform(0.0, 0.05)
                self.at(soon, lambda now, one=one, units=units: self.enter(now, one, units))
        while self.events and self.events[0][0] <= end:
            now, _, do = heapq.heappop(self.events)
            do(now)
        for one in self.replicas:
            self.silence_s = max(self.silence_s, end - one.heard)

    @property
    def overdrawn(self) -> float:
        """The most that was taken in any time beyond rate * time, less the bound."""
        count, rate = len(self.replicas), self.rate
        lease = rate * (max(self.burst_s / count, SHARE_LEASE_S) + self.silence_s / count)
        bound = rate * self.burst_s + (count - 1) * lease + count * self.largest
        worst = running = before = 0.0
        for time, units in self.took:
            running = max(0.0, running - rate * (time - before)) + units
            before, worst = time, max(worst, running)
        return worst - bound
