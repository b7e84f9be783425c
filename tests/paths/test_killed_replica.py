# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""One of two replicas is killed (kill -9) under a thousand answers: only its own end, and each is
billed for what was handed over. Gateway and runners are processes; control and ledger are real.

To see this test fail I once broke the code: with one token more counted at the end of a failed
answer, what was billed differed from what clients had.
"""

import asyncio
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bastide.app.snapshots import runner_socket
from bastide.core.receipt import Receipt
from bastide.core.subject import Digest
from paths.cut_rig import MODEL, Controlled, controlled
from paths.demo import environment
from paths.streams_rig import PATIENCE_S, Heard, asking, listen, started

pytestmark = pytest.mark.slow

STREAMS = 1_000
SLOTS = 700  # of each replica, so that neither could hold all
WORDS = 400
PACE_S = 0.2
SETTLED_S = 20.0  # on a machine that does much else, too
SLOTS_FREE_S = 2.0  # the promise


@dataclass
class Replica:
    """The process of one runner; its engine is the fake one."""

    socket: Path
    told: list[str]
    process: subprocess.Popen[str]

    @classmethod
    def start(cls, socket: Path, *told: str) -> "Replica":
        driver = str(Path(__file__).with_name("runner_driver.py"))
        process = subprocess.Popen(
            [sys.executable, driver, str(socket), str(SLOTS), str(PACE_S), *told],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment(),
        )  # fmt: skip
        return cls(socket, list(told), process)

    def busy(self) -> int:
        """How many answers its engine works on."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write("?\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@dataclass
class World:
    controlled: Controlled
    port: int
    replicas: list[Replica]

    @property
    def receipts(self) -> dict[str, Receipt]:
        """Those that were made of answers; the ledger's fixture has one of another release."""
        return {row.ident: row for row in self.controlled.chain.book.receipts(1)}

    async def billed(self) -> int:
        """The tokens that the budget has, once they are all that the receipts say."""
        async with asyncio.timeout(SETTLED_S):
            while True:
                rows = self.receipts.values()
                used = sum(row.prompt_tokens + row.completion_tokens for row in rows)
                now = self.controlled.link.snapshot
                if now is not None and now.budgets[0].used == used:
                    return used
                await asyncio.sleep(0.05)


@asynccontextmanager
async def world() -> AsyncIterator[World]:
    with tempfile.TemporaryDirectory(prefix="bst-") as name:
        folder = Path(name)
        async with controlled(folder, SLOTS, replicas=2) as made:
            deployment = Digest.parse(made.deployment)
            replicas = [
                Replica.start(
                    runner_socket(made.home.run, deployment, number),
                    made.socket,
                    made.deployment,
                )
                for number in (1, 2)
            ]
            log = folder / "gateway.log"
            pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "text": True, "env": environment()}
            with log.open("wb") as file:
                command = [sys.executable, "-P", "-m", "bastide.gateway"]
                gateway = subprocess.Popen(command, stderr=file, stdout=subprocess.PIPE, **pipes)
            try:
                port = await started(gateway, log, made.socket, replicas[0].socket)
                async with asyncio.timeout(PATIENCE_S):
                    while not replicas[1].socket.exists():
                        await asyncio.sleep(0.02)
                yield World(made, port, replicas)
            finally:
                gateway.kill()
                gateway.wait()
                for replica in replicas:
                    replica.kill()


async def streaming(made: World, count: int, first: int = 0) -> list[asyncio.Task[Heard]]:
    """So many clients, each with a question of its own, which have heard a word."""
    begun = asyncio.Semaphore(0)
    clients = []
    for number in range(first, first + count):
        ask, _ = asking(MODEL, WORDS, question=f"{number}: which town has a wall?")
        clients.append(asyncio.create_task(listen(made.port, begun, ask)))
    async with asyncio.timeout(PATIENCE_S):
        for _ in range(count):
            await begun.acquire()
    return clients


@pytest.mark.filterwarnings("ignore:FakeEngine")
def test_a_killed_replica_ends_its_own_streams_and_bills_what_was_handed_over() -> None:
    async def scenario() -> None:
        async with world() as made:
            dying, living = made.replicas
            clients = await streaming(made, STREAMS)
            had, others = dying.busy(), living.busy()
            assert had + others == STREAMS and had > 100 and others > 100

            # 1. All streams of the killed one end with an error, and no other stream does.
            dying.kill()
            async with asyncio.timeout(PATIENCE_S):
                while sum(client.done() for client in clients) < had:
                    await asyncio.sleep(0.05)
            await asyncio.sleep(1)
            over = [client.result() for client in clients if client.done()]
            going = [client for client in clients if not client.done()]
            assert (len(over), len(going), living.busy()) == (had, others, others)
            assert all(one.failed and not one.ended for one in over)

            # 2. One receipt each, over exactly what the client was sent; nothing for the others.
            assert len({one.ident for one in over}) == had
            async with asyncio.timeout(SETTLED_S):
                while len(made.receipts) < had:
                    await asyncio.sleep(0.05)
            receipts = made.receipts
            assert receipts.keys() == {one.ident for one in over}
            for one in over:
                assert receipts[one.ident].finish == "error"
                assert receipts[one.ident].completion_tokens == one.words > 0
            assert await made.billed() > 0

            # 3. One that comes back takes work again; what it had is free.
            made.replicas[0] = again = Replica.start(dying.socket, *dying.told)
            more: list[asyncio.Task[Heard]] = []
            async with asyncio.timeout(PATIENCE_S):
                while not again.busy():
                    more += await streaming(made, 20, first=STREAMS + len(more))
            assert all(not client.done() for client in going)

            # 4. Clients that leave free their slots, at both.
            for client in (*going, *more):
                client.cancel()
            await asyncio.gather(*going, *more, return_exceptions=True)
            async with asyncio.timeout(SLOTS_FREE_S + SETTLED_S):
                while living.busy() + again.busy():
                    await asyncio.sleep(0.02)
            made.controlled.chain.book.audit()

    asyncio.run(scenario())
