# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Several engines as one: who is down or full is passed over, but only before the first piece."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from msgspec import structs

from bastide.adapters.clock.fixed import FixedClock
from bastide.core.chat import Delta, FinishReason, GenerateRequest
from bastide.core.errors import Busy, Down, Misconfigured, NotFound, Unavailable
from bastide.core.sealed import SUITE, Sealed
from bastide.gateway.replicated import ReplicatedEngine
from paths.gateway_rig import ScriptedEngine

ASK = GenerateRequest("id", "m", prompt="a town with a wall", tenant="acme")


def world(*faults: Exception | None, after: int = 0) -> tuple[ReplicatedEngine, list]:
    engines = []
    for fault in faults:
        engine = ScriptedEngine()
        if fault is not None:
            engine.fails_after, engine.fault = after, fault
        engines.append(engine)
    return ReplicatedEngine(engines, FixedClock(), 4), engines


async def heard(deltas: AsyncIterator[Delta]) -> list[Delta]:
    try:
        return [delta async for delta in deltas]
    finally:
        await deltas.aclose()  # type: ignore[attr-defined]


def asked(engines: list) -> int:
    return sum(len(engine.requests) for engine in engines)


def home(count: int) -> int:
    """The replica that this prompt goes to first."""
    engine, engines = world(*[None] * count)
    asyncio.run(heard(engine.generate(ASK)))
    return next(at for at, one in enumerate(engines) if one.requests)


def test_a_conversation_stays_at_one_replica():
    engine, engines = world(None, None, None)
    for _ in range(5):
        asyncio.run(heard(engine.generate(ASK)))
    assert sorted(len(one.requests) for one in engines) == [0, 0, 5]
    assert engine.replicas.loads == (0, 0, 0)


@pytest.mark.parametrize("fault", [Down("gone"), Busy("full"), Unavailable("it broke")])
def test_the_next_is_asked_before_the_first_piece(fault):
    faults: list[Exception | None] = [None, None]
    faults[home(2)] = fault
    engine, engines = world(*faults)
    assert asyncio.run(heard(engine.generate(ASK)))[-1].finish is FinishReason.STOP
    assert asked(engines) == 2 and engine.replicas.loads == (0, 0)


def test_after_the_first_piece_nothing_is_asked_again():
    engine, engines = world(Unavailable("it died"), Unavailable("it died"), after=1)
    with pytest.raises(Unavailable, match="it died"):
        asyncio.run(heard(engine.generate(ASK)))
    assert asked(engines) == 1 and engine.replicas.loads == (0, 0)


def test_who_is_down_is_passed_over_however_many_they_are():
    at = home(6)
    faults: list[Exception | None] = [Down("gone")] * 6
    faults[(at + 1) % 6] = None
    engine, _ = world(*faults)
    assert asyncio.run(heard(engine.generate(ASK)))[-1].finish is FinishReason.STOP


@pytest.mark.attacks("C111")
def test_a_request_that_kills_engines_does_not_go_round():
    engine, engines = world(*[Unavailable("it died")] * 5)
    with pytest.raises(Unavailable, match="it died"):
        asyncio.run(heard(engine.generate(ASK)))
    assert asked(engines) == 2


def test_a_flood_asks_three_and_hears_the_soonest():
    engine, engines = world(*[Busy("full", retry_after_s=9.0 - at) for at in range(5)])
    with pytest.raises(Busy) as caught:
        asyncio.run(heard(engine.generate(ASK)))
    assert asked(engines) == 3 and caught.value.retry_after_s <= 7.0


def test_what_is_wrong_with_a_request_is_wrong_everywhere():
    engine, engines = world(*[Misconfigured("too long")] * 3)
    with pytest.raises(Misconfigured):
        asyncio.run(heard(engine.generate(ASK)))
    assert asked(engines) == 1 and engine.replicas.loads == (0, 0, 0)


def test_who_leaves_before_the_first_piece_frees_its_slot():
    async def scenario() -> None:
        engine, engines = world(None, None)
        for one in engines:
            one.hangs_after = 0
        deltas = engine.generate(ASK)
        waiting = asyncio.ensure_future(anext(deltas))
        await asyncio.sleep(0.01)
        assert sum(one.running for one in engines) == sum(engine.replicas.loads) == 1
        waiting.cancel()
        await asyncio.wait([waiting])
        await deltas.aclose()  # type: ignore[attr-defined]
        assert sum(one.running for one in engines) == sum(engine.replicas.loads) == 0

    asyncio.run(scenario())


SEALED = structs.replace(ASK, sealed=Sealed(SUITE, "node", 2))


@pytest.mark.parametrize("fault", [Down("gone"), Busy("full"), Unavailable("it broke")])
def test_what_is_sealed_goes_to_its_node_and_to_no_other(fault):
    """Whoever stands between cannot have it opened elsewhere, and no other is asked for it."""
    engine, engines = world(None, None, None)
    asyncio.run(heard(engine.generate(SEALED)))
    assert [len(one.requests) for one in engines] == [0, 1, 0]
    engine, engines = world(None, fault, None)
    with pytest.raises(type(fault)):
        asyncio.run(heard(engine.generate(SEALED)))
    assert [len(one.requests) for one in engines] == [0, 1, 0]
    assert engine.replicas.loads == (0, 0, 0)


@pytest.mark.parametrize("replica", [0, 4])
def test_a_replica_that_is_not_there_is_not_found(replica):
    engine, engines = world(None, None, None)
    with pytest.raises(NotFound, match="no such replica"):
        asyncio.run(
            heard(engine.generate(structs.replace(ASK, sealed=Sealed(SUITE, "node", replica))))
        )
    assert asked(engines) == 0 and engine.replicas.loads == (0, 0, 0)
