# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""A runner in a process of its own, which tests kill. Its engine is the fake one.

    python runner_driver.py SOCKET SLOTS PACE_S [CONTROL DEPLOYMENT CREDENTIAL [REPLICA REPLICAS]]

Each line on standard input is answered by the number of answers that run; the line ``shares`` by
what is promised, what was taken of it here, and what control said was taken elsewhere. With control
it reports what it had handed to gateways that die, and follows the promises.
"""

import asyncio
import json
import secrets
import sys
import threading
import warnings
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import uvloop

from bastide.adapters.clock.system import SystemClock
from bastide.adapters.control.link import ControlLink
from bastide.adapters.engine.fake import FakeEngine
from bastide.app.cut_reports import CutReporter, reporting
from bastide.app.handed_journal import HandedJournal
from bastide.app.runner import Runner
from bastide.app.share_minutes import ShareKeeper, kept_in_step
from bastide.app.turns import Turns
from bastide.core.subject import Digest


class HeardTurns(Turns):
    """Remembers all that was told of promises, both ways."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.here, self.elsewhere = Counter[str](), Counter[str]()

    def taken(self) -> dict[str, float]:
        rows = super().taken()
        self.here.update(rows)
        return rows

    def taken_elsewhere(self, rows: Mapping[str, float], *rest: Any) -> None:
        self.elsewhere.update(rows)
        super().taken_elsewhere(rows, *rest)


async def serve(socket: Path, slots: int, pace_s: float, *control: str) -> None:
    clock = SystemClock()
    engine = FakeEngine(slots=slots, context_tokens=1_000_000, pace_s=pace_s)

    async def make() -> FakeEngine:
        return engine

    replica, replicas = (int(number) for number in control[3:] or ("1", "1"))
    turns, stop = HeardTurns(slots, clock, replicas=replicas, joins=True), asyncio.Event()
    keeper: ShareKeeper | None = None

    def report() -> None:
        for line in sys.stdin:
            if line != "shares\n" or keeper is None:
                print(engine.busy, flush=True)
                continue
            promised = {name: row.tokens_per_s for name, row in keeper.promises.items()}
            print(json.dumps([promised, turns.here, turns.elsewhere]), flush=True)

    threading.Thread(target=report, daemon=True).start()
    if not control:
        await Runner(make, socket, clock, turns=turns).run(stop)
        return
    link = ControlLink(control[0], clock, credential=control[2])
    await link.start()
    reporter = CutReporter(link, Digest.parse(control[1]), clock)
    journal = HandedJournal(socket.with_suffix(".handed"), clock)
    runner = Runner(make, socket, clock, turns=turns, on_cut=reporter.take, journal=journal)
    keeper = ShareKeeper(
        turns, link, Digest.parse(control[1]), clock, secrets.token_hex(8), replica=replica
    )
    async with reporting(reporter, stop, journal, runner.handed), kept_in_step(keeper, stop):
        await runner.run(stop)


warnings.simplefilter("ignore")
uvloop.run(serve(Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), *sys.argv[4:]))
