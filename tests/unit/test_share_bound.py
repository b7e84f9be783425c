# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The laws of the fair queue over 10,000 random schedules in virtual time.

The bound that docs/adr/0013-shares.md derives is checked for every request that was ever due.
"""

import random

import pytest

from bastide.core.fair_queue import FairQueue
from bastide.core.limits import SHARE_READING_TOKENS
from bastide.core.share import Promise
from bastide.core.ticket import State, Ticket
from unit.share_model import PLAIN, Model

SLACK_S = 1e-5  # the clock's own tolerance


def random_run(seed: int) -> None:
    """One random schedule; every law is checked in it."""
    chance = random.Random(seed)
    slots, capacity = chance.choice([1, 2, 3, 4, 8, 32]), chance.choice([10.0, 100.0, 3_000.0])
    largest = chance.choice([1.0, 2.0, 10.0]) * capacity
    queue = FairQueue(slots, PLAIN, queue_s_max=1e9, wait_s_max=1e9)
    model = Model(queue, capacity)
    names = [f"t{number}" for number in range(chance.randint(2, 6))]
    parts = [chance.random() for _ in names]
    promised = chance.choice([0.0, 0.5, 1.0]) * capacity / sum(parts)
    promises = {
        name: Promise(part * promised, chance.choice([0.0, 1.0, 5.0]), chance.choice([1.0, 3.0]))
        for name, part in zip(names, parts, strict=True)
        if chance.random() < 0.7
    }
    queue.share_out(0.0, promises)
    known = chance.random() < 0.5  # whether clients say how long their answers are
    time, tickets, withdrawn = 0.0, [], set()
    for _ in range(chance.randint(5, 40)):
        time += chance.choice([0.0, chance.expovariate(3.0), chance.expovariate(0.3)])
        model.run_to(time)
        size = chance.uniform(0.01, 1.0) * largest
        prompt = chance.choice([0.0, 0.3]) * size
        output = size - prompt
        name = chance.choice(names)
        if known:
            # Nothing is estimated, so the bound has no term for estimates.
            queue._tenant(name).output_mean = float("inf")
        later = chance.random() < 0.15
        tickets.append(model.enter(name, prompt, output, output if known else None, later))
        model.turn()
        check_conservation(queue, tickets)
        if chance.random() < 0.1:
            gone = chance.choice(tickets)
            if gone.state is not State.ENDED:
                withdrawn.add(gone)
                queue.finish(model.now, gone)
                model.turn()
    model.run_to(1e9)
    check_bound(model, [row for row in tickets if row not in withdrawn], capacity, largest)
    assert queue.free == slots and queue.waiting == 0
    assert queue.reading == pytest.approx(0.0, abs=1e-6)


def check_conservation(queue: FairQueue, tickets: list[Ticket]) -> None:
    """While something waits, every slot that may be lent is busy, or prompts are being read."""
    if any(row.state is State.DUE for row in tickets):
        assert queue.free == 0
    elif queue.waiting:
        reading = queue._reserve.guard > 0 and queue.reading >= SHARE_READING_TOKENS
        assert queue.free <= queue.kept or reading


def check_bound(model: Model, tickets: list[Ticket], capacity: float, largest: float) -> None:
    slots = model.queue.slots
    # What answers were longer than was estimated when they were due.
    excess = sum(max(0.0, sum(model.work[row]) - row.wanted) for row in tickets if row.promised)
    for ticket in tickets:
        assert ticket in model.ends, "everything is answered in the end"
        if ticket.promised:
            bound = ticket.deadline + (slots * largest + excess) / capacity
            assert model.begun[ticket] <= bound + SLACK_S


@pytest.mark.slow
@pytest.mark.parametrize("tens", range(10))
def test_no_tenant_below_its_share_waits_beyond_the_bound(tens):
    """10,000 random schedules."""
    for seed in range(1_000 * tens, 1_000 * (tens + 1)):
        random_run(seed)
