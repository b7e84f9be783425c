# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The Engine port: every MUST, over the fake, over SmolLM2 in a real sandbox, and over frames."""

import asyncio
import tempfile
from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from bastide.adapters.clock.fixed import FixedClock
from bastide.adapters.engine.fake import FakeEngine
from bastide.adapters.engine.remote import RemoteEngine
from bastide.app.runner import Runner
from bastide.core.chat import (
    Delta,
    FinishReason,
    GenerateRequest,
    Message,
    Sampling,
)
from bastide.core.errors import Misconfigured, Unavailable
from contracts import smollm2

pytestmark = pytest.mark.filterwarnings("ignore:FakeEngine")

CONTEXT = 2_048
SLOTS = 2
PATIENCE_S = 60.0
COUNTING = "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13,"


def start_fake() -> FakeEngine:
    return FakeEngine(slots=SLOTS, context_tokens=CONTEXT, pace_s=0.002)


@asynccontextmanager
async def remote_engine(folder: str) -> AsyncGenerator[tuple[Any, Any]]:
    """A RemoteEngine, and the fake behind its runner."""
    inner = start_fake()

    async def make() -> FakeEngine:
        if inner._status is not None:
            raise Unavailable("the test's engine does not come back")
        return inner

    stop = asyncio.Event()
    path = Path(folder) / "runner.sock"
    running = asyncio.ensure_future(Runner(make, path, FixedClock()).run(stop))
    try:
        await until(path.exists)
        engine = RemoteEngine(str(path))
        await until_healthy(engine)
        yield engine, inner
        await engine.close()
    finally:
        stop.set()
        await running


@asynccontextmanager
async def open_engine(kind: str) -> AsyncGenerator[tuple[Any, Any]]:
    """(the engine, what can be killed behind it)"""
    with tempfile.TemporaryDirectory(prefix="engine-") as folder:
        if kind == "remote":
            async with remote_engine(folder) as pair:
                yield pair
            return
        if kind == "fake":
            engine: Any = start_fake()
        else:
            with smollm2.weights() as descriptor:
                engine = await smollm2.start(
                    descriptor, folder, slots=SLOTS, context_tokens=CONTEXT, engine=kind
                )
        try:
            yield engine, engine
        finally:
            await engine.close()


async def until(condition) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await asyncio.sleep(0.01)


async def until_healthy(engine) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                return await engine.health()
            except Unavailable:
                await asyncio.sleep(0.01)


KINDS = ("fake", "llamacpp", "openvino", "remote")


@pytest.fixture(scope="module", params=KINDS)
def world(request):
    """(run a coroutine on the engine's own loop, the engine)"""
    with asyncio.Runner() as loop:
        context = open_engine(request.param)
        engine, _ = loop.run(context.__aenter__())

        def run(coroutine):
            return loop.run(asyncio.wait_for(coroutine, PATIENCE_S))

        try:
            yield run, engine
        finally:
            loop.run(context.__aexit__(None, None, None))


def chat(text: str, **sampling) -> GenerateRequest:
    return GenerateRequest(
        "id", "model", messages=(Message("user", text),), sampling=Sampling(**sampling)
    )


def plain(text: str, **sampling) -> GenerateRequest:
    return GenerateRequest("id", "model", prompt=text, sampling=Sampling(**sampling))


async def answer(engine, request: GenerateRequest) -> list[Delta]:
    async with aclosing(engine.generate(request)) as deltas:
        return [delta async for delta in deltas]


async def say(engine, request: GenerateRequest) -> str:
    return "".join(delta.text for delta in await answer(engine, request))


def test_only_the_last_delta_has_a_finish_and_all_have_the_usage_so_far(world):
    run, engine = world
    deltas = run(answer(engine, chat("Tell me about walls.", max_tokens=12, temperature=0)))
    assert len(deltas) > 1
    assert all(delta.finish is None for delta in deltas[:-1])
    counts = [delta.usage.completion_tokens for delta in deltas]
    assert counts == sorted(counts) and 0 < counts[0] < counts[-1]
    assert len({delta.usage.prompt_tokens for delta in deltas}) == 1
    assert all(delta.text for delta in deltas[:-1])
    assert deltas[-1].finish is FinishReason.LENGTH
    assert deltas[-1].usage.completion_tokens == 12
    assert deltas[-1].usage.prompt_tokens > 0
    assert deltas[-1].usage.cached_tokens == 0


def test_an_answer_that_ends_by_itself_says_stop(world):
    run, engine = world
    deltas = run(answer(engine, chat("What is 2+2? Say only the number.", temperature=0)))
    assert deltas[-1].finish is FinishReason.STOP


def test_greedy_answers_are_the_same_each_time(world):
    run, engine = world
    for make in (chat, plain):
        request = make("The capital of France is", max_tokens=10, temperature=0)
        first = run(say(engine, request))
        assert first
        assert run(say(engine, request)) == first


def test_temperature_zero_does_not_depend_on_the_seed(world):
    run, engine = world
    texts = {
        run(say(engine, chat("Name a colour.", max_tokens=8, temperature=0, seed=seed)))
        for seed in (1, 2, 2**63 - 1)
    }
    assert len(texts) == 1


def test_a_seed_repeats_and_another_does_not(world):
    run, engine = world

    def told(seed):
        request = plain("Once upon a time", max_tokens=16, temperature=1.0, top_p=0.95, seed=seed)
        return run(say(engine, request))

    assert told(7) == told(7)
    assert told(-7) == told(-7)
    assert len({told(seed) for seed in range(5)}) > 1


def test_a_stop_sequence_ends_the_answer_and_is_left_out(world):
    run, engine = world
    for make in (plain, chat):
        whole = run(say(engine, make(COUNTING, max_tokens=24, temperature=0)))
        stop = whole[len(whole) // 2 :][:3]
        stops = ("never said", stop)
        deltas = run(answer(engine, make(COUNTING, max_tokens=24, temperature=0, stop=stops)))
        text = "".join(delta.text for delta in deltas)
        assert text == whole[: whole.index(stop)]
        assert (deltas[-1].finish, deltas[-1].met) == (FinishReason.STOP, stop)
        assert not any(delta.met for delta in deltas[:-1])
    # One that is not met is not named, however the answer ends.
    for tokens in (4, None):
        request = chat("What is 2+2? Say only the number.", max_tokens=tokens, temperature=0)
        unmet = structs.replace(request.sampling, stop=("never said",))
        assert run(answer(engine, structs.replace(request, sampling=unmet)))[-1].met == ""


def test_of_one_likeliest_token_the_answer_is_the_greedy_one(world):
    run, engine = world
    for make in (plain, chat):
        greedy = run(say(engine, make(COUNTING, max_tokens=16, temperature=0)))
        drawn = make(COUNTING, max_tokens=16, temperature=1.8, top_k=1, seed=5)
        assert run(say(engine, drawn)) == greedy
    # All of them: it is taken, and what comes is an answer.
    assert run(say(engine, plain(COUNTING, max_tokens=4, temperature=0.5, top_k=0)))


def test_penalties_are_accepted(world):
    run, engine = world
    request = plain(
        COUNTING, max_tokens=8, temperature=0, frequency_penalty=0.5, presence_penalty=0.5
    )
    assert run(say(engine, request)) == run(say(engine, request))


def test_more_requests_than_slots_are_all_answered(world):
    run, engine = world

    async def scenario():
        requests = [plain(f"{COUNTING} {i}", max_tokens=6, temperature=0) for i in range(4 * SLOTS)]
        return await asyncio.gather(*(answer(engine, request) for request in requests))

    answers = run(scenario())
    assert len(answers) == 4 * SLOTS
    assert all(deltas[-1].usage.completion_tokens == 6 for deltas in answers)


def test_closing_early_frees_the_slot(world):
    run, engine = world

    async def scenario():
        long = [
            engine.generate(plain(COUNTING, max_tokens=1_900, temperature=0)) for _ in range(SLOTS)
        ]
        for deltas in long:
            await anext(deltas)
        for deltas in long:
            await deltas.aclose()
        # These answers would have taken many times longer than is waited for here.
        async with asyncio.timeout(10):
            texts = [say(engine, plain("Hello", max_tokens=1)) for _ in range(SLOTS)]
            return await asyncio.gather(*texts)

    assert len(run(scenario())) == SLOTS


def test_a_task_that_is_cancelled_frees_its_slot(world):
    run, engine = world

    async def scenario():
        tasks = [
            asyncio.ensure_future(answer(engine, plain(COUNTING, max_tokens=1_900, temperature=0)))
            for _ in range(3 * SLOTS)
        ]
        await asyncio.sleep(0.2)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        async with asyncio.timeout(10):
            return await say(engine, plain("Hello", max_tokens=1))

    assert run(scenario())


def test_next_tokens_are_sorted(world):
    run, engine = world
    choices = run(engine.next_tokens("The capital of France is", 5))
    assert len(choices) == 5
    logprobs = [choice.logprob for choice in choices]
    assert logprobs == sorted(logprobs, reverse=True)
    assert all(logprob <= 0 for logprob in logprobs)
    assert len({choice.text for choice in choices}) == 5
    assert run(engine.next_tokens("The capital of France is", 1)) == choices[:1]


def test_a_prompt_beyond_the_context_is_the_callers_fault(world):
    run, engine = world
    with pytest.raises(Misconfigured, match="context"):
        run(answer(engine, chat("word " * (CONTEXT + 100))))


def test_an_empty_request_is_the_callers_fault(world):
    run, engine = world
    with pytest.raises(Misconfigured):
        run(answer(engine, GenerateRequest("id", "model")))
    with pytest.raises(Misconfigured):
        run(engine.next_tokens("", 3))


def test_a_failed_request_leaves_the_engine_well(world):
    run, engine = world
    for _ in range(2 * SLOTS):
        with pytest.raises(Misconfigured):
            run(answer(engine, chat("word " * (CONTEXT + 100))))
    run(engine.health())
    assert run(say(engine, plain("Hello", max_tokens=1)))


@pytest.mark.parametrize("kind", KINDS)
def test_after_its_death_everything_is_unavailable(kind):
    async def scenario():
        async with asyncio.timeout(PATIENCE_S), open_engine(kind) as (engine, killable):
            deltas = engine.generate(plain(COUNTING, max_tokens=1_900, temperature=0))
            await anext(deltas)
            killable.kill()
            with pytest.raises(Unavailable):
                async for _ in deltas:
                    pass
            with pytest.raises(Unavailable):
                await engine.health()
            with pytest.raises(Unavailable):
                await engine.next_tokens("Hello", 1)
            with pytest.raises(Unavailable):
                await answer(engine, plain("Hello", max_tokens=1))
            await engine.close()
            await engine.close()
            with pytest.raises(Unavailable):
                await engine.health()

    asyncio.run(scenario())


def test_the_fake_warns_that_it_is_a_fake():
    with pytest.warns(UserWarning, match="development"):
        FakeEngine()


def test_nobody_at_the_socket_is_unavailable(tmp_path):
    async def scenario():
        await RemoteEngine(str(tmp_path / "none.sock")).health()

    with pytest.raises(Unavailable, match="runner is down"):
        asyncio.run(scenario())
