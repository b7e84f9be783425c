# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What a gateway hands to the runner of each call, and what the runner keeps from the engine."""

import asyncio
import json
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import uvloop

from bastide.adapters.clock.system import SystemClock
from bastide.adapters.engine.fake import FakeEngine
from bastide.adapters.engine.remote import RemoteEngine
from bastide.app.runner import Runner
from bastide.core.chat import Delta, Embedded, EmbedRequest, GenerateRequest, Sampling
from bastide.core.receipt import standing_of
from bastide.core.standing import Cut
from paths.gateway_rig import KEY, MODEL, gateway, read_response, request_bytes

pytestmark = pytest.mark.filterwarnings("ignore:FakeEngine")

BODY = json.dumps({"model": MODEL, "messages": [{"role": "user", "content": "Hi"}]}).encode()


def test_the_receipt_says_what_the_runner_was_given() -> None:
    with gateway() as rig, rig.connect() as client:
        for headers, retry in (("", False), ("x-stainless-retry-count: 2\r\n", True)):
            client.sendall(request_bytes(BODY, headers=headers))
            assert read_response(client).status == 200
            standing, receipt = rig.engine.requests[-1].standing, rig.control.receipts[-1]
            assert standing is not None
            assert (standing.receipt, standing.key) == (receipt.ident, receipt.key)
            assert standing.prompt_commitment == receipt.prompt_commitment
            assert (standing.fingerprint, standing.retry) == (receipt.fingerprint, receipt.retry)
            assert bool(standing.fingerprint) is standing.retry is retry
            assert repr(standing.salt) not in repr(rig.engine.requests[-1])


class _Listening(FakeEngine):
    """Remembers what it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[GenerateRequest | EmbedRequest] = []

    async def generate(self, request: GenerateRequest) -> AsyncIterator[Delta]:
        self.asked.append(request)
        async for delta in super().generate(request):
            yield delta

    async def embed(self, request: EmbedRequest) -> Embedded:
        self.asked.append(request)
        return await super().embed(request)


def test_no_salt_reaches_the_engine_and_all_that_ended_lately_is_reported() -> None:
    cuts: list[tuple[int, list[Cut]]] = []
    names = [f"r_{number:026}" for number in range(3)]
    first, second, third = (standing_of(name, "k_1", KEY, BODY) for name in names)

    async def story(folder: str) -> None:
        engine, stop = _Listening(), asyncio.Event()
        socket = Path(folder) / "runner.sock"

        async def make() -> FakeEngine:
            return engine

        runner = Runner(
            make, socket, SystemClock(), on_cut=lambda pid, rows: cuts.append((pid, [*rows]))
        )
        running = asyncio.create_task(runner.run(stop))
        async with asyncio.timeout(20):
            while not (socket.exists() and runner.up):
                await asyncio.sleep(0.01)
        client = RemoteEngine(str(socket))
        asked = GenerateRequest("id", MODEL, prompt="x", sampling=Sampling(max_tokens=3))
        await client.count(asked)
        for standing in (None, first):
            request = GenerateRequest(
                "id", MODEL, prompt="x", sampling=Sampling(max_tokens=3), standing=standing
            )
            assert [delta async for delta in client.generate(request)][-1].finish is not None
        await client.embed(EmbedRequest("id", MODEL, ("x",), standing=second))
        broken = client.generate(
            GenerateRequest("id", MODEL, prompt="y", whole=True, standing=third)
        )
        await anext(broken)
        await client.close()
        async with asyncio.timeout(20):
            while not cuts:
                await asyncio.sleep(0.01)
        assert len(engine.asked) == 4
        assert all(request.standing is None for request in engine.asked)
        stop.set()
        await running

    with tempfile.TemporaryDirectory(prefix="bst-") as folder:
        uvloop.run(story(folder))
    ((_, rows),) = cuts
    assert [row.receipt for row in rows] == names
    assert [row.completion_tokens for row in rows[:2]] == [3, 0]
    assert [row.delivered for row in rows] == [True, False, False]
