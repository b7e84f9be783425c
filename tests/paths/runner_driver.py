# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""A runner in a process of its own, which tests kill. Its engine is the fake one.

    python runner_driver.py SOCKET SLOTS PACE_S

Each line on standard input is answered by the number of answers that run.
"""

import asyncio
import sys
import threading
import warnings
from pathlib import Path

from bastide.adapters.clock.system import SystemClock
from bastide.adapters.engine.fake import FakeEngine
from bastide.app.runner import Runner
from bastide.app.turns import Turns


async def serve(socket: Path, slots: int, pace_s: float) -> None:
    clock = SystemClock()
    engine = FakeEngine(slots=slots, context_tokens=1_000_000, pace_s=pace_s)

    async def make() -> FakeEngine:
        return engine

    def report() -> None:
        for _ in sys.stdin:
            print(engine.busy, flush=True)

    threading.Thread(target=report, daemon=True).start()
    await Runner(make, socket, clock, turns=Turns(slots, clock)).run(asyncio.Event())


warnings.simplefilter("ignore")
asyncio.run(serve(Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))
