# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What a runner told of promises counts once, though control's answer to it is lost."""

import asyncio
import contextlib
from collections.abc import Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvloop

from bastide.adapters.control.link import ControlLink
from bastide.app.environment import Environment
from bastide.app.share_minutes import ShareKeeper
from bastide.app.shares import set_share
from bastide.app.turns import Turns
from bastide.core.share import Promise
from bastide.dialects import frames
from paths.passes import passing
from paths.test_shares import CLOCK, env, kept, use  # noqa: F401


@asynccontextmanager
async def losing(here: Environment, kind: str):
    """A socket before control's that loses the first answer of a kind, and the connection.

    Yields its path and what was lost.
    """
    path, lost = here.home.run / "losing.sock", list[frames.Frame]()

    async def pipe(reader: asyncio.StreamReader, *writers: asyncio.StreamWriter) -> None:
        cutter = frames.FrameReader()
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65_536):
                for frame in cutter.feed(data):
                    if len(writers) == 2 and frame.kind == kind and not lost:
                        lost.append(frame)
                        for writer in writers:
                            writer.close()
                        return
                writers[0].write(data)
        writers[0].close()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there = await asyncio.open_unix_connection(here.home.control_socket)
        await asyncio.gather(pipe(reader, there[1]), pipe(there[0], writer, there[1]))

    server = await asyncio.start_unix_server(connected, path)
    try:
        yield path, lost
    finally:
        server.close()


class Told(Turns):
    """Remembers what was told of promises, both ways."""

    def __init__(self) -> None:
        super().__init__(2, CLOCK, joins=True)
        self.here = self.elsewhere = 0.0
        self.exchanges = 0

    def taken(self) -> dict[str, float]:
        rows = super().taken()
        self.here += sum(rows.values())
        return rows

    def taken_elsewhere(self, rows: Mapping[str, float], *rest: Any) -> None:
        self.elsewhere += sum(rows.values())
        self.exchanges += 1
        super().taken_elsewhere(rows, *rest)


@pytest.mark.attacks("C244")
def test_an_answer_of_control_that_is_lost_after_it_counted_counts_once(env: Environment) -> None:  # noqa: F811
    """Over real sockets, at the worst place: control has counted, and the runner cannot know."""
    deployment = env.ledger.deployments(active=True)[0].subject.digest
    set_share(env, "acme", "tiny", 10.0)
    one, two = Told(), Told()

    async def scenario() -> None:
        async with (
            asyncio.timeout(30),
            kept(env, two) as (_, beside, _),
            losing(env, "taken") as (path, lost),
        ):
            tasks = [asyncio.create_task(beside.run())]
            while not two.exchanges:
                await asyncio.sleep(0.01)
            link = ControlLink(str(path), CLOCK, credential=passing("runner"))
            await link.start()
            keeper = ShareKeeper(one, link, deployment, CLOCK, "another life", replica=2)
            one.share_out({"acme": Promise(10.0)})
            await use(one, "acme")
            tasks.append(asyncio.create_task(keeper.run()))
            for uses in range(2):
                while two.elsewhere < one.here - 1e-9 or not lost or one.exchanges <= uses:
                    await asyncio.sleep(0.01)
                await use(one, "acme")
            seen = two.exchanges
            while two.elsewhere < one.here - 1e-9 or two.exchanges < seen + 5:
                await asyncio.sleep(0.01)
            for task in tasks:
                task.cancel()
            await link.close()

    uvloop.run(scenario())
    assert one.here > 20 and two.elsewhere == pytest.approx(one.here)
