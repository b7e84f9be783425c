# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The priority that an engine sees is the queue's, whatever came with the request."""

import asyncio
from contextlib import aclosing
from pathlib import Path

import pytest

from bastide.adapters.clock.system import SystemClock
from bastide.adapters.engine.fake import FakeEngine
from bastide.adapters.engine.remote import RemoteEngine
from bastide.app.runner import Runner
from bastide.app.turns import Turns
from bastide.core.chat import GenerateRequest
from bastide.core.errors import Unavailable
from bastide.core.share import Promise

pytestmark = pytest.mark.filterwarnings("ignore:FakeEngine")


class NotingEngine(FakeEngine):
    """Notes the priority of each request."""

    def __init__(self) -> None:
        super().__init__(slots=2)
        self.seen: list[int] = []

    def generate(self, request: GenerateRequest):
        self.seen.append(request.priority)
        return super().generate(request)


def test_promised_comes_before_borrowed_and_nobody_else_can_say(tmp_path: Path):
    engine, clock = NotingEngine(), SystemClock()
    turns = Turns(2, clock)
    turns.share_out({"promised": Promise(tokens_per_s=1_000.0)})

    async def make() -> NotingEngine:
        return engine

    async def scenario() -> None:
        stop, path = asyncio.Event(), tmp_path / "runner.sock"
        running = asyncio.ensure_future(Runner(make, path, clock, turns=turns).run(stop))
        while not path.exists():
            await asyncio.sleep(0.01)
        remote = RemoteEngine(str(path))
        while True:
            try:
                await remote.health()
                break
            except Unavailable:
                await asyncio.sleep(0.01)
        for tenant, background in (("promised", False), ("lent", False), ("lent", True)):
            request = GenerateRequest(
                "id", "m", prompt="Hello", tenant=tenant, background=background, priority=-9
            )
            async with aclosing(remote.generate(request)) as deltas:
                async for _ in deltas:
                    pass
        await remote.close()
        stop.set()
        await running

    asyncio.run(asyncio.wait_for(scenario(), 30))
    assert engine.seen == [0, 1, 2]
