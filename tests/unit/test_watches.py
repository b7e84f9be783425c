# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What a runner and control count: first tokens, shares, receipts, budgets near their end."""

import asyncio

import pytest

from bastide.adapters.clock.fixed import FixedClock
from bastide.app.control_watch import ControlWatch, near_limits
from bastide.app.runner_watch import RunnerWatch
from bastide.app.turns import Turns
from bastide.core.budget import Budget, Per, Scope, Spent, Unit
from bastide.core.chat import Delta, FinishReason, GenerateRequest, Message, Usage
from bastide.core.errors import Busy
from bastide.core.metrics import METRICS, Sample
from bastide.core.share import Promise, Tally

NAMES = {row.name for row in METRICS}
REQUEST = GenerateRequest("ID", "m", (Message("user", "Hi"),), tenant="acme")


class Alive:
    up = True


def by_name(samples: list[Sample], name: str) -> dict[tuple[str, ...], object]:
    assert {row[0] for row in samples} <= NAMES
    return {labels: value for what, labels, value in samples if what == name}


def runner_samples(watch: RunnerWatch, turns: Turns, **promises: Promise) -> list[Sample]:
    return list(watch.samples("m", turns, Alive(), promises))


def test_the_first_token_counts_the_waiting_and_the_others_do_not() -> None:
    clock, watch = FixedClock(), RunnerWatch()
    turns = Turns(1, clock, answered=watch.answered)

    async def answer(tokens: int) -> None:
        async with turns.turn(REQUEST) as turn:
            await asyncio.sleep(0)  # the other comes, and waits
            clock.advance(200)
            for number in range(tokens):
                turn.streamed(Delta("x", usage=Usage(3, number + 1)))
                clock.advance(50)
            turn.streamed(Delta("", FinishReason.STOP, Usage(3, tokens)))

    async def cut_off() -> None:
        async with turns.turn(REQUEST) as turn:
            turn.streamed(Delta("x", usage=Usage(3, 1)))
            raise Busy("gone")

    async def run() -> None:
        await asyncio.gather(answer(3), answer(3))
        with pytest.raises(Busy):
            await cut_off()

    asyncio.run(run())
    samples = runner_samples(watch, turns)
    call = ("chat", "bastide", "m")
    first = by_name(samples, "gen_ai.server.time_to_first_token")[call]
    # The second waited 350 ms for the first's slot. What was cut off is no successful answer.
    assert isinstance(first, tuple)
    assert (sum(first[0]), first[1]) == (2, pytest.approx(0.2 + 0.55, abs=1e-4))
    each = by_name(samples, "gen_ai.server.time_per_output_token")[call]
    assert isinstance(each, tuple)
    assert (sum(each[0]), each[1]) == (2, pytest.approx(2 * 0.15 / 2, abs=1e-4))
    assert by_name(samples, "bastide_slots_free") == {("m",): 1}
    assert by_name(samples, "bastide_queue_waiting") == {("m",): 0}


def test_shares_are_those_of_the_last_minute_and_what_starved_adds_up() -> None:
    watch, turns = RunnerWatch(), Turns(4, FixedClock())
    watch.loaded()
    watch.share_minute({"acme": Tally(120.0, 60.0, 0.0, 1.5, 2), "rival": Tally(-1.0)}, 60.0)
    watch.share_minute({"acme": Tally(60.0, 0.0, 0.0, 0.5, 1)}, 60.0)
    samples = runner_samples(watch, turns, acme=Promise(5.0), idle=Promise(2.0))
    assert by_name(samples, "bastide_share_guaranteed_units_per_second") == {
        ("acme", "m"): 5.0, ("idle", "m"): 2.0,
    }  # fmt: skip
    assert by_name(samples, "bastide_share_used_units_per_second") == {
        ("acme", "m"): 1.0, ("idle", "m"): 0.0,
    }  # fmt: skip
    assert by_name(samples, "bastide_share_starved_seconds_total")["acme", "m"] == 2.0
    assert by_name(samples, "bastide_share_refused_total")["acme", "m"] == 3
    assert by_name(samples, "bastide_engine_loads_total") == {("m",): 1}


def spent(used: int, tenant: str = "acme", key: str = "") -> Spent:
    return Spent(Budget(Scope(tenant, key=key), Unit.TOKENS, Per.DAY, 1_000, 80), used, 10**13)


def test_a_budget_is_told_at_its_soft_limit_and_again_at_its_hard_one() -> None:
    watch = ControlWatch()
    states = []
    for used in (700, 800, 900, 1_000, 1_100, 0, 850):
        states.append([row["state"] for row in watch.newly_near([spent(used)])])
    assert states == [[], ["soft"], [], ["hard"], [], [], ["soft"]]
    (row,) = near_limits([spent(799), spent(850, "rival")])
    assert (row["tenant"], row["percent"], row["state"]) == ("rival", 85, "soft")


def test_budgets_of_keys_are_told_together_and_never_by_their_ids() -> None:
    watch = ControlWatch()
    watch.stored(3, 0.002)
    watch.refused(1)
    budgets = [spent(100), spent(400, key="k_one"), spent(900, key="k_two")]
    samples = list(watch.samples(7, 1.5, 2, 1, None, budgets))
    whose = ("acme", "key", "tokens", "day")
    assert by_name(samples, "bastide_budget_used_ratio") == {
        ("acme", "tenant", "tokens", "day"): 0.1, whose: 0.9,
    }  # fmt: skip
    assert by_name(samples, "bastide_budget_soft_exceeded")[whose] == 1
    assert by_name(samples, "bastide_budget_hard_exceeded")[whose] == 0
    assert "k_one" not in repr(samples)
    assert by_name(samples, "bastide_receipts_total") == {(): 3}
    assert by_name(samples, "bastide_receipts_refused_total") == {(): 1}
    assert by_name(samples, "bastide_gate_denials_total") == {(): 1}
