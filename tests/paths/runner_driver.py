# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""A runner in a process of its own, which tests kill. Its engine is the fake one.

    python runner_driver.py SOCKET SLOTS PACE_S [CONTROL DEPLOYMENT CREDENTIAL]

Each line on standard input is answered by the number of answers that run. With the last three it
reports to control what it had handed to gateways that die.
"""

import asyncio
import sys
import threading
import warnings
from pathlib import Path

from bastide.adapters.clock.system import SystemClock
from bastide.adapters.control.link import ControlLink
from bastide.adapters.engine.fake import FakeEngine
from bastide.app.cut_reports import CutReporter, reporting
from bastide.app.handed_journal import HandedJournal
from bastide.app.runner import Runner
from bastide.app.turns import Turns
from bastide.core.subject import Digest


async def serve(socket: Path, slots: int, pace_s: float, *control: str) -> None:
    clock = SystemClock()
    engine = FakeEngine(slots=slots, context_tokens=1_000_000, pace_s=pace_s)

    async def make() -> FakeEngine:
        return engine

    def report() -> None:
        for _ in sys.stdin:
            print(engine.busy, flush=True)

    threading.Thread(target=report, daemon=True).start()
    turns, stop = Turns(slots, clock), asyncio.Event()
    if not control:
        await Runner(make, socket, clock, turns=turns).run(stop)
        return
    link = ControlLink(control[0], clock, credential=control[2])
    await link.start()
    reporter = CutReporter(link, Digest.parse(control[1]), clock)
    journal = HandedJournal(socket.with_suffix(".handed"), clock)
    runner = Runner(make, socket, clock, turns=turns, on_cut=reporter.take, journal=journal)
    async with reporting(reporter, stop, journal, runner.handed):
        await runner.run(stop)


warnings.simplefilter("ignore")
asyncio.run(serve(Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), *sys.argv[4:]))
