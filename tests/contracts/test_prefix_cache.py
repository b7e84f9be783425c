# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The real engine's prompt cache: warm within a tenant, cold for all others, by its own count.

The engine itself says how many tokens it found in a slot, so nothing here is timed. How long a cold
and a warm prompt take, benchmarks/prefix_cache.py measures.
"""

import asyncio
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bastide.adapters.clock.system import SystemClock
from bastide.adapters.engine import llamacpp_child
from bastide.adapters.engine.llamacpp import LlamaCpp
from bastide.adapters.engine.remote import RemoteEngine
from bastide.app.runner import Runner
from bastide.app.turns import Turns
from bastide.core.chat import GenerateRequest, Message, Sampling, Usage
from bastide.core.errors import TooLong, Unavailable
from bastide.core.share import Cost
from bastide.ports import Engine
from contracts import smollm2

PROMPT = "In the year of the flood the river took the mill, the bridge and the road. " * 6
OTHER = "Bread is made of flour, water, salt and time; of these the last costs most. " * 6
FEW = 8  # tokens that any two chats have in common: the template's own


def run(scenario: Callable[[LlamaCpp], Awaitable[Any]], slots: int = 1) -> Any:
    async def whole() -> Any:
        with tempfile.TemporaryDirectory(prefix="engine-") as folder:
            with smollm2.weights() as descriptor:
                engine = await smollm2.start(descriptor, folder, slots=slots, context_tokens=1_024)
            try:
                async with asyncio.timeout(300):
                    return await scenario(engine)
            finally:
                await engine.close()

    return asyncio.run(whole())


def asked(tenant: str, prompt: str, tokens: int = 1) -> GenerateRequest:
    sampling = Sampling(max_tokens=tokens, temperature=0)
    return GenerateRequest("id", "m", prompt=prompt, sampling=sampling, tenant=tenant)


async def ask(engine: Engine, tenant: str, prompt: str, tokens: int = 1) -> Usage:
    """What the engine counted, and the same in every delta."""
    deltas = [delta async for delta in engine.generate(asked(tenant, prompt, tokens))]
    usages = [delta.usage for delta in deltas if delta.usage is not None]
    assert len({(usage.prompt_tokens, usage.cached_tokens) for usage in usages}) == 1
    return usages[-1]


async def leave(engine: LlamaCpp, tenant: str, prompt: str, after_s: float) -> None:
    """Ask, and give up after a time."""
    task = asyncio.ensure_future(ask(engine, tenant, prompt, 64))
    await asyncio.wait((task,), timeout=after_s)
    task.cancel()
    await asyncio.wait((task,))


@pytest.mark.attacks("C91")
def test_another_tenant_finds_nothing_in_any_slot():
    """After one tenant has filled every slot with a prompt, it is new for another in each."""
    slots = 3

    async def together(engine: LlamaCpp, tenant: str) -> list[Usage]:
        return await asyncio.gather(*(ask(engine, tenant, PROMPT, 12) for _ in range(slots)))

    async def scenario(engine: LlamaCpp) -> list[list[Usage]]:
        return [await together(engine, tenant) for tenant in ("a", "a", "b", "a", "a")]

    first, again, other, back, warm = run(scenario, slots)
    size = first[0].prompt_tokens
    for usages in (first, other, back):
        assert [(usage.prompt_tokens, usage.cached_tokens) for usage in usages] == [(size, 0)] * 3
    for usages in (again, warm):
        assert [usage.cached_tokens for usage in usages] == [size - 1] * 3


def test_another_tenant_costs_the_engine_what_a_cold_prompt_costs():
    """By the tokens that the engine itself says it has read: the clock would measure the machine.

    The goal is "within 10 % of cold"; what is read decides the time to the first token, and the
    benchmark has that time (1.046, and 1.00 of the engine's CPU).
    """

    async def scenario(engine: LlamaCpp) -> dict[str, int]:
        read = {}
        for name, tenant, prompt in (
            ("cold", "a", PROMPT),
            ("another tenant", "b", PROMPT),
            ("warm", "b", PROMPT),
            ("cold again", "c", OTHER),
        ):
            usage = await ask(engine, tenant, prompt)
            read[name] = usage.prompt_tokens - usage.cached_tokens
        return read

    read = run(scenario, slots=2)
    assert read["another tenant"] == read["cold"]
    assert read["warm"] < read["cold"] / 10
    # Another text of about the same length: what "cold" means does not hang on one prompt.
    assert 0.9 < read["cold again"] / read["cold"] < 1.1


def test_a_conversation_goes_on_where_it_stood():
    """Also if others ask in between, and with a chat template: only what is new is read."""

    async def scenario(engine: LlamaCpp) -> list[Usage]:
        turns, usages = [Message("user", PROMPT)], []
        for follow in ("And then?", "And after that?"):
            eight = Sampling(max_tokens=8, temperature=0)
            request = GenerateRequest("id", "m", tuple(turns), sampling=eight, tenant="a")
            deltas = [delta async for delta in engine.generate(request)]
            said = "".join(delta.text for delta in deltas)
            usages.append(deltas[-1].usage)
            turns += [Message("assistant", said), Message("user", follow)]
            await ask(engine, "b", OTHER)
        return usages

    first, second = run(scenario, slots=2)
    assert first.cached_tokens == 0
    assert second.cached_tokens >= first.prompt_tokens - 1
    assert second.prompt_tokens > first.prompt_tokens


def test_requests_that_begin_alike_share_a_tenants_slot_and_nobody_elses():
    async def scenario(engine: LlamaCpp) -> list[Usage]:
        usages = [await ask(engine, "a", PROMPT + end) for end in ("One.", "Two.", "Three.")]
        usages.append(await ask(engine, "b", PROMPT + "Three."))
        return usages

    first, second, third, other = run(scenario, slots=2)
    assert min(second.cached_tokens, third.cached_tokens) > first.prompt_tokens - 8
    assert first.cached_tokens == other.cached_tokens == 0


def test_a_request_that_the_engine_refuses_opens_nothing():
    """llama.cpp refuses a prompt that is too long before it forgets what the slot held."""

    async def scenario(engine: LlamaCpp) -> Usage:
        await ask(engine, "a", PROMPT)
        with pytest.raises(TooLong):
            await ask(engine, "b", PROMPT * 20)
        return await ask(engine, "b", PROMPT)

    assert run(scenario).cached_tokens == 0


def test_an_answer_that_was_cut_opens_nothing():
    """Neither before the first token nor after it."""

    async def scenario(engine: LlamaCpp) -> list[Usage]:
        usages = []
        for tenant, after_s in (("b", 0.05), ("c", 0.0)):
            await ask(engine, "a", PROMPT)
            await leave(engine, tenant, OTHER, after_s)
            usages.append(await ask(engine, tenant, PROMPT))
        await ask(engine, "a", PROMPT)
        async with aclosing(engine.generate(asked("d", OTHER, 64))) as deltas:
            await anext(deltas)
        usages.append(await ask(engine, "d", PROMPT))
        return usages

    assert [usage.cached_tokens for usage in run(scenario)] == [0, 0, 0]


@pytest.mark.attacks("C91")
def test_who_left_early_does_not_come_into_a_slot_that_is_another_s_by_then():
    """A request that was given up may still be on its way when its slot goes to somebody else."""

    async def scenario(engine: LlamaCpp) -> list[tuple[Usage, Usage]]:
        found = []
        for number in range(12):
            await leave(engine, "a", PROMPT, 0.0005 * number)
            mine = await ask(engine, f"b{number}", "Salt.")
            await asyncio.sleep(0.02)  # time for what was on its way
            found.append((mine, await ask(engine, f"b{number}", PROMPT)))
        return found

    for mine, probe in run(scenario):
        assert mine.cached_tokens == 0
        assert probe.cached_tokens == 0


def test_the_engine_begins_a_request_in_its_own_slot_only():
    """On this rests that a status of 200 means: the slot was free and holds this request now."""

    async def scenario(engine: LlamaCpp) -> list[str]:
        order: list[str] = []

        async def second() -> None:
            async with aclosing(engine.generate(asked("b", OTHER))) as deltas:
                async for _ in deltas:
                    order.append("b")

        async with aclosing(engine.generate(asked("a", PROMPT, 150))) as deltas:
            await anext(deltas)
            for row in engine._slots._rows:
                row.free = not row.free  # as if we had counted wrongly
            asking = asyncio.ensure_future(second())
            async for delta in deltas:
                if delta.finish is None:
                    order.append("a")
        await asking
        return order

    order = run(scenario, slots=2)
    assert order.index("b") == order.count("a") > 100


def test_who_has_no_tenant_reuses_nothing_and_leaves_nothing():
    async def scenario(engine: LlamaCpp) -> list[int]:
        usages = [await ask(engine, tenant, PROMPT) for tenant in ("", "", "a")]
        await engine.next_tokens(PROMPT, 3)
        usages.append(await ask(engine, "a", PROMPT))
        return [usage.cached_tokens for usage in usages]

    assert run(scenario) == [0, 0, 0, 0]


def test_a_prompt_that_is_in_no_slot_is_nowhere():
    """No store of earlier prompts beside the slots, for their own tenant neither."""

    async def scenario(engine: LlamaCpp) -> Usage:
        await ask(engine, "a", PROMPT)
        await ask(engine, "a", OTHER)
        return await ask(engine, "a", PROMPT)

    assert run(scenario).cached_tokens < FEW


def test_it_is_started_with_nothing_that_slots_have_in_common():
    """Each of these would let prompts leave their slot, should a later llama.cpp use it unasked."""
    chosen = SimpleNamespace(
        model=SimpleNamespace(), cpuparams=SimpleNamespace(), cpuparams_batch=SimpleNamespace()
    )
    names = ("weights", "name", "socket", "slots", "context_tokens", "connections", "batch_tokens")
    llamacpp_child._parameters(chosen, dict.fromkeys(names, 1) | {"embeds": False, "threads": 1})
    assert not chosen.cache_prompt and not chosen.cache_idle_slots and not chosen.kv_unified
    assert chosen.cache_ram_mib == chosen.n_cache_reuse == chosen.slot_prompt_similarity == 0


def test_the_count_reaches_the_gateway_and_the_share():
    """Through the runner: what the engine found is counted, and costs a share nothing."""
    cost = Cost(prompt=0.25, output=1.0)

    async def scenario(engine: LlamaCpp) -> list[tuple[Usage, float]]:
        turns, stop, costs = Turns(1, SystemClock(), cost), asyncio.Event(), []

        async def made() -> LlamaCpp:
            return engine

        with tempfile.TemporaryDirectory(prefix="runner-") as folder:
            socket = Path(folder, "runner.sock")
            serving = asyncio.ensure_future(
                Runner(made, socket, SystemClock(), turns=turns).run(stop)
            )
            client = RemoteEngine(str(socket))
            while True:
                try:
                    await client.health()
                    break
                except Unavailable:
                    await asyncio.sleep(0.01)
            for tenant in ("a", "a", "b"):
                usage = await ask(client, tenant, PROMPT, 4)
                while turns.free == 0:  # the turn ends a moment after its last piece
                    await asyncio.sleep(0.01)
                costs.append((usage, turns.close_period()[tenant].borrowed))
            await client.close()
            stop.set()
            await serving
        return costs

    (cold, all_of_it), (warm, what_was_new), (other, all_again) = run(scenario)
    size = cold.prompt_tokens
    assert [usage.cached_tokens for usage in (cold, warm, other)] == [0, size - 1, 0]
    assert all_of_it == all_again == pytest.approx(cost.of(size, 4))
    assert what_was_new == pytest.approx(cost.of(1, 4))
