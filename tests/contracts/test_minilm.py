# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""A real embedding model, all-MiniLM-L6-v2, in llama.cpp in its sandbox."""

import asyncio
import tempfile
from collections.abc import Awaitable, Iterator
from typing import Any

import pytest

from bastide.adapters.clock.system import SystemClock
from bastide.adapters.engine.llamacpp import LlamaCpp
from bastide.core.chat import Embedded, EmbedRequest, GenerateRequest
from bastide.core.errors import Misconfigured
from bastide.core.limits import EMBED_NUMBERS_MAX
from bastide.stages import evaluate
from bastide.suites import EMBEDDING_FLOORS, SUITES
from contracts import minilm

# Computed in double precision, apart from llama.cpp, from the same file of weights (ADR 0017).
CAT = "The cat sits on the mat."
CAT_VECTOR = (0.1341771, -0.0329003, -0.0248037, 0.0414390, -0.0363477, 0.0418142, 0.0312167)


@pytest.fixture(scope="module")
def world() -> Iterator[tuple[Any, LlamaCpp]]:
    """(run a coroutine on the engine's own loop, the engine)"""
    with asyncio.Runner() as loop, tempfile.TemporaryDirectory(prefix="engine-") as folder:
        with minilm.weights() as descriptor:
            engine = loop.run(minilm.start(descriptor, folder))

        def run(coroutine: Awaitable[Any]) -> Any:
            return loop.run(asyncio.wait_for(coroutine, 60))

        try:
            yield run, engine
        finally:
            loop.run(engine.close())


def asked(*texts: str, dimensions: int | None = None) -> EmbedRequest:
    return EmbedRequest("id", "m", texts, dimensions)


def near(made: Embedded, one: int, other: int) -> float:
    return sum(a * b for a, b in zip(made.vectors[one], made.vectors[other], strict=True))


def test_texts_that_mean_the_same_are_nearer_than_others(world: Any) -> None:
    run, engine = world
    made = run(
        engine.embed(
            asked(
                CAT,
                "A kitten rests on a rug.",
                "Interest rates rose in March.",
                "The central bank made borrowing more expensive.",
            )
        )
    )
    alike = (near(made, 0, 1), near(made, 2, 3))
    others = [near(made, one, other) for one in (0, 1) for other in (2, 3)]
    assert min(alike) > 0.35 > 0.2 > max(others)


def test_the_numbers_are_those_of_the_published_model(world: Any) -> None:
    run, engine = world
    made = run(engine.embed(asked(CAT)))
    assert len(made.vectors[0]) == 384
    assert made.vectors[0][: len(CAT_VECTOR)] == pytest.approx(CAT_VECTOR, abs=2e-3)


def test_every_text_has_its_own_vector_in_its_place_whatever_stands_beside_it(world: Any) -> None:
    run, engine = world
    # The first ones take longest, so they are ready after others.
    texts = [f"Sentence number {n} of many." + " word" * (12 - n) * 20 for n in range(12)]
    together = run(engine.embed(asked(*texts)))
    assert together.prompt_tokens == sum(
        run(engine.embed(asked(text))).prompt_tokens for text in texts
    )
    for place in (0, 5, 11):
        alone = run(engine.embed(asked(texts[place])))
        assert alone.vectors[0] == pytest.approx(together.vectors[place], abs=1e-3)


def test_a_text_that_is_too_long_is_named_and_never_cut(world: Any) -> None:
    run, engine = world
    fits, too_long = "word " * 510, "word " * 511
    assert len(run(engine.embed(asked(fits))).vectors) == 1
    with pytest.raises(Misconfigured, match=r"index 2 has 513 tokens.*at most 512"):
        run(engine.embed(asked("a", "b", too_long)))
    with pytest.raises(Misconfigured, match="index 0 has at least"):
        run(engine.embed(asked("a " * 200_000)))
    assert len(run(engine.embed(asked("still", "alive"))).vectors) == 2


def test_what_the_model_cannot_do_is_refused(world: Any) -> None:
    run, engine = world
    with pytest.raises(Misconfigured, match="vectors of 384 numbers") as caught:
        run(engine.embed(asked("a", dimensions=256)))
    assert caught.value.place == "dimensions"
    assert len(run(engine.embed(asked("a", dimensions=384))).vectors[0]) == 384
    many = asked(*["a"] * (EMBED_NUMBERS_MAX // 384 + 1))
    with pytest.raises(Misconfigured, match="too many at once"):
        run(engine.embed(many))

    async def answer() -> None:
        async for _ in engine.generate(GenerateRequest("id", "m", prompt="Hello")):
            pass

    with pytest.raises(Misconfigured, match="makes embeddings, no answers"):
        run(answer())
    with pytest.raises(Misconfigured, match="makes embeddings, no answers"):
        run(engine.next_tokens("Hello", 1))


def test_who_gives_up_frees_the_engine(world: Any) -> None:
    run, engine = world

    async def leave() -> None:
        texts = ("word " * 500,) * 200
        waiting = asyncio.ensure_future(engine.embed(asked(*texts)))
        await asyncio.sleep(0.05)
        waiting.cancel()
        await asyncio.wait((waiting,))
        assert waiting.cancelled()
        async with asyncio.timeout(30):
            await engine.embed(asked("after"))

    run(leave())


def test_the_suite_is_passed_above_the_floors_of_the_demo(world: Any) -> None:
    run, engine = world
    suite = SUITES["similarity"]
    results = run(evaluate.run_suite(engine, suite, "m", 2, lambda *_: None, clock=SystemClock()))
    scores = results.scores()
    assert set(scores) == set(EMBEDDING_FLOORS)
    assert all(scores[name] > floor for name, floor in EMBEDDING_FLOORS.items()), scores
