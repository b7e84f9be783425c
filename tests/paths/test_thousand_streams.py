# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""A gateway or a runner is killed (kill -9) while a thousand answers stream through them.

Both are processes of their own. Control is played here: it remembers the receipts it confirms.
"""

import asyncio
import contextlib
import dataclasses
import subprocess
import sys
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from bastide.adapters.clock.system import SystemClock
from bastide.core.receipt import Receipt
from bastide.core.snapshot import Snapshot
from bastide.dialects import frames
from paths.demo import environment
from paths.gateway_rig import MODEL, make_snapshot
from paths.streams_rig import PATIENCE_S, Heard, asking, listen, started

pytestmark = pytest.mark.slow

STREAMS = 1_000
WORDS = 500  # of each answer: far more than come before the kill
PACE_S = 0.2
SLOTS_FREE_S = 2.0  # the promise
ASK, _ = asking(MODEL, WORDS)


@dataclass
class World:
    gateway: subprocess.Popen[str]
    runner: subprocess.Popen[str]
    port: int
    receipts: dict[str, Receipt] = field(default_factory=dict)

    def busy(self) -> int:
        """How many answers the runner's engine works on."""
        assert self.runner.stdin is not None and self.runner.stdout is not None
        self.runner.stdin.write("?\n")
        self.runner.stdin.flush()
        return int(self.runner.stdout.readline())


@asynccontextmanager
async def world() -> AsyncGenerator[World]:
    with tempfile.TemporaryDirectory(prefix="bst-") as folder:
        receipts: dict[str, Receipt] = {}
        socket = str(Path(folder) / "runner.sock")
        rows = {
            name: dataclasses.replace(row, socket=socket, slots=STREAMS)
            for name, row in make_snapshot().served.items()
        }
        snapshot = dataclasses.replace(make_snapshot(), served=rows)
        control = str(Path(folder) / "control.sock")
        server = await asyncio.start_unix_server(
            lambda reader, writer: play_control(reader, writer, snapshot, receipts), control
        )
        driver = str(Path(__file__).with_name("runner_driver.py"))
        pipes: dict[str, Any] = {
            "stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "env": environment(),
        }  # fmt: skip
        runner = subprocess.Popen(
            [sys.executable, driver, socket, str(STREAMS), str(PACE_S)], **pipes
        )
        log = Path(folder) / "gateway.log"
        with log.open("wb") as file:
            command = [sys.executable, "-P", "-m", "bastide.gateway"]
            gateway = subprocess.Popen(command, stderr=file, **pipes)
        try:
            yield World(
                gateway, runner, await started(gateway, log, control, Path(socket)), receipts
            )
        finally:
            server.close()
            for process in (gateway, runner):
                process.kill()
                process.wait()


async def play_control(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    snapshot: Snapshot,
    receipts: dict[str, Receipt],
) -> None:
    async def beat() -> None:
        while True:
            now = dataclasses.replace(snapshot, issued_ms=SystemClock().now_ms())
            writer.write(frames.encode(0, "snapshot", now))
            await asyncio.sleep(0.5)

    beating = asyncio.ensure_future(beat())
    incoming = frames.FrameReader()
    with contextlib.suppress(ConnectionError, asyncio.CancelledError):
        while data := await reader.read(65_536):
            for frame in incoming.feed(data):
                if frame.kind == "receipt":
                    receipt = frames.decode(frame, Receipt)
                    receipts[receipt.ident] = receipt
                    writer.write(frames.encode(frame.stream, "ok"))
    beating.cancel()
    writer.close()


async def streaming(made: World) -> list[asyncio.Task[Heard]]:
    """A thousand clients, each of which has heard a word."""
    begun = asyncio.Semaphore(0)
    clients = [asyncio.create_task(listen(made.port, begun, ASK)) for _ in range(STREAMS)]
    async with asyncio.timeout(PATIENCE_S):
        for _ in range(STREAMS):
            await begun.acquire()
    assert made.busy() == STREAMS
    return clients


def test_a_killed_runner_ends_every_stream_with_an_error_and_bills_what_was_sent() -> None:
    async def scenario() -> None:
        async with world() as made:
            clients = await streaming(made)
            made.runner.kill()
            heard = await asyncio.wait_for(asyncio.gather(*clients), PATIENCE_S)
            assert all(one.failed and not one.ended for one in heard)
            assert len({one.ident for one in heard}) == STREAMS
            for one in heard:
                receipt = made.receipts[one.ident]
                assert receipt.finish == "error"
                assert receipt.completion_tokens == one.words > 0

    asyncio.run(scenario())


def test_a_killed_gateway_breaks_every_stream_off_and_its_slots_are_free() -> None:
    async def scenario() -> None:
        async with world() as made:
            clients = await streaming(made)
            made.gateway.kill()
            async with asyncio.timeout(SLOTS_FREE_S):
                while made.busy():
                    await asyncio.sleep(0.02)
            heard = await asyncio.wait_for(asyncio.gather(*clients), PATIENCE_S)
            assert all(one.words > 0 and not one.ended for one in heard)
            # Nobody holds a whole answer, so none lacks a receipt. What a runner that knows control
            # then states of what was sent: test_cut_streams.py.
            assert made.receipts == {}

    asyncio.run(scenario())


def test_clients_that_leave_are_billed_for_what_they_were_sent() -> None:
    async def scenario() -> None:
        async with world() as made:
            clients = await streaming(made)
            for client in clients:
                client.cancel()
            await asyncio.gather(*clients, return_exceptions=True)
            async with asyncio.timeout(SLOTS_FREE_S):
                while made.busy():
                    await asyncio.sleep(0.02)
            async with asyncio.timeout(PATIENCE_S):
                while len(made.receipts) < STREAMS:
                    await asyncio.sleep(0.02)
            assert {row.finish for row in made.receipts.values()} == {"cancelled"}
            assert all(row.completion_tokens > 0 for row in made.receipts.values())

    asyncio.run(scenario())
