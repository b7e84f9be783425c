# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The stage's answer: what is handed on, what the receipt states, and what waits for whom."""

import asyncio
import dataclasses
from collections.abc import Awaitable

import pytest
from msgspec import structs

from bastide.adapters.clock.fixed import FixedClock
from bastide.core.chat import Delta, FinishReason, GenerateRequest, Said, Usage
from bastide.core.errors import Unavailable
from bastide.core.money import Price
from bastide.core.receipt import Receipt, commit, standing_of
from bastide.core.snapshot import KeyGrant, Served, Snapshot
from bastide.stages.serve import Call, answer
from paths.gateway_rig import ScriptedEngine

BODY = b'{"model":"alias"}'
GRANT = KeyGrant("k_1", "acme", ("*",), "project_1")
SERVED = Served("m", "release_1", "deployment_1", "s", "node_1", "sandbox_1", 2, 9, 1)
SNAPSHOT = Snapshot(7, 1, "env", "policy_1", {"mac": GRANT}, {"m": SERVED})
PRICE = Price(3, 5, 2)


class Sink:
    """Keeps what is put; confirms it when `open` is set."""

    def __init__(self) -> None:
        self.rows: list[Receipt] = []
        self.open = asyncio.Event()

    async def put(self, receipt: Receipt) -> None:
        self.rows.append(receipt)
        await self.open.wait()


def call_of(served: Served = SERVED, whole: bool = False) -> Call:
    standing = standing_of("r_ID", "k_1", "the key", BODY, (), "again", True)
    request = GenerateRequest("ID", "alias", whole=whole, standing=standing)
    return Call("ID", request, GRANT, served, SNAPSHOT, "the key", BODY, None, PRICE, "again", True)


def test_a_receipt_states_each_thing_in_its_own_field() -> None:
    async def run(served: Served) -> Receipt:
        sink = Sink()
        sink.open.set()
        await answer(call_of(served), ScriptedEngine(), sink, FixedClock())
        (row,) = sink.rows
        return row

    receipt, call = asyncio.run(run(SERVED)), call_of()
    standing = call.request.standing
    assert standing is not None
    assert receipt == Receipt(
        ident="r_ID",
        time_ms=FixedClock().now_ms(),
        tenant="acme",
        key="k_1",
        requested_model="alias",
        release="release_1",
        deployment="deployment_1",
        policy="policy_1",
        node="node_1",
        sandbox="sandbox_1",
        prompt_commitment=standing.prompt_commitment,
        answer_commitment=commit(standing.salt, "answer", "Hello wörld!".encode()),
        prompt_tokens=9,
        completion_tokens=4,
        finish="stop",
        guard=(),
        project="project_1",
        cached_tokens=4,
        cost_picoeur=PRICE.cost(Usage(9, 4, 4)),
        delivered=True,
        fingerprint=standing.fingerprint,
        retry=True,
        attestations=(),
        version=2,
    )
    changed = asyncio.run(run(dataclasses.replace(SERVED, attested=("node/1",))))
    assert changed == structs.replace(receipt, attestations=("node/1",), version=3)


def test_pieces_are_handed_on_at_once_and_the_end_waits_for_the_receipt() -> None:
    async def run() -> None:
        sink, handed = Sink(), list[str]()

        def hand(delta: Delta) -> None:
            handed.append(delta.text)

        task = asyncio.create_task(
            answer(call_of(), ScriptedEngine(), sink, FixedClock(), None, hand)
        )
        while not sink.rows:
            await asyncio.sleep(0)
        assert handed == ["Hel", "lo ", "wörld", "!"] and not task.done()
        sink.open.set()
        said, last = await task
        assert said == Said("Hello wörld!")
        assert last == Delta("", FinishReason.STOP, Usage(9, 4, 4))

    asyncio.run(run())


def test_the_next_piece_waits_for_a_slow_reader_and_who_cancels_it_has_a_receipt() -> None:
    async def run() -> None:
        sink, engine, handed = Sink(), ScriptedEngine(), list[str]()
        sink.open.set()

        def hand(delta: Delta) -> Awaitable[None] | None:
            handed.append(delta.text)
            return asyncio.sleep(3_600) if len(handed) == 2 else None

        task = asyncio.create_task(answer(call_of(), engine, sink, FixedClock(), None, hand))
        while len(handed) < 2:
            await asyncio.sleep(0)
        await asyncio.sleep(0.01)
        assert handed == ["Hel", "lo "] and engine.running == 1
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert engine.running == 0  # its slot is free
        (row,) = sink.rows
        assert (row.finish, row.completion_tokens, row.delivered) == ("cancelled", 2, True)

    asyncio.run(run())


def test_what_fails_in_a_reader_fails_the_answer() -> None:
    async def run() -> None:
        sink, engine = Sink(), ScriptedEngine()
        sink.open.set()

        def hand(delta: Delta) -> None:
            raise Unavailable("The engine calls a tool that it was not given.")

        with pytest.raises(Unavailable, match="was not given"):
            await answer(call_of(), engine, sink, FixedClock(), None, hand)
        assert engine.running == 0 and [row.finish for row in sink.rows] == ["error"]

    asyncio.run(run())
