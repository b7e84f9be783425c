# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What all replicas together give under one promise is bounded, however late they hear of it.

docs/adr/0065-no-gap.md and 0075-totals.md derive the bound; here it is checked over random
schedules in virtual time.
"""

import pytest

from bastide.core.fair_queue import FairQueue
from bastide.core.lease import Lease
from bastide.core.share import Cost, Promise
from bastide.core.taken import Exchange, Taken
from bastide.core.ticket import Standing
from unit.share_world import Plan, World


@pytest.mark.attacks("C212")
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
    queue, taken = FairQueue(10_000, Cost(1.0, 1.0), 1e9, 1e9, replicas=8, joins=True), Taken()
    exchange = Exchange(("d", 1), "life")
    queue.share_out(0.0, {"a": Promise(100.0, burst_s=1.0)})
    for _ in range(1_000):
        queue.enter(0.0, "a", 2.0, 0.0)
    for tick in range(1, 101):
        queue._make_due(tick / 10)
        told = exchange.report("m", queue.taken(), queue.ahead(tick / 10))
        heard = taken.tell(tick / 10, told, {"a": 100.0}, 2.0)
        others = exchange.hear(told, heard)
        assert others == {}
        queue.taken_elsewhere(tick / 10, others, heard.replicas, heard.ahead)
    paid = sum(row.paid for row in queue._tenants["a"].due)
    assert 1_000 <= paid <= 1_102


# One replica, then two, then one: the next ones load beside those that serve. A flood comes right
# before and right after each switch.
SWITCHES = [Plan(1, 0.0, 0.0, 6.0), Plan(2, 3.0, 6.0, 12.0), Plan(1, 9.0, 12.0, 18.0)]
FLOODS = (5.9, 6.0, 6.1, 11.9, 12.0, 12.1)


@pytest.mark.attacks("C245")
@pytest.mark.slow
def test_a_deployment_that_takes_anothers_place_gives_no_burst_of_its_own() -> None:
    taken = 0
    for seed in range(200):
        world = World(seed, SWITCHES)
        world.run(18.0, FLOODS)
        assert world.overdrawn <= 1e-6, seed
        taken += len(world.took)
    assert taken > 25_000


# It begins when it is asked, a second after the other: a runner that was killed and comes back.
AGAIN = [Plan(1, 0.0, 0.0, 6.0), Plan(1, 7.0, 7.0, 12.0)]


def again(seed: int) -> World:
    world = World(seed, AGAIN)
    world.outage = (0.0, 0.0)  # what a lone replica took and could not tell in time, nobody knows
    world.run(12.0, (5.8, 5.85, 7.0, 7.05))
    return world


@pytest.mark.attacks("C245")
def test_one_that_begins_in_the_moment_in_which_it_serves_gives_none_either() -> None:
    """Behind by the time between two exchanges at most: the other told late what it took."""
    for seed in range(100):
        world = again(seed)
        assert world.overdrawn <= world.rate * world.silence_s, seed


def test_if_it_knew_nothing_of_what_was_taken_before_it_would(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def alone(lease: Lease, replicas: int, joins: bool = False) -> None:
        del joins
        begin(lease, replicas)

    begin = Lease.__init__
    monkeypatch.setattr(Lease, "__init__", alone)
    monkeypatch.setattr(Standing, "join", lambda *_: None)
    worlds = map(again, range(100))
    assert any(world.overdrawn > world.rate * world.silence_s for world in worlds)
