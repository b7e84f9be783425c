# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""One of three replicas is killed (kill -9) under a thousand answers; or a gateway with it.

Gateways and runners are processes of their own; control is the real one, over a real ledger. The
test plays the supervisor: it starts a killed runner again.
"""

import asyncio
import subprocess
import sys
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any

import pytest

from bastide.app.snapshots import runner_socket
from bastide.core.limits import HANDED_JOURNAL_S
from bastide.core.receipt import Receipt
from bastide.core.subject import Digest
from bastide.ledger.verify import verify_content
from paths.cut_rig import MODEL, Controlled, controlled
from paths.demo import environment
from paths.gateway_rig import KEY
from paths.passes import passing
from paths.streams_rig import PATIENCE_S, Heard, asking, listen, started
from paths.test_cut_streams import whole_text

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:FakeEngine")]

REPLICAS = 3
STREAMS = 1_000
SLOTS = 400  # of a replica: too few for all, who begin alike, to be sent to one
WORDS = 400
PACE_S = 0.3
SLOTS_FREE_S = 2.0  # the promise
SETTLED_S = 10.0
WAKING_S = 1.0  # in which this process has heard the end of a thousand streams
# Each gateway has at most 5/4 of its mean at a replica, so no replica has less than this.
LEAST = STREAMS - 2 * 2 * -(-5 * (STREAMS // 2 + 1) // (4 * REPLICAS))
ASK, BODY = asking(MODEL, WORDS)


@dataclass
class World:
    controlled: Controlled
    folder: Path
    runners: list[subprocess.Popen[str]]
    gateways: list[subprocess.Popen[str]]
    ports: list[int]

    @property
    def receipts(self) -> dict[str, Receipt]:
        """Those that were made of answers."""
        rows = list(self.controlled.chain.book.receipts(1))
        assert len({row.ident for row in rows}) == len(rows)
        return {row.ident: row for row in rows}

    def socket(self, number: int) -> Path:
        """Where a replica is asked."""
        made = self.controlled
        return runner_socket(made.home.run, Digest.parse(made.deployment), number + 1)

    def start_runner(self, number: int) -> subprocess.Popen[str]:
        made = self.controlled
        driver = str(Path(__file__).with_name("runner_driver.py"))
        which = str(number + 1), str(REPLICAS)
        told = [str(self.socket(number)), str(STREAMS), str(PACE_S), made.socket, made.deployment]
        told += [passing("runner"), *which]
        return subprocess.Popen([sys.executable, driver, *told], **pipes())

    def busy(self, number: int) -> int:
        """How many answers the engine of one replica works on."""
        runner = self.runners[number]
        assert runner.stdin is not None and runner.stdout is not None
        runner.stdin.write("?\n")
        runner.stdin.flush()
        return int(runner.stdout.readline())

    async def stated(self, idents: set[str]) -> dict[str, Receipt]:
        async with asyncio.timeout(SETTLED_S):
            while not idents <= self.receipts.keys():
                await asyncio.sleep(0.1)
        return self.receipts

    async def billed(self) -> None:
        """The budget has what the receipts say, and nothing else. Receipts may still come."""
        async with asyncio.timeout(SETTLED_S):
            while True:
                rows = self.receipts.values()
                used = sum(row.prompt_tokens + row.completion_tokens for row in rows)
                if (now := self.controlled.link.snapshot) and now.budgets[0].used == used:
                    return
                await asyncio.sleep(0.05)


def pipes() -> dict[str, Any]:
    return {
        "stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "env": environment(),
    }  # fmt: skip


@asynccontextmanager
async def world() -> AsyncGenerator[World]:
    with tempfile.TemporaryDirectory(prefix="bst-") as name:
        folder = Path(name)
        async with controlled(folder, SLOTS, REPLICAS) as made:
            here = World(made, folder, [], [], [])
            try:
                here.runners += [here.start_runner(number) for number in range(REPLICAS)]
                sockets = [here.socket(number) for number in range(REPLICAS)]
                logs = [folder / f"gateway-{number}.log" for number in range(2)]
                for log in logs:
                    with log.open("wb") as file:
                        command = [sys.executable, "-P", "-m", "bastide.gateway"]
                        here.gateways.append(subprocess.Popen(command, stderr=file, **pipes()))
                for gateway, log in zip(here.gateways, logs, strict=True):
                    here.ports.append(await started(gateway, log, made.socket, *sockets))
                yield here
            finally:
                for process in (*here.gateways, *here.runners):
                    process.kill()
                    process.wait()


async def streaming(made: World) -> list[list[asyncio.Task[Heard]]]:
    """Clients of both gateways, each of which has heard a word."""
    begun = asyncio.Semaphore(0)
    clients = [
        [asyncio.create_task(listen(port, begun, ASK)) for _ in range(STREAMS // 2)]
        for port in made.ports
    ]
    async with asyncio.timeout(PATIENCE_S):
        for _ in range(STREAMS):
            await begun.acquire()
    return clients


async def end(clients: list[asyncio.Task[Heard]]) -> None:
    for client in clients:
        client.cancel()
    await asyncio.gather(*clients, return_exceptions=True)


async def ended(clients: list[asyncio.Task[Heard]], count: int) -> list[Heard]:
    """What so many of the clients heard, once they have come to an end."""
    async with asyncio.timeout(PATIENCE_S):
        while sum(client.done() for client in clients) < count:
            await asyncio.sleep(0.05)
    return [client.result() for client in clients if client.done()]


async def takes_work(made: World, number: int) -> None:
    """A replica answers again, asked through the gateways like any other."""
    ask, _ = asking(MODEL, 20)
    async with asyncio.timeout(PATIENCE_S):
        while made.busy(number) == 0:
            callers = [
                asyncio.create_task(listen(made.ports[1], asyncio.Semaphore(0), ask))
                for _ in range(20)
            ]
            await asyncio.sleep(0.5)
            seen = made.busy(number)
            await end(callers)
            if seen:
                return


@pytest.mark.attacks("C194")
def test_a_killed_replica_ends_its_own_streams_and_no_others_and_comes_back() -> None:
    async def scenario() -> None:
        async with world() as made:
            clients = [client for some in await streaming(made) for client in some]
            there = made.busy(0)
            others = made.busy(1), made.busy(2)
            assert there + sum(others) == STREAMS and min(there, *others) >= LEAST > STREAMS // 7
            made.runners[0].kill()
            cut = await ended(clients, there)
            made.runners[0].wait()
            made.runners[0] = made.start_runner(0)
            assert all(one.failed and not one.ended for one in cut)
            receipts = await made.stated({one.ident for one in cut})
            # Those at the other replicas go on, and nothing was written for them.
            assert len(cut) == len(receipts) == there
            assert (made.busy(1), made.busy(2)) == others
            for one in cut:
                receipt = receipts[one.ident]
                assert (receipt.finish, receipt.delivered) == ("error", True)
                assert receipt.completion_tokens == one.words > 0
                verify_content(receipt, KEY, BODY, one.text.encode())
            await made.billed()
            await takes_work(made, 0)
            await end(clients)
            async with asyncio.timeout(SLOTS_FREE_S):
                while any(made.busy(number) for number in range(REPLICAS)):
                    await asyncio.sleep(0.02)

    asyncio.run(scenario())


@pytest.mark.attacks("C193")
def test_gateway_and_runner_killed_at_once_leave_a_receipt_of_every_answer() -> None:
    async def scenario() -> None:
        async with world() as made:
            killed, living = await streaming(made)
            there = made.busy(0)
            await asyncio.sleep(1)
            made.gateways[0].kill()
            made.runners[0].kill()
            heard = await asyncio.wait_for(asyncio.gather(*killed), PATIENCE_S)
            made.runners[0].wait()
            made.runners[0] = made.start_runner(0)
            async with asyncio.timeout(SLOTS_FREE_S + WAKING_S):
                # Also until the others know what was cut, or two numbers are equal by chance.
                while not any(client.done() for client in living) or (
                    made.busy(1) + made.busy(2) != sum(not client.done() for client in living)
                ):
                    await asyncio.sleep(0.05)
            cut = [client.result() for client in living if client.done()]
            assert 0 < len(cut) < there and all(one.failed for one in cut)
            assert all(one.words > 0 and not one.ended for one in (*heard, *cut))
            receipts = await made.stated({one.ident for one in heard})
            words = (await whole_text()).split(" ")
            short = 0
            for one in heard:
                receipt = receipts[one.ident]
                assert (receipt.finish, receipt.delivered) == ("cut", True)
                handed = receipt.completion_tokens
                # Less by the pieces of HANDED_JOURNAL_S and one turn at most; more only by what was
                # on its way, one in the runner's socket and one in the gateway's.
                assert handed >= 1
                assert -(ceil(HANDED_JOURNAL_S / PACE_S) + 1) <= handed - one.words <= 2
                short += handed < one.words
                verify_content(receipt, KEY, BODY, " ".join(words[:handed]).encode())
            assert short <= there - len(cut)  # those at the other replicas are exact
            for ident, receipt in (await made.stated({one.ident for one in cut})).items():
                if ident not in {one.ident for one in heard}:
                    assert receipt.finish == "error"
            await end(living)
            await made.billed()
            made.controlled.chain.book.audit()

    asyncio.run(scenario())
