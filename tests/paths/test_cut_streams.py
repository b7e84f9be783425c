# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""One of two gateways is killed (kill -9) in the middle of its answers: each has one receipt.

Gateways and runner are processes of their own; control is the real one, over a real ledger.
"""

import asyncio
import contextlib
import subprocess
import sys
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bastide.adapters.engine.fake import FakeEngine
from bastide.app.snapshots import runner_socket
from bastide.core.chat import GenerateRequest, Message, Sampling
from bastide.core.receipt import Receipt, commit, salt_for
from bastide.core.subject import Digest
from bastide.ledger.verify import verify_content
from paths.cut_rig import MODEL, Controlled, controlled
from paths.demo import environment
from paths.gateway_rig import KEY
from paths.passes import passing
from paths.streams_rig import PATIENCE_S, Heard, asking, listen, started

pytestmark = pytest.mark.slow

STREAMS = 500  # at each gateway
WORDS = 400
PACE_S = 0.1
SETTLED_S = 5.0
ASK, BODY = asking(MODEL, WORDS)


@dataclass
class World:
    controlled: Controlled
    gateways: list[subprocess.Popen[str]]
    ports: list[int]
    runner: subprocess.Popen[str]

    @property
    def receipts(self) -> dict[str, Receipt]:
        """Those that were made of answers; the ledger's fixture has one of another release."""
        rows = list(self.controlled.chain.book.receipts(1))
        assert len({row.ident for row in rows}) == len(rows)
        return {row.ident: row for row in rows}

    def busy(self) -> int:
        """How many answers the runner's engine works on."""
        assert self.runner.stdin is not None and self.runner.stdout is not None
        self.runner.stdin.write("?\n")
        self.runner.stdin.flush()
        return int(self.runner.stdout.readline())

    async def stated(self, idents: set[str], seconds: float = SETTLED_S) -> dict[str, Receipt]:
        async with asyncio.timeout(seconds):
            while not idents <= self.receipts.keys():
                await asyncio.sleep(0.05)
        return self.receipts


@asynccontextmanager
async def world(slots: int, pace_s: float = PACE_S) -> AsyncGenerator[World]:
    with tempfile.TemporaryDirectory(prefix="bst-") as name:
        folder = Path(name)
        async with controlled(folder, slots) as made:
            socket = runner_socket(made.home.run, Digest.parse(made.deployment))
            driver = str(Path(__file__).with_name("runner_driver.py"))
            pipes: dict[str, Any] = {
                "stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True,
                "env": environment(),
            }  # fmt: skip
            told = [str(socket), str(slots), str(pace_s)]
            told += [made.socket, made.deployment, passing("runner")]
            runner = subprocess.Popen([sys.executable, driver, *told], **pipes)
            gateways, ports = [], []
            try:
                for number in range(2):
                    log = folder / f"gateway-{number}.log"
                    with log.open("wb") as file:
                        command = [sys.executable, "-P", "-m", "bastide.gateway"]
                        gateways.append(subprocess.Popen(command, stderr=file, **pipes))
                    ports.append(await started(gateways[-1], log, made.socket, socket))
                yield World(made, gateways, ports, runner)
            finally:
                for process in (*gateways, runner):
                    process.kill()
                    process.wait()


async def streaming(made: World, count: int) -> list[list[asyncio.Task[Heard]]]:
    """Clients of both gateways, each of which has heard a word."""
    begun = asyncio.Semaphore(0)
    clients = [
        [asyncio.create_task(listen(port, begun, ASK)) for _ in range(count)] for port in made.ports
    ]
    async with asyncio.timeout(PATIENCE_S):
        for _ in range(2 * count):
            await begun.acquire()
    return clients


async def whole_text() -> str:
    """What the engine says to all of them."""
    asked = GenerateRequest(
        "id",
        MODEL,
        (Message("user", "Which town has a wall?"),),
        sampling=Sampling(max_tokens=WORDS),
    )
    engine = FakeEngine(context_tokens=1_000_000)
    return "".join([delta.text async for delta in engine.generate(asked)])


@pytest.mark.attacks("C96")
@pytest.mark.filterwarnings("ignore:FakeEngine")
def test_every_stream_of_a_killed_gateway_has_one_receipt_of_what_was_handed_to_it() -> None:
    async def scenario() -> None:
        async with world(2 * STREAMS) as made:
            killed, living = await streaming(made, STREAMS)
            await asyncio.sleep(1)
            made.gateways[0].kill()
            heard = await asyncio.wait_for(asyncio.gather(*killed), PATIENCE_S)
            assert all(one.words > 0 and not one.ended for one in heard)
            assert len({one.ident for one in heard}) == STREAMS
            receipts = await made.stated({one.ident for one in heard})
            # Those of the other gateway go on, and nothing was written for them.
            assert len(receipts) == STREAMS and made.busy() == STREAMS
            words = (await whole_text()).split(" ")
            for one in heard:
                receipt = receipts[one.ident]
                assert (receipt.finish, receipt.delivered) == ("cut", True)
                # Not less than the client saw, and exactly what the text it commits to has.
                assert one.words <= receipt.completion_tokens < WORDS
                assert receipt.completion_tokens - one.words <= 3
                text = " ".join(words[: receipt.completion_tokens])
                assert text.startswith(one.text)
                verify_content(receipt, KEY, BODY, text.encode())
            await made.controlled.verify_sealed(heard[0].ident)
            used = sum(row.prompt_tokens + row.completion_tokens for row in receipts.values())
            async with asyncio.timeout(SETTLED_S):
                while not ((now := made.controlled.link.snapshot) and now.budgets[0].used == used):
                    await asyncio.sleep(0.05)
            for client in living:
                client.cancel()
            await asyncio.gather(*living, return_exceptions=True)

    asyncio.run(scenario())


@pytest.mark.filterwarnings("ignore:FakeEngine")
def test_receipts_that_came_just_before_the_kill_stand_and_are_not_doubled() -> None:
    """Short answers end all the time while the gateway is killed."""

    async def scenario() -> None:
        ask, _ = asking(MODEL, 6)
        async with world(64, 0.01) as made:
            heard: list[Heard] = []

            async def again() -> None:
                with contextlib.suppress(OSError):
                    while True:
                        heard.append(await listen(made.ports[0], asyncio.Semaphore(0), ask))

            callers = [asyncio.create_task(again()) for _ in range(32)]
            await asyncio.sleep(2)
            made.gateways[0].kill()
            await asyncio.wait(callers, timeout=PATIENCE_S)
            begun = [one for one in heard if one.ident]
            receipts = await made.stated({one.ident for one in begun})
            whole = [one for one in begun if one.ended]
            assert whole and len(whole) < len(begun)
            for one in whole:
                assert receipts[one.ident].finish == "length"
            for one in begun:
                assert one.words <= receipts[one.ident].completion_tokens <= 6
            # No receipt for what no client ever heard of, but for the last one of each caller.
            assert len(receipts) <= len(begun) + 32
            made.controlled.chain.book.audit()

    asyncio.run(scenario())


@pytest.mark.filterwarnings("ignore:FakeEngine")
def test_answers_that_are_wanted_whole_are_stated_and_not_billed() -> None:
    async def scenario() -> None:
        ask, body = asking(MODEL, WORDS, stream=False)
        async with world(8) as made:
            callers = [
                asyncio.create_task(listen(made.ports[0], asyncio.Semaphore(0), ask))
                for _ in range(8)
            ]
            async with asyncio.timeout(PATIENCE_S):
                while made.busy() < 8:
                    await asyncio.sleep(0.02)
            await asyncio.sleep(0.5)
            made.gateways[0].kill()
            await asyncio.wait(callers, timeout=PATIENCE_S)
            async with asyncio.timeout(SETTLED_S):
                while len(made.receipts) < 8:
                    await asyncio.sleep(0.05)
            for ident, receipt in made.receipts.items():
                assert (receipt.finish, receipt.delivered) == ("cut", False)
                assert receipt.completion_tokens > 0
                salt = salt_for(KEY, ident)
                assert receipt.prompt_commitment == commit(salt, "prompt", body)
            await asyncio.sleep(1.5)  # the next snapshot
            now = made.controlled.link.snapshot
            assert now is not None and now.budgets[0].used == 0

    asyncio.run(scenario())
