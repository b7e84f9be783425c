# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The fair queue in virtual time: each of its rules by itself."""

import pytest

from bastide.core.chat import Usage
from bastide.core.errors import Busy
from bastide.core.fair_queue import FairQueue
from bastide.core.limits import SHARE_GUARD_IDLE_S, SHARE_WAITING_MAX
from bastide.core.share import Cost, Promise, Tally, guard_slots
from bastide.core.ticket import State, Ticket
from unit.share_model import PLAIN, Model


def alone(slots: int = 4, promises: dict[str, Promise] | None = None, **limits) -> FairQueue:
    queue = FairQueue(slots, PLAIN, **limits)
    queue.share_out(0.0, promises or {})
    return queue


def serve_one(queue: FairQueue, now: float, tenant: str, prompt: float, output: int) -> Ticket:
    """Let one request through an idle queue."""
    ticket = queue.enter(now, tenant, prompt, output)
    assert queue.dispatch(now) == [ticket]
    queue.charge(now, ticket, tokens=output)
    queue.finish(now, ticket)
    return ticket


def test_a_promise_goes_first_and_the_guard_is_not_lent():
    queue = alone(4, {"a": Promise(10.0)})
    borrowers = [queue.enter(0.0, "b", 1.0, 100) for _ in range(5)]
    assert queue.dispatch(0.0) == borrowers[:3] and queue.free == 1
    mine = queue.enter(1.0, "a", 1.0, 10)
    assert queue.dispatch(1.0) == [mine] and mine.promised
    queue.finish(2.0, borrowers[0])
    assert queue.dispatch(2.0) == []  # the guard is filled again first
    queue.finish(3.0, mine)
    assert queue.dispatch(3.0) == [borrowers[3]]


@pytest.mark.parametrize(("slots", "guard"), [(1, 0), (2, 0), (3, 1), (4, 1), (20, 1), (32, 2)])
def test_small_engines_keep_a_guard_only_if_they_can_afford_it(slots, guard):
    assert guard_slots(slots) == guard


def test_one_slot_still_serves_everybody():
    queue = alone(1, {"a": Promise(10.0)})
    first = queue.enter(0.0, "b", 1.0, 10)
    assert queue.dispatch(0.0) == [first]
    other, mine = queue.enter(0.0, "b", 1.0, 10), queue.enter(0.0, "a", 1.0, 10)
    assert queue.dispatch(0.0) == []
    queue.finish(1.0, first)
    assert queue.dispatch(1.0) == [mine]
    queue.finish(2.0, mine)
    assert queue.dispatch(2.0) == [other]


def test_nothing_is_kept_where_nothing_is_promised():
    queue = alone(4, {"a": Promise(weight=2.0)})
    waiting = [queue.enter(0.0, "b", 1.0, 10) for _ in range(6)]
    assert queue.dispatch(0.0) == waiting[:4] and queue.free == 0


def test_who_was_idle_cannot_claim_the_past():
    """An hour of idleness gives one burst and no more, and no lead over other borrowers."""
    queue = alone(1, {"a": Promise(10.0, burst_s=5.0)})
    serve_one(queue, 0.0, "a", 0.0, 10)
    now = 3_600.0
    asked = [queue.enter(now, "a", 0.0, 10) for _ in range(20)]
    queue._make_due(now)
    # 5 s of 10 units in requests of 10, and the one that crosses the line.
    assert sum(row.state is State.DUE for row in asked) == 6

    queue = alone(1)
    serve_one(queue, 0.0, "early", 0.0, 1)
    for at in range(100):
        serve_one(queue, float(at), "busy", 0.0, 10)
    running = queue.enter(200.0, "other", 0.0, 10)
    queue.dispatch(200.0)
    rows = [queue.enter(200.0, name, 0.0, 10) for _ in range(10) for name in ("busy", "early")]
    queue.charge(201.0, running, tokens=10)
    queue.finish(201.0, running)
    order = []
    for at in range(20):
        (ticket,) = queue.dispatch(202.0 + at)
        order.append(ticket.tenant)
        queue.charge(202.0 + at, ticket, tokens=10)
        queue.finish(202.0 + at, ticket)
    assert rows and order[:2] in (["busy", "early"], ["early", "busy"])
    assert max(order[:4].count(name) for name in ("busy", "early")) == 2


def test_equal_borrowers_get_the_same_whatever_their_requests_are_like():
    """Jain's index over three tenants whose requests differ by ten times: at least 0.95."""
    queue = alone(4)
    model = Model(queue, 100.0)
    sizes = {"small": 15.0, "middle": 50.0, "large": 150.0}
    for name, size in sizes.items():
        for _ in range(int(15_000 / size)):
            model.enter(name, 0.0, size, size)
    model.turn()
    model.run_to(300.0)
    tallies = queue.close_period(300.0)
    got = [tallies[name].borrowed for name in sizes]
    assert sum(got) ** 2 / (3 * sum(value * value for value in got)) >= 0.95
    assert sum(got) == pytest.approx(300 * 100, rel=0.05)


def test_weights_divide_what_is_left():
    queue = alone(4, {"double": Promise(weight=2.0)})
    model = Model(queue, 100.0)
    for _ in range(900):
        model.enter("double", 0.0, 20.0, 20.0)
        model.enter("single", 0.0, 20.0, 20.0)
    model.turn()
    model.run_to(200.0)
    tallies = queue.close_period(200.0)
    assert tallies["double"].borrowed / tallies["single"].borrowed == pytest.approx(2.0, rel=0.05)


def test_a_cut_answer_is_charged_for_what_was_streamed():
    queue = FairQueue(2, Cost(prompt=0.25, output=1.0))
    queue.share_out(0.0, {"a": Promise(100.0)})
    cut = queue.enter(0.0, "a", 40.0, 1_000)
    queue.dispatch(0.0)
    for step in range(7):
        queue.charge(0.1 * step, cut)
    queue.finish(1.0, cut)
    assert queue.close_period(60.0) == {"a": Tally(delivered=0.25 * 40 + 7)}
    unstarted = queue.enter(61.0, "a", 40.0, 1_000)
    queue.finish(62.0, unstarted)
    assert queue.close_period(120.0) == {}


def test_the_engines_own_count_settles_the_estimate():
    """Cached prompt tokens cost nothing, and a promise gets back what it paid too much."""
    queue = FairQueue(2, Cost(prompt=0.25, output=1.0))
    queue.share_out(0.0, {"a": Promise(100.0)})
    ticket = queue.enter(0.0, "a", 400.0, 60)
    queue.dispatch(0.0)
    assert queue._tenants["a"].used_until == pytest.approx((100 + 60) / 100)
    queue.charge(0.1, ticket, Usage(300, 5, 200))
    queue.finish(0.2, ticket, Usage(300, 10, 200))
    assert queue._tenants["a"].used_until == pytest.approx((25 + 10) / 100)
    assert queue.close_period(1.0)["a"].delivered == pytest.approx(25 + 10)


def test_an_answer_longer_than_estimated_is_paid_by_its_own_tenant():
    queue = alone(4, {"a": Promise(100.0, burst_s=1.0)})
    long = queue.enter(0.0, "a", 0.0, 1_000)  # estimated at 64
    queue.dispatch(0.0)
    queue.charge(0.0, long, tokens=500)
    late = queue.enter(0.0, "a", 0.0, 10)
    queue._make_due(0.0)
    assert late.state is State.WAITING  # five seconds of its promise are used
    assert queue.wake_at() == pytest.approx(4.0)
    assert queue.dispatch(3.9) == [late] and not late.promised  # it borrows: slots are free


def test_the_earlier_deadline_goes_first():
    """What a promise of 100 a second owes in 0.1 s comes before what one of 10 owes in 1 s."""
    queue = alone(1, {"fast": Promise(100.0), "slow": Promise(10.0)})
    running = queue.enter(0.0, "other", 0.0, 10)
    queue.dispatch(0.0)
    slow, fast = queue.enter(0.1, "slow", 0.0, 10), queue.enter(0.2, "fast", 0.0, 10)
    queue.dispatch(0.2)
    queue.finish(1.0, running)
    assert queue.dispatch(1.0) == [fast]
    queue.finish(2.0, fast)
    assert queue.dispatch(2.0) == [slow]


def test_one_lent_prompt_is_read_at_a_time():
    queue = alone(8, {"a": Promise(10.0)})
    first = queue.enter(0.0, "b", 4_000.0, 10)
    second = queue.enter(0.0, "b", 4_000.0, 10)
    assert queue.dispatch(0.0) == [first]
    mine = queue.enter(0.1, "a", 4_000.0, 10)
    assert queue.dispatch(0.1) == [mine]  # a promise does not wait for others' prompts
    assert queue.charge(0.5, first) and not queue.charge(0.6, first)
    assert queue.dispatch(0.6) == [second]
    queue.finish(0.7, second)
    assert queue.reading == 0.0


def saturate(queue: FairQueue, units_per_s: float, seconds: int) -> float:
    """Keep an engine full for some time, so that its capacity is known."""
    for number in range(queue.slots + 1):
        queue.enter(0.0, f"load-{number}", 0.0, 10)
    running = queue.dispatch(0.0)
    for second in range(1, seconds + 1):
        for ticket in running:
            queue.charge(float(second), ticket, tokens=units_per_s / len(running))
    return float(seconds)


def test_capacity_is_measured_only_while_requests_wait():
    queue = alone(4)
    serve_one(queue, 0.0, "a", 0.0, 5)
    assert queue.capacity is None
    saturate(queue, 200.0, 10)
    assert queue.capacity == pytest.approx(200.0, rel=0.05)


def test_a_queue_is_bounded_in_seconds_of_work_and_says_when_to_come_back():
    queue = alone(4, {"a": Promise(100.0)}, queue_s_max=10.0)
    now = saturate(queue, 200.0, 10)
    queue._tenant("b").output_mean = queue._tenant("a").output_mean = 100.0
    for name, rate in (("b", 200 / 6), ("a", 100 + 100 / 7)):
        taken = 0
        with pytest.raises(Busy) as refused:
            while taken < 1_000:
                queue.enter(now, name, 0.0, 100)
                taken += 1
        # It is full when what waits takes ten seconds at the rate that it can count on.
        assert 100 * taken / rate == pytest.approx(10.0, abs=100 / rate)
        excess_s = 100 * taken / rate - 10.0
        assert refused.value.retry_after_s == pytest.approx(100 / rate + excess_s, rel=0.25)
    assert queue.close_period(now)["a"].refused == 1


def test_before_the_capacity_is_known_requests_are_counted():
    queue = alone(1)
    queue.enter(0.0, "a", 0.0, 10)
    queue.dispatch(0.0)
    for _ in range(SHARE_WAITING_MAX):
        queue.enter(0.0, "a", 0.0, 10)
    with pytest.raises(Busy):
        queue.enter(0.0, "a", 0.0, 10)
    queue.enter(0.0, "b", 0.0, 10)  # one tenant's queue is not another's


def test_what_waited_too_long_is_given_up():
    queue = alone(1, {"a": Promise(0.001)}, wait_s_max=60.0)
    queue.enter(0.0, "b", 0.0, 10)
    queue.dispatch(0.0)
    old, due = queue.enter(1.0, "b", 0.0, 10), queue.enter(2.0, "a", 0.0, 10)
    queue.dispatch(2.0)
    assert due.state is State.DUE
    assert queue.wake_at() == 61.0 and queue.expire(60.9) == []
    assert queue.expire(61.0) == [old] and queue.expire(62.0) == [due]
    assert queue.waiting == 0 and queue.too_late(old).retry_after_s >= 1.0


def test_owed_and_starved_time_are_stated():
    queue = alone(1, {"a": Promise(100.0)})
    running = queue.enter(0.0, "b", 0.0, 10)
    queue.dispatch(0.0)
    mine = queue.enter(58.0, "a", 0.0, 10)
    queue.dispatch(58.0)
    assert queue.close_period(60.0)["a"] == Tally(owed=10.0, starved_s=2.0)
    queue.finish(61.0, running)
    assert queue.dispatch(61.0) == [mine]
    queue.charge(62.0, mine, tokens=10)
    queue.finish(62.0, mine)
    assert queue.close_period(120.0)["a"] == Tally(delivered=10.0, starved_s=1.0)


def test_a_new_share_counts_at_once():
    queue = alone(1)
    running = queue.enter(0.0, "b", 0.0, 10)
    queue.dispatch(0.0)
    early, mine = queue.enter(0.0, "b", 0.0, 10), queue.enter(0.0, "a", 0.0, 10)
    queue.share_out(1.0, {"a": Promise(10.0)})
    queue.finish(1.0, running)
    assert queue.dispatch(1.0) == [mine] and mine.promised
    queue.share_out(2.0, {})
    queue.finish(2.0, mine)
    assert queue.dispatch(2.0) == [early]


def test_idle_tenants_are_forgotten():
    queue = alone(1)
    for number in range(50):
        serve_one(queue, float(number), f"t{number}", 0.0, 10)
    queue.enter(60.0, "a", 0.0, 1_000)
    queue.enter(60.0, "a", 0.0, 1_000)
    queue.dispatch(60.0)
    queue.close_period(61.0)
    queue._floor = 1e9
    queue.close_period(62.0)
    assert set(queue._tenants) == {"a"}


def test_what_runs_in_the_background_is_only_lent_and_comes_last():
    queue = alone(1, {"a": Promise(1_000.0)})
    running = queue.enter(0.0, "b", 0.0, 10)
    queue.dispatch(0.0)
    line = queue.enter(0.0, "a", 0.0, 10, background=True)
    assert queue.dispatch(0.0) == [] and line.state is State.WAITING, "the promise does not pay"
    mine = queue.enter(1.0, "a", 0.0, 10)
    queue.dispatch(1.0)
    assert mine.state is State.DUE
    queue.finish(2.0, running)
    assert queue.dispatch(2.0) == [mine]
    queue.finish(3.0, mine)
    assert queue.dispatch(3.0) == [line] and not line.promised
    queue.charge(3.0, line, tokens=10)
    queue.finish(4.0, line)
    tally = queue.close_period(5.0)["a"]
    assert tally.borrowed == 10.0 and tally.promised == tally.delivered


def test_a_tenant_without_a_promise_serves_its_own_background_last():
    queue = alone(1)
    held = queue.enter(0.0, "b", 0.0, 10)
    queue.dispatch(0.0)
    line, mine = queue.enter(0.0, "a", 0.0, 10, background=True), queue.enter(1.0, "a", 0.0, 10)
    queue.finish(2.0, held)
    assert queue.dispatch(2.0) == [mine]
    queue.finish(3.0, mine)
    assert queue.dispatch(3.0) == [line]


def test_waiting_lines_of_a_batch_refuse_nobody_who_waits_for_an_answer():
    queue = alone(4, queue_s_max=10.0)
    now = saturate(queue, 200.0, 10)
    queue._tenant("b").output_mean = 100.0
    with pytest.raises(Busy) as refused:
        for _ in range(1_000):
            queue.enter(now, "b", 0.0, 100, background=True)
    assert refused.value.retry_after_s > 1.0
    waiting = queue.waiting
    mine = queue.enter(now, "b", 0.0, 100)
    assert queue.waiting == waiting + 1
    queue.expire(now + 60.0)
    assert mine.state is State.ENDED and queue.waiting == 0 and queue._tenants["b"].queued == 0.0
    assert queue._tenants["b"].queued_later == pytest.approx(0.0)


def test_an_engine_of_few_slots_lends_its_guard_to_the_end_of_a_minute_without_use():
    """And takes it back, without killing anything, once the promise is used again."""
    queue = alone(4, {"a": Promise(10.0)})
    borrowers = [queue.enter(0.0, "b", 0.0, 10) for _ in range(8)]
    assert queue.dispatch(0.0) == borrowers[:3]
    assert queue.wake_at() == SHARE_GUARD_IDLE_S
    late = [queue.enter(59.0, "b", 0.0, 10) for _ in range(8)]
    queue.expire(60.0)
    assert queue.dispatch(SHARE_GUARD_IDLE_S) == [late[0]] and queue.free == 0
    mine = queue.enter(61.0, "a", 0.0, 10)
    assert queue.dispatch(61.0) == [], "nothing is killed"
    queue.finish(62.0, borrowers[0])
    assert queue.dispatch(62.0) == [mine]
    queue.finish(63.0, borrowers[1])
    assert queue.dispatch(63.0) == [] and queue.kept == 1, "the guard is filled again first"


def test_what_promises_use_on_average_is_kept_and_given_back():
    queue = alone(32, {"a": Promise(1e6, burst_s=60.0)})
    assert queue.kept == 2
    mine = [queue.enter(0.0, "a", 0.0, 10) for _ in range(4)]
    assert queue.dispatch(0.0) == mine
    queue.dispatch(30.0)
    assert queue.kept == 3, "a mean of 4 needs up to 8; 4 run; the mean is not quite 4 yet"
    for ticket in mine:
        queue.finish(30.0, ticket)
    assert queue.kept == 7, "they will come again"
    flood = [queue.enter(30.0, "b", 0.0, 10) for _ in range(40)]
    assert queue.dispatch(30.0) == flood[:25]
    at, begun = 30.0, 25
    while queue.kept > 2:
        later = queue.wake_at()
        assert later is not None and later > at
        at, begun = later, begun + len(queue.dispatch(later))
    assert begun == 30 and at < 60.0, "slots are lent as the mean falls, and the queue wakes itself"
