# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The queue in front of an engine, in its event loop."""

import asyncio

from bastide.adapters.clock.fixed import FixedClock
from bastide.app.turns import Turns
from bastide.core.chat import GenerateRequest
from bastide.core.errors import Busy
from bastide.core.limits import SHARE_WAIT_S_MAX


class Stopping(FixedClock):
    """Of a machine that stands still after the next look at it."""

    stops = False

    def monotonic(self) -> float:
        now = super().monotonic()
        if self.stops:
            self.stops = False
            self.advance(int(SHARE_WAIT_S_MAX * 1_000) + 1_000)
        return now


def test_a_machine_that_stood_still_leaves_nobody_waiting() -> None:
    """Broken once to prove it: the newcomer got a KeyError, and who came before it nothing."""

    async def scenario() -> None:
        clock, over = Stopping(), asyncio.Event()
        turns = Turns(1, clock)

        async def ask(tenant: str) -> None:
            async with turns.turn(GenerateRequest("id", "demo", prompt="x", tenant=tenant)):
                await over.wait()

        runs = asyncio.create_task(ask("running"))
        await asyncio.sleep(0)
        waits = [asyncio.create_task(ask(tenant)) for tenant in ("new", "one", "other")]
        await asyncio.sleep(0)
        clock.stops = True
        late = [*waits, asyncio.create_task(ask("new"))]
        found = await asyncio.wait_for(asyncio.gather(*late, return_exceptions=True), 10)
        assert [type(one) for one in found] == [Busy] * 4
        over.set()
        await runs
        await ask("later")  # and its slot is free

    asyncio.run(scenario())
