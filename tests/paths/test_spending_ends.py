# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What a call has reserved of a budget is given back however it ends, and costs little to know."""

import json
import random
from collections.abc import Iterator

import pytest
from msgspec.structs import replace

from bastide.adapters.clock.fixed import FixedClock
from bastide.core.budget import Budget, Per, Scope, Spent, Unit
from bastide.core.chat import EmbedRequest
from bastide.core.errors import Busy, Exhausted
from bastide.core.limits import BUDGET_SETTLE_MS
from bastide.core.receipt import Receipt
from bastide.core.snapshot import KeyGrant, Snapshot
from bastide.gateway.spending import Reserved, Spending
from paths.gateway_rig import MODEL, Rig, bugs, gateway
from paths.h2_client import Client
from paths.h2_client import asking as fields
from paths.test_key_terms import budget, client

ASK = {"model": MODEL, "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 4}


@pytest.fixture
def rig() -> Iterator[Rig]:
    with gateway() as made:
        yield made
        assert bugs(made) == []


def test_a_call_that_is_cancelled_as_it_comes_leaves_nothing_reserved(rig: Rig) -> None:
    """HEADERS, DATA and RST_STREAM in one packet: the job is cancelled before it begins."""
    budget(rig, 100)
    asking = Client(rig.connect())
    body = json.dumps(ASK | {"max_tokens": 1_000}).encode()
    for _ in range(3):
        stream = asking.frames.get_next_available_stream_id()
        asking.frames.send_headers(stream, fields(body))
        asking.frames.send_data(stream, body, end_stream=True)
        asking.frames.reset_stream(stream, 8)
        asking.send()
    rig.until(lambda: rig.engine.running == 0)
    assert client(rig).chat.completions.create(**ASK).choices


GRANT = KeyGrant("k_1", "acme", ("*",), "p_1")
RECEIPT = Receipt(
    "r_1", 0, "acme", "k_1", "m", "r", "d", "p", "n", "s", "c", "c", 3, 2, "stop", cost_picoeur=9
)


def with_budget(clock: FixedClock, limit: int, workers: int = 1) -> Snapshot:
    row = Budget(Scope("acme"), Unit.TOKENS, Per.DAY, limit, 80)
    spent = (Spent(row, 0, clock.now_ms() + 3_600_000),)
    return Snapshot(1, clock.now_ms(), "e", "p", budgets=spent, workers=workers)


@pytest.mark.parametrize("seed", range(50))
def test_the_sums_are_those_of_the_calls_that_are_not_counted_yet(seed: int) -> None:
    """Against a plain list of calls: running ones, ended ones, and when each is forgotten."""
    chance, clock = random.Random(seed), FixedClock()
    spending = Spending(clock)
    running: list[Reserved] = []
    counts: list[tuple[int, int]] = []  # when confirmed, tokens
    for _ in range(200):
        clock.advance(chance.randrange(500))
        match chance.randrange(3):
            case 0:
                asked = EmbedRequest("x", "m", ("a" * chance.randrange(400),))
                reserved = spending.reserve(with_budget(clock, 10**9), GRANT, "m", asked)
                assert reserved is not None
                running.append(reserved)
            case 1 if running:
                spending.release(running.pop(chance.randrange(len(running))))
            case 2 if running:
                reserved = running.pop(chance.randrange(len(running)))
                tokens = chance.randrange(100)
                spending.settle(reserved, replace(RECEIPT, prompt_tokens=tokens))
                spending.confirm(reserved)
                spending.release(reserved)  # the job's end, which changes nothing now
                counts.append((clock.now_ms(), tokens + RECEIPT.completion_tokens))
        old_ms = clock.now_ms() - BUDGET_SETTLE_MS
        pending = sum(one.tokens for one in running)
        pending += sum(tokens for time_ms, tokens in counts if time_ms >= old_ms)
        free = EmbedRequest("x", "m", ("",))
        left = spending.reserve(with_budget(clock, pending + 1), GRANT, "m", free)
        assert left is not None
        spending.release(left)
        with pytest.raises((Busy, Exhausted)):
            spending.reserve(with_budget(clock, pending), GRANT, "m", free)


def test_what_is_remembered_does_not_grow_with_the_calls() -> None:
    clock = FixedClock()
    spending = Spending(clock)
    asked = EmbedRequest("x", "m", ("abcd",))
    for _ in range(5_000):
        reserved = spending.reserve(with_budget(clock, 10**9), GRANT, "m", asked)
        assert reserved is not None
        spending.settle(reserved, RECEIPT)
        spending.confirm(reserved)
    assert len(spending._sums) == 4  # one for each scope that a budget of this key could have
    clock.advance(BUDGET_SETTLE_MS + 1)
    reserved = spending.reserve(with_budget(clock, 10**9), GRANT, "m", asked)
    assert reserved is not None
    spending.release(reserved)
    assert not any(one.tokens or one.running_tokens for one in spending._sums.values())
    assert not spending._confirmed
