# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What the gateway has to do where everything is on: the snapshot, and the runner behind it.

The guard policy that docs/reference/guard.md begins with, a key for one model only, budgets
of its tenant and its own in tokens and euros, prices, and promised shares. The runner is the real
one, with its queue, its accounts of shares and its journal of what was handed over; only its engine
is none: it says prepared words at once, so that what is measured is the runner.

    python benchmarks/gateway/full.py SOCKET    # the runner, by its upstream's rules
"""

import asyncio
import dataclasses
import json
import sys
import time
import tomllib
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import uvloop

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests")]

from bastide.adapters.clock.system import SystemClock  # noqa: E402
from bastide.app.handed_journal import HandedJournal  # noqa: E402
from bastide.app.process import prepare_loop  # noqa: E402
from bastide.app.runner import Runner  # noqa: E402
from bastide.app.turns import Turns  # noqa: E402
from bastide.core.budget import Budget, Per, Scope, Spent, Unit, period  # noqa: E402
from bastide.core.chat import (  # noqa: E402
    Delta,
    Embedded,
    EmbedRequest,
    FinishReason,
    GenerateRequest,
    TokenChoice,
    Usage,
)
from bastide.core.errors import Misconfigured  # noqa: E402
from bastide.core.money import Price  # noqa: E402
from bastide.core.share import Promise  # noqa: E402
from bastide.core.snapshot import Snapshot  # noqa: E402

SLOTS = 1_000
WORD = " wall"
PERIOD_S = 60.0  # of the accounts of shares, as app/share_minutes.py has them


def policy() -> str:
    """The guard policy that the reference begins with, as the ledger holds it."""
    page = (ROOT / "docs/reference/guard.md").read_text()
    return json.dumps(tomllib.loads(page.split("```toml\n")[1].split("```")[0]))


def everything(bare: Snapshot, model: str, socket: Path) -> Snapshot:
    """The snapshot of the other targets, with all that an operator can set."""
    now_ms = int(time.time() * 1_000)
    keys = {
        mac: dataclasses.replace(grant, scopes=(model,))
        for mac, grant in bare.keys.items()
        if grant.scopes == ("*",)
    }
    scopes = [Scope(grant.tenant) for grant in keys.values()]
    scopes += [Scope(grant.tenant, "", grant.key) for grant in keys.values()]
    limits = ((Unit.TOKENS, Per.DAY, 10**15), (Unit.EUR, Per.MONTH, 10**12))
    budgets = [
        Spent(Budget(scope, unit, per, limit, 80), 0, period(per, now_ms)[1])
        for scope in scopes
        for unit, per, limit in limits
    ]
    served = dataclasses.replace(bare.served[model], socket=str(socket), slots=SLOTS)
    return dataclasses.replace(
        bare,
        keys=keys,
        served={model: served},
        guards={"*": policy()},
        prices={model: Price(150_000, 600_000, 75_000)},
        budgets=tuple(budgets),
        shares={model: promises([grant.tenant for grant in keys.values()])},
    )


def promises(tenants: Sequence[str]) -> dict[str, Promise]:
    """What each tenant is promised."""
    return {tenant: Promise(tokens_per_s=1_000.0) for tenant in tenants}


class Words:
    """As the upstream answers: `max_tokens` words, `seed` milliseconds apart."""

    version = "words"

    async def generate(self, request: GenerateRequest) -> AsyncIterator[Delta]:
        count, pause_s = request.sampling.max_tokens or 4, (request.sampling.seed or 0) / 1000
        for number in range(1, count + 1):
            yield Delta(WORD, usage=Usage(100, number))
            if pause_s:
                await asyncio.sleep(pause_s)
        yield Delta("", FinishReason.STOP, Usage(100, count))

    async def count(self, request: GenerateRequest) -> int:
        return 100

    async def embed(self, request: EmbedRequest) -> Embedded:
        raise Misconfigured("it makes no vectors")

    async def next_tokens(self, prompt: str, count: int) -> Sequence[TokenChoice]:
        return ()

    async def health(self) -> None:
        return

    async def wait(self) -> int:
        return await asyncio.get_running_loop().create_future()

    async def close(self) -> None:
        return


async def run(socket: Path) -> None:
    """The runner, until it is killed."""
    prepare_loop()
    clock = SystemClock()
    turns = Turns(SLOTS, clock)
    turns.share_out(promises(("acme", "globex")))
    journal = HandedJournal(socket.with_suffix(".handed"), clock)

    async def make() -> Words:
        return Words()

    runner = Runner(make, socket, clock, None, turns, on_cut=lambda *_: None, journal=journal)
    writing = asyncio.create_task(journal.run(runner.handed))

    async def account() -> None:
        while True:
            await asyncio.sleep(PERIOD_S)
            turns.close_period()

    accounting = asyncio.create_task(account())
    await runner.run(asyncio.Event())
    writing.cancel()
    accounting.cancel()


if __name__ == "__main__":
    uvloop.run(run(Path(sys.argv[1])))
