# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""How far several workers can overspend a budget: the bound of docs/adr/0016-budgets.md."""

import random

import pytest
from msgspec.structs import replace

from bastide.adapters.clock.fixed import FixedClock
from bastide.core.budget import Budget, Per, Scope, Spent, Unit
from bastide.core.chat import EmbedRequest
from bastide.core.errors import Busy, Exhausted
from bastide.core.limits import PROMPT_BYTES_PER_TOKEN
from bastide.core.receipt import Receipt
from bastide.core.snapshot import KeyGrant, Snapshot
from bastide.gateway.spending import Reserved, Spending

GRANT = KeyGrant("k_1", "acme", ("*",), "p_1")
MOST = 50  # tokens of one call, and what is estimated of it
RECEIPT = Receipt("r_1", 0, "acme", "k_1", "m", "r", "d", "p", "n", "s", "c", "c", 0, 0, "embedded")


@pytest.mark.parametrize("workers", [1, 2, 4])
@pytest.mark.parametrize("seed", range(20))
def test_workers_overspend_by_less_than_one_call_each(seed: int, workers: int) -> None:
    """Each sees the counts of up to a second ago, and its own calls only."""
    chance, clock = random.Random(seed), FixedClock()
    budget = Budget(Scope("acme"), Unit.TOKENS, Per.DAY, 5_000, 80)
    spendings = [Spending(clock) for _ in range(workers)]
    running: list[tuple[int, Reserved, int]] = []
    counted, issued_ms, seen, refused = 0, clock.now_ms(), 0, 0
    for _ in range(3_000):
        clock.advance(chance.randrange(20))
        if clock.now_ms() - issued_ms > chance.randrange(1_000):
            issued_ms, seen = clock.now_ms(), counted
        spent = Spent(budget, seen, clock.now_ms() + 3_600_000)
        snapshot = Snapshot(1, issued_ms, "e", "p", budgets=(spent,), workers=workers)
        if chance.random() < 0.7:
            size = chance.randint(1, MOST)
            asked = EmbedRequest("x", "m", ("a" * size * PROMPT_BYTES_PER_TOKEN,))
            at = chance.randrange(workers)
            try:
                reserved = spendings[at].reserve(snapshot, GRANT, "m", asked)
            except (Busy, Exhausted):
                refused += 1
                continue
            assert reserved is not None
            running.append((at, reserved, size))
        elif running:
            at, reserved, size = running.pop(chance.randrange(len(running)))
            spendings[at].settle(reserved, replace(RECEIPT, prompt_tokens=size))
            counted += size
            spendings[at].confirm(reserved)
    counted += sum(size for _, _, size in running)
    assert refused
    assert counted < 5_000 + workers * MOST
    if workers == 1:
        assert counted >= 5_000 - MOST
