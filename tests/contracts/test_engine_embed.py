# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""`Engine.embed`: every MUST, over the fake, over frames, and over a real model in a sandbox."""

import asyncio
import math
import tempfile
from collections.abc import Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from bastide.core.chat import EmbedRequest
from bastide.core.errors import Misconfigured, Unavailable
from contracts import minilm, smollm2
from contracts.test_engine import remote_engine, start_fake

pytestmark = pytest.mark.filterwarnings("ignore:FakeEngine")

TEXTS = ("A wall around a town.", "Bread and butter.", "A wall around a town.", "字 é 😀")


@asynccontextmanager
async def opened(kind: str) -> Any:
    with tempfile.TemporaryDirectory(prefix="engine-") as folder:
        if kind == "remote":
            async with remote_engine(folder) as (engine, _):
                yield engine
            return
        if kind == "fake":
            engine: Any = start_fake()
        else:
            with minilm.weights() as descriptor:
                engine = await minilm.start(descriptor, folder)
        try:
            yield engine
        finally:
            await engine.close()


@pytest.fixture(scope="module", params=["fake", "remote", "llamacpp"])
def world(request: pytest.FixtureRequest) -> Iterator[tuple[Any, Any]]:
    """(run a coroutine on the engine's own loop, the engine)"""
    with asyncio.Runner() as loop:
        context = opened(request.param)
        engine = loop.run(context.__aenter__())
        try:
            yield lambda work: loop.run(asyncio.wait_for(work, 60)), engine
        finally:
            loop.run(context.__aexit__(None, None, None))


def test_one_vector_of_length_1_for_each_text_in_its_order(world: Any) -> None:
    run, engine = world
    made = run(engine.embed(EmbedRequest("id", "m", TEXTS)))
    assert len(made.vectors) == len(TEXTS)
    assert len({len(vector) for vector in made.vectors}) == 1
    assert all(math.hypot(*vector) == pytest.approx(1, abs=1e-3) for vector in made.vectors)
    assert made.vectors[0] == pytest.approx(made.vectors[2], abs=1e-4)
    assert made.vectors[0] != pytest.approx(made.vectors[1], abs=1e-4)
    assert made.prompt_tokens > len(TEXTS)


def test_many_requests_at_once_do_not_mix(world: Any) -> None:
    run, engine = world

    async def ask(number: int) -> Any:
        return (await engine.embed(EmbedRequest("id", "m", (f"Text {number}",)))).vectors[0]

    async def both() -> tuple[list[Any], list[Any]]:
        together = await asyncio.gather(*(ask(number) for number in range(8)))
        return together, [await ask(number) for number in range(8)]

    together, alone = run(both())
    for one, other in zip(together, alone, strict=True):
        assert one == pytest.approx(other, abs=1e-3)


def test_an_engine_that_answers_makes_no_vectors() -> None:
    async def ask() -> None:
        with tempfile.TemporaryDirectory(prefix="engine-") as folder:
            with smollm2.weights() as descriptor:
                engine = await smollm2.start(descriptor, folder, slots=1)
            try:
                with pytest.raises(Misconfigured, match="makes no embeddings"):
                    await engine.embed(EmbedRequest("id", "m", ("a",)))
            finally:
                await engine.close()
            with pytest.raises(Misconfigured):
                await engine.embed(EmbedRequest("id", "m", ("a",)))

    asyncio.run(ask())


def test_an_engine_that_is_killed_says_so() -> None:
    async def ask() -> None:
        with tempfile.TemporaryDirectory(prefix="engine-") as folder:
            with minilm.weights() as descriptor:
                engine = await minilm.start(descriptor, folder)
            texts = ("word " * 400,) * 100
            waiting = asyncio.ensure_future(engine.embed(EmbedRequest("id", "m", texts)))
            await asyncio.sleep(0.1)
            engine.kill()
            with pytest.raises(Unavailable, match="minilm"):
                await waiting
            await engine.close()

    asyncio.run(ask())
