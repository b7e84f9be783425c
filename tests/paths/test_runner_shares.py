# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The queue in the runner: order, refusal, accounting, and slots that are free at once."""

import asyncio
from contextlib import aclosing, asynccontextmanager

import pytest
from msgspec import structs

from bastide.adapters.clock.system import SystemClock
from bastide.adapters.engine.remote import RemoteEngine
from bastide.app.turns import Turns, prompt_tokens
from bastide.core.chat import (
    Delta,
    EmbedRequest,
    GenerateRequest,
    Message,
    Sampling,
    Tool,
)
from bastide.core.errors import Busy, Unavailable
from bastide.core.limits import SHARE_WAITING_MAX
from bastide.core.share import Promise, Tally
from paths.test_runner import PATIENCE_S, fakes, go, running, until, until_healthy

pytestmark = pytest.mark.filterwarnings("ignore:FakeEngine")


def ask(tenant: str, tokens: int = 4) -> GenerateRequest:
    return GenerateRequest(
        "id", "m", prompt="a b c d", sampling=Sampling(max_tokens=tokens), tenant=tenant
    )


@asynccontextmanager
async def sharing(slots: int, promises: dict[str, Promise], **engine):
    turns = Turns(slots, SystemClock())
    engine = {"slots": 1_000, "context_tokens": 10**6} | engine
    async with running(fakes(**engine), turns=turns) as world:
        await until_healthy(world.client)
        turns.share_out(promises)
        yield world, turns


async def answer(client: RemoteEngine, request: GenerateRequest) -> list[Delta]:
    async with asyncio.timeout(PATIENCE_S):
        return [delta async for delta in client.generate(request)]


def test_a_promise_is_kept_before_a_queue_that_came_first():
    async def scenario():
        async with sharing(2, {"a": Promise(1_000.0)}, pace_s=0.002) as (world, turns):
            order: list[str] = []

            async def one(tenant: str, number: int) -> None:
                await answer(world.client, ask(tenant, 20))
                order.append(f"{tenant}{number}")

            # Through two connections: whichever gateway asks, there is one queue.
            flood = [asyncio.ensure_future(one("b", number)) for number in range(12)]
            await until(lambda: turns.free == 0)
            other = RemoteEngine(str(world.socket))
            await answer(other, ask("a", 20))
            order.append("a")
            await other.close()
            await asyncio.gather(*flood)
            assert order.index("a") <= 4, "two ran already, and two may end in the same moment"
            assert world.made[0].busy == 0 and turns.free == 2

    go(scenario)


@pytest.mark.attacks("C56")
def test_not_more_run_than_there_are_slots():
    async def scenario():
        async with sharing(3, {}, pace_s=0.001) as (world, _):
            busiest = 0

            async def watch() -> None:
                nonlocal busiest
                while True:
                    busiest = max(busiest, world.made[0].busy)
                    await asyncio.sleep(0)

            watching = asyncio.ensure_future(watch())
            await asyncio.gather(*(answer(world.client, ask(f"t{n}", 8)) for n in range(20)))
            watching.cancel()
            assert busiest == 3

    go(scenario)


@pytest.mark.attacks("C56")
def test_a_client_that_leaves_frees_its_slot_or_its_place():
    async def scenario():
        async with sharing(1, {}, pace_s=0.01) as (world, turns):
            running_one = world.client.generate(ask("a", 10_000))
            await anext(running_one)
            waiting = asyncio.ensure_future(answer(world.client, ask("b")))
            await asyncio.sleep(0.05)
            third = asyncio.ensure_future(answer(world.client, ask("c")))
            waiting.cancel()
            async with asyncio.timeout(0.5):
                await running_one.aclose()
                await third
            await until(lambda: turns.free == 1)
            cut = turns.close_period()["a"]
            assert 0 < cut.borrowed < 100, "what was streamed is charged, and not the rest"

    go(scenario)


def test_a_full_queue_is_a_busy_with_a_time():
    async def scenario():
        async with sharing(1, {}, pace_s=0.05) as (world, turns):
            held = world.client.generate(ask("a", 10_000))
            await anext(held)
            queue = [
                asyncio.ensure_future(answer(world.client, ask("a")))
                for _ in range(SHARE_WAITING_MAX + 1)
            ]
            done, _ = await asyncio.wait(queue, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                with pytest.raises(Busy) as refused:
                    await task
                assert refused.value.retry_after_s >= 1.0
            # Another tenant waits; it is not refused for the first one's sake.
            other = asyncio.ensure_future(answer(world.client, ask("b")))
            await asyncio.sleep(0)
            for task in queue:
                task.cancel()
            await held.aclose()
            await other
            assert turns.close_period()["a"].refused >= len(done)

    go(scenario)


def test_who_waits_for_a_dead_engine_is_told_so():
    async def scenario():
        async with sharing(1, {}, pace_s=0.01) as (world, turns):
            held = world.client.generate(ask("a", 10_000))
            await anext(held)
            waiting = asyncio.ensure_future(answer(world.client, ask("b", 10_000)))
            await asyncio.sleep(0.05)
            world.made[0].kill()
            with pytest.raises(Unavailable):
                async for _ in held:
                    pass
            with pytest.raises(Unavailable):
                await waiting
            await until_healthy(world.client)
            assert turns.free == 1
            assert len(await answer(world.client, ask("b", 4))) >= 2

    go(scenario)


def test_usage_of_the_engine_is_what_is_stated():
    async def scenario():
        async with sharing(2, {"a": Promise(1_000.0)}) as (world, turns):
            last = (await answer(world.client, ask("a", 10)))[-1]
            embedded = await world.client.embed(EmbedRequest("id", "m", ("x y z",), tenant="b"))
            await until(lambda: turns.free == 2)
            usage = last.usage
            assert usage is not None and usage.completion_tokens == 10
            assert turns.close_period() == {
                "a": Tally(delivered=0.25 * usage.prompt_tokens + 10),
                "b": Tally(borrowed=0.25 * embedded.prompt_tokens),
            }

    go(scenario)


def test_a_promise_that_became_due_wakes_the_queue_by_itself():
    """Only the guard is free, and nothing else happens: a timer lets the due request begin."""

    async def scenario():
        promise = Promise(100.0, burst_s=0.0)
        async with sharing(3, {"a": promise}, pace_s=0.001) as (world, turns):
            held = [world.client.generate(ask("b", 100_000)) for _ in range(2)]
            for stream in held:
                await anext(stream)
            await answer(world.client, ask("a", 20))  # 21 units: due again in 0.21 s
            await answer(world.client, ask("a", 20))
            assert turns.close_period()["a"].borrowed == 0.0
            for stream in held:
                async with aclosing(stream):
                    pass

    go(scenario)


def test_a_prompt_is_estimated_by_all_of_its_bytes():
    tool = Tool("f", "what", '{"type":"object"}')
    request = GenerateRequest("id", "m", (Message("user", "é" * 8),), tools=(tool,))
    assert prompt_tokens(request) == (16 + 4 + 17) / 4
    assert prompt_tokens(EmbedRequest("id", "m", ("ab", "cd"))) == 1.0


def test_lines_of_a_batch_wait_for_their_own_tenants_requests():
    """They are borrowed, however much is promised, and nothing that came first of them is ahead."""

    async def scenario():
        async with sharing(1, {"a": Promise(1_000.0)}, pace_s=0.002) as (world, turns):
            order: list[str] = []

            async def one(name: str, background: bool) -> None:
                await answer(world.client, structs.replace(ask("a", 10), background=background))
                order.append(name)

            held = world.client.generate(ask("b", 10_000))
            await anext(held)
            batch = [asyncio.ensure_future(one("line", True)) for _ in range(4)]
            await until(lambda: turns.waiting == 4)
            mine = [asyncio.ensure_future(one("mine", False)) for _ in range(2)]
            await until(lambda: turns.waiting == 6)
            await held.aclose()
            await asyncio.gather(*batch, *mine)
            assert order == ["mine"] * 2 + ["line"] * 4
            tally = turns.close_period()["a"]
            assert tally.delivered == pytest.approx(2 * 11, abs=1)
            assert tally.borrowed == pytest.approx(4 * 11, abs=2)

    go(scenario)
