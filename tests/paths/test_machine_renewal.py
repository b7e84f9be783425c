# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""A machine's certificate is renewed each day, and what keeps it from that is said.

To see it fail I once broke the code: with all of a certificate's time in `due` a new one was due at
once; without the log nobody said that it is not renewed; without `verify_lasts` in the loop an
agent went on with one that had ended.
"""

import asyncio
import json
import os
from pathlib import Path

import pytest

from bastide.adapters.clock.fixed import FixedClock
from bastide.adapters.clock.system import SystemClock
from bastide.app import wiring
from bastide.app.config import Home
from bastide.app.machine_agent import _Agent
from bastide.app.machine_home import MachineHome
from bastide.core.errors import NotProven
from bastide.ledger import Ledger
from bastide.ledger.follow import Replica
from paths.test_machine_door import World, go
from paths.test_machine_invitations import file_of, join

DAY_MS = 86_400_000


def test_it_is_renewed_or_the_log_says_why_not_until_it_has_ended(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = Home(tmp_path / "b")

    async def told(event: str) -> str:
        """The line of the log of an event that must come."""
        lines: list[str] = []
        async with asyncio.timeout(30):
            while not (found := [row for row in lines if f'"{event}"' in row]):
                await asyncio.sleep(0.02)
                lines += capsys.readouterr().err.splitlines()
        return found[0]

    async def story(world: World) -> None:
        settings = await join(home.root, file_of(world, world.invite("b")))
        place, clock = MachineHome(home), FixedClock(SystemClock().now_ms())
        assert not place.due(clock.now_ms())
        clock.advance(DAY_MS + 300_000)
        assert place.due(clock.now_ms())
        records = wiring.open_records(home.database, place.replica_key())
        replica = Replica(records, json.loads(home.anchors.read_text()))
        agent = _Agent(home, settings, place, replica, Ledger(records, None, clock), clock)
        first = place.credential()
        await agent._control.start()
        draft = home.machine / f".certificate.json.{os.getpid()}.partial"
        draft.mkdir()  # nothing can be written in its place
        renewing = asyncio.create_task(agent._renew())
        assert "certificate.json cannot be written" in await told("not-renewed")
        renewing.cancel()
        assert place.credential() == first
        draft.rmdir()
        renewing = asyncio.create_task(agent._renew())
        await told("renewed")
        renewing.cancel()
        assert place.credential().certificate != first.certificate
        clock.advance(7 * DAY_MS)
        with pytest.raises(NotProven, match="certificate of this machine has ended"):
            await asyncio.wait_for(agent._renew(), 30)
        await agent._control.close()
        records.dispose()

    go(tmp_path, story)
