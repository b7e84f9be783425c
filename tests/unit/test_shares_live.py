# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What benchmarks/shares_live.py makes of the runner's accounts, and the clock that it goes by."""

import asyncio
import signal
import subprocess
import sys
import time
from types import ModuleType
from typing import Any

import pytest

from bastide.core.share import Promise, Tally
from unit.benchmark import loaded

BUSY = "import time\nwhile True: pass"


@pytest.fixture(scope="module")
def live() -> Any:
    with loaded("shares_live") as module:
        yield module


def test_a_window_in_which_the_promised_tenant_got_nothing_is_the_worst(live: ModuleType) -> None:
    def row(mine: float, *others: float) -> dict[str, Tally]:
        rows = {f"flood-{at}": Tally(borrowed=units) for at, units in enumerate(others)}
        return {**rows, "a": Tally(delivered=mine, borrowed=mine / 10)}

    rows = [row(500, 10, 20, 20, 20, 20) for _ in range(6)]
    rows[2] = {"flood-0": Tally(borrowed=10)}
    told = live.judged(rows, Promise(tokens_per_s=50.0))
    assert told["kept_10s"] == [1.1, 1.1, 0.0, 1.1, 1.1, 1.1]
    assert (told["kept_10s_worst"], told["kept_60s_worst"]) == (0.0, 0.917)
    assert told["done_per_s"][1:3] == [64.0, 1.0]
    assert told["jain_borrowers"] == pytest.approx(460**2 / (5 * (60**2 + 4 * 100**2)), abs=1e-4)


def test_the_engines_clock_goes_while_it_computes(live: ModuleType) -> None:
    clock = live.EngineClock()
    with subprocess.Popen([sys.executable, "-c", BUSY]) as engine:
        try:
            clock.threads = live.threads_under(engine.pid)
            began = clock.monotonic()
            deadline = time.monotonic() + 20
            while clock.monotonic() - began < 0.2:
                assert time.monotonic() < deadline
                time.sleep(0.01)
            engine.send_signal(
                signal.SIGSTOP
            )  # stopped: whatever else the machine does, it computes nothing
            time.sleep(0.05)
            stood = clock.monotonic()
            time.sleep(0.3)
            assert clock.monotonic() == stood
        finally:
            engine.kill()


def test_a_client_that_ended_ends_the_measurement(live: ModuleType) -> None:
    async def story() -> None:
        clock = live.EngineClock()

        async def dies() -> None:
            raise RuntimeError("the engine is gone")

        with pytest.raises(RuntimeError, match="engine is gone"):
            async with asyncio.timeout(10):
                await live.window(clock, [asyncio.ensure_future(dies())])

    asyncio.run(story())
