# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Shares with a real engine: SmolLM2 in its sandbox, four slots, behind the runner's queue.

One tenant is promised a part of the engine and asks for 16 tokens at a time, one request after the
other; five others flood with 40 clients that ask for 96. Three runs, each with its own engine:

* alone: nobody else asks;
* fcfs: the flood, and a queue that keeps the order of arrival;
* shares: the flood, and the promise.

What counts is the time to the first token. The rates depend on the machine and on what else it
does.

    python benchmarks/shares_live.py [--seconds 20]
"""

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from contextlib import aclosing
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests")]

from bastide.adapters.clock.system import SystemClock  # noqa: E402
from bastide.adapters.engine.remote import RemoteEngine  # noqa: E402
from bastide.app.runner import Runner  # noqa: E402
from bastide.app.turns import Turns  # noqa: E402
from bastide.core.chat import GenerateRequest, Message, Sampling  # noqa: E402
from bastide.core.errors import Busy, Unavailable  # noqa: E402
from bastide.core.share import Promise  # noqa: E402
from contracts import smollm2  # noqa: E402

SLOTS, CLIENTS, TENANTS = 4, 40, 5
SHORT, LONG = 16, 96  # output tokens: the flood's requests are six times longer
PROMISE = Promise(tokens_per_s=15.0)


def ask(tenant: str, tokens: int, about: str) -> GenerateRequest:
    message = Message("user", f"Write about {about} without an end.")
    sampling = Sampling(max_tokens=tokens, temperature=0)
    return GenerateRequest("bench", "m", (message,), sampling=sampling, tenant=tenant)


class World:
    """One engine, and what its clients saw."""

    def __init__(self, client: RemoteEngine, ends: float) -> None:
        self.client = client
        self.ends = ends
        self.first_s: list[float] = []
        self.tokens = 0
        self.busy = 0

    async def answer(self, tenant: str, tokens: int, about: str) -> float | None:
        """Seconds until the first token, or None if there was none in time."""
        began = time.perf_counter()
        first = None
        async with aclosing(self.client.generate(ask(tenant, tokens, about))) as deltas:
            async for delta in deltas:
                if first is None:
                    first = time.perf_counter() - began
                if time.perf_counter() > self.ends:
                    break
                if delta.usage is not None and delta.finish is not None:
                    self.tokens += delta.usage.completion_tokens
        return first

    async def guaranteed(self) -> None:
        number = 0
        while time.perf_counter() < self.ends:
            number += 1
            began = time.perf_counter()
            try:
                async with asyncio.timeout(self.ends - began):
                    first = await self.answer("a", SHORT, f"town {number}")
            except TimeoutError:
                # It waits still: at least this long, which flatters the queue.
                first = time.perf_counter() - began
            if first is not None:
                self.first_s.append(first)

    async def flood(self, number: int) -> None:
        turn = 0
        while time.perf_counter() < self.ends:
            turn += 1
            try:
                async with asyncio.timeout(self.ends - time.perf_counter()):
                    about = f"river {number} and bridge {turn}"
                    await self.answer(f"flood-{number % TENANTS}", LONG, about)
            except Busy as busy:
                self.busy += 1
                await asyncio.sleep(
                    min(busy.retry_after_s, max(0.0, self.ends - time.perf_counter()))
                )
            except TimeoutError:
                return


async def run(mode: str, seconds: float) -> dict[str, Any]:
    clock = SystemClock()
    # Without promises and with one tenant's name for all, the queue is first come, first served.
    turns = Turns(SLOTS, clock) if mode != "fcfs" else Turns(10_000, clock)
    with tempfile.TemporaryDirectory(prefix="live-") as folder, smollm2.weights() as weights:

        async def make() -> Any:
            return await smollm2.start(weights, folder, slots=SLOTS, context_tokens=4 * 1_024)

        socket, stop = Path(folder) / "runner.sock", asyncio.Event()
        serving = asyncio.ensure_future(Runner(make, socket, clock, None, turns).run(stop))
        client = RemoteEngine(str(socket))
        try:
            await _healthy(client)
            if mode == "shares":
                turns.share_out({"a": PROMISE})
            world = World(client, time.perf_counter() + seconds)
            jobs = [world.guaranteed()]
            if mode != "alone":
                jobs += [world.flood(number) for number in range(CLIENTS)]
            await asyncio.gather(*jobs)
        finally:
            await client.close()
            stop.set()
            await serving
    waits = sorted(world.first_s)
    return {
        "requests": len(waits),
        "ttft_p50_ms": round(1000 * statistics.median(waits)),
        "ttft_p90_ms": round(1000 * waits[int(0.9 * len(waits))]),
        "ttft_max_ms": round(1000 * waits[-1]),
        "tokens_per_s": round(world.tokens / seconds, 1),
        "refused": world.busy,
    }


async def _healthy(client: RemoteEngine) -> None:
    async with asyncio.timeout(60):
        while True:
            try:
                return await client.health()
            except Unavailable:
                await asyncio.sleep(0.05)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=20.0)
    seconds = parser.parse_args().seconds
    result: dict[str, Any] = {}
    for mode in ("alone", "fcfs", "shares"):
        result[mode] = asyncio.run(run(mode, seconds))
        print(mode, result[mode])
    for name in ("p50", "p90", "max"):
        key = f"ttft_{name}_ms"
        result[f"{name}_ratio"] = round(result["shares"][key] / result["alone"][key], 2)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
