# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Shares with a real engine: SmolLM2 in its sandbox, four slots, behind the runner's queue.

One tenant is promised a part of the engine and asks for 8 tokens at a time, a little less than its
promise comes to; five others flood with 40 clients that ask for 48. What counts is the time to
the first token. Blocks in which nobody else asks and blocks of flood take turns on one engine, so
that whatever else the machine does falls on both; at the end the same flood meets an engine in
order of arrival.

A machine that others use too makes all of this longer, and by chance: so each wait is also measured
in the engine's own seconds, the CPU time that its one thread took until the token came. That is
what the wait would be on a machine of its own, and its ratios are what should be compared.

The 99th percentile is taken over all blocks of a kind together, and needs 200 requests of each.

Last come windows of ten seconds in which everybody asks for more than there is, also the promised
tenant, to whom half of what the engine was measured to do is promised. What each got is what the
runner's own accounts say, from which share minutes are stated: *kept* is what the promised tenant
got (promised and borrowed) over what it was promised, *Jain* how evenly the five others got theirs
(their borrowed units; 1 is even, 0.2 is all to one). Here the queue's own clock is the engine's:
a promise is of units a second, and an engine that others leave a third of a processor can keep no
promise that was measured when it had a whole one, in whatever order it is asked. *wall_s* says how
long windows took; on a machine of its own that is ten seconds, too, and `--wall` goes by it.

    python benchmarks/shares_live.py [--requests 200] [--rounds 10] [--windows 12] [--wall]
"""

import argparse
import asyncio
import contextlib
import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field
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
from bastide.core.share import Promise, Tally  # noqa: E402
from bastide.ports import Clock  # noqa: E402
from contracts import smollm2  # noqa: E402

SLOTS, CLIENTS, TENANTS = 4, 40, 5
SHORT, LONG = 8, 48  # output tokens: the flood's requests are six times longer
PROMISE = Promise(tokens_per_s=40.0)
PAUSE_S = (0.1, 0.4)  # between two requests of the promised tenant: it stays below its promise
FCFS_S = 30.0
WINDOW_S = 10.0
GREEDY = 24  # clients of the promised tenant while it asks for more than its promise
LEFT_S = 1.5  # an engine may notice a second late that somebody left: that is not the next block's
PARTS = {"p50": 0.5, "p90": 0.9, "p99": 0.99}


def ask(tenant: str, tokens: int, about: str) -> GenerateRequest:
    message = Message("user", f"Write about {about} without an end.")
    sampling = Sampling(max_tokens=tokens, temperature=0)
    return GenerateRequest("bench", "m", (message,), sampling=sampling, tenant=tenant)


@dataclass(slots=True)
class Block:
    """What the clients saw in one stretch of time. Seconds."""

    first_s: list[float] = field(default_factory=list)
    first_cpu_s: list[float] = field(default_factory=list)
    flood_tokens: int = 0
    busy: int = 0
    length_s: float = 0.0


class EngineClock:
    """Shows how long the engine's threads have computed; the date is the machine's."""

    def __init__(self) -> None:
        self.threads: list[Path] = []

    def now_ms(self) -> int:
        return SystemClock().now_ms()

    def monotonic(self) -> float:
        return computed_s(self.threads)


class World:
    """One engine behind one runner."""

    def __init__(self, client: RemoteEngine, turns: Turns, engine: int) -> None:
        self.client = client
        self.threads = threads_under(engine)
        self.turns = turns
        self._chance = random.Random(1)
        self._number = 0

    async def block(self, requests: int, flooding: bool, seconds: float = 600.0) -> Block:
        """`requests` of the promised tenant, one after the other, or as many as `seconds` allow."""
        seen, began = Block(), time.perf_counter()
        clients = [asyncio.ensure_future(self.flood(seen, row)) for row in range(CLIENTS)]
        if not flooding:
            for client in clients:
                client.cancel()
        else:
            stands_by = began + 5.0
            while self.turns.waiting < CLIENTS // 2 and time.perf_counter() < stands_by:  # noqa: ASYNC110
                await asyncio.sleep(0.05)  # until the flood stands
        asked = 0.0
        try:
            async with asyncio.timeout(seconds):
                for _ in range(requests):
                    asked = time.perf_counter()
                    self._number += 1
                    seen.first_s.append(await self._first("a", SHORT, f"town {self._number}", seen))
                    asked = 0.0
                    await asyncio.sleep(self._chance.uniform(*PAUSE_S))
        except TimeoutError:
            if asked:
                # It waits still: at least this long, which flatters who let it wait.
                seen.first_s.append(time.perf_counter() - asked)
        seen.length_s = time.perf_counter() - began
        for client in clients:
            client.cancel()
        await asyncio.gather(*clients, return_exceptions=True)
        async with asyncio.timeout(30):
            while self.turns.free < self.turns.slots:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        await asyncio.sleep(LEFT_S)
        return seen

    async def _first(self, tenant: str, tokens: int, about: str, seen: Block) -> float:
        """Read a whole answer; the seconds until its first piece."""
        began, first, cpu_s = time.perf_counter(), None, computed_s(self.threads)
        async with aclosing(self.client.generate(ask(tenant, tokens, about))) as deltas:
            async for _ in deltas:
                if first is None:
                    first = time.perf_counter() - began
                    if tenant == "a":
                        seen.first_cpu_s.append(computed_s(self.threads) - cpu_s)
                if tenant != "a":
                    seen.flood_tokens += 1
        assert first is not None
        return first

    async def flood(self, seen: Block, number: int, tenant: str = "") -> None:
        """Ask without a pause, as one of the five or as `tenant`."""
        turn = 0
        while True:
            turn += 1
            try:
                about = f"river {number} and bridge {turn}"
                if tenant:
                    await self._first(tenant, SHORT, about, seen)
                else:
                    await self._first(f"flood-{number % TENANTS}", LONG, about, seen)
            except Busy as busy:
                seen.busy += 1
                await asyncio.sleep(busy.retry_after_s)


def computed_s(threads: list[Path]) -> float:
    """CPU seconds that they have taken until now."""
    return sum(int(path.read_text().split()[0]) for path in threads) / 1e9


def threads_under(process: int) -> list[Path]:
    """The schedstat of each thread of a process and of those that it started."""
    parents: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parent = int(path.read_text().rpartition(")")[2].split()[1])
            parents.setdefault(parent, []).append(int(path.parent.name))
    found = [process]
    for one in found:
        found += parents.get(one, [])
    return [path for one in found for path in Path(f"/proc/{one}/task").glob("*/schedstat")]


@contextlib.asynccontextmanager
async def world(turns: Turns) -> AsyncGenerator[World]:
    """A real engine and a real runner."""
    clock = SystemClock()
    with tempfile.TemporaryDirectory(prefix="live-") as folder, smollm2.weights() as weights:
        made: list[Any] = []

        async def make() -> Any:
            made.append(await smollm2.start(weights, folder, slots=SLOTS, context_tokens=1_024))
            return made[-1]

        socket, stop = Path(folder) / "runner.sock", asyncio.Event()
        serving = asyncio.ensure_future(Runner(make, socket, clock, None, turns).run(stop))
        client = RemoteEngine(str(socket))
        try:
            await _healthy(client)
            yield World(client, turns, made[-1].pid)
        finally:
            await client.close()
            stop.set()
            await serving


async def _healthy(client: RemoteEngine) -> None:
    async with asyncio.timeout(60):
        while True:
            try:
                return await client.health()
            except Unavailable:
                await asyncio.sleep(0.05)


def percentile(waits: list[float], part: float) -> float:
    ordered = sorted(waits)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]


def summed(blocks: list[Block]) -> dict[str, Any]:
    waits = [wait for block in blocks for wait in block.first_s]
    cpu = [wait for block in blocks for wait in block.first_cpu_s]
    seconds = sum(block.length_s for block in blocks)
    told: dict[str, Any] = {"requests": len(waits)}
    for name, part in PARTS.items():
        told[f"ttft_{name}_ms"] = round(1000 * percentile(waits, part))
        told[f"engine_{name}_ms"] = round(1000 * percentile(cpu, part)) if cpu else None
    told["ttft_max_ms"] = round(1000 * max(waits))
    told["flood_pieces_per_s"] = round(sum(block.flood_tokens for block in blocks) / seconds, 1)
    told["refused"] = sum(block.busy for block in blocks)
    return told


async def accounts(windows: int, wall: bool = False) -> dict[str, Any]:
    """What the runner's accounts say of windows of WINDOW_S in which all ask for too much."""
    clock: Clock = SystemClock() if wall else EngineClock()
    turns = Turns(SLOTS, clock)
    async with world(turns) as live:
        if isinstance(clock, EngineClock):
            clock.threads = live.threads
        turns.share_out({"a": PROMISE})
        await live.block(40, flooding=True)
        if turns.capacity is None:
            raise RuntimeError("the engine was never full")
        promise = Promise(tokens_per_s=turns.capacity / 2)
        turns.share_out({"a": promise})
        seen = Block()
        clients = [asyncio.ensure_future(live.flood(seen, row)) for row in range(CLIENTS)]
        clients += [asyncio.ensure_future(live.flood(seen, row, "a")) for row in range(GREEDY)]
        await window(clock, clients)
        turns.close_period()  # until the flood stands
        rows: list[dict[str, Tally]] = []
        wall_s = []
        for number in range(windows):
            wall_s.append(await window(clock, clients))
            rows.append(turns.close_period())
            print("window", number, round(wall_s[-1], 1), rows[-1].get("a"), flush=True)
        for client in clients:
            client.cancel()
        await asyncio.gather(*clients, return_exceptions=True)
    return {"wall_s": [round(one, 1) for one in wall_s], **judged(rows, promise)}


async def window(clock: Clock, clients: list[asyncio.Future[None]]) -> float:
    """Wait for WINDOW_S on the queue's clock; the seconds that took."""
    began, ends_at = time.perf_counter(), clock.monotonic() + WINDOW_S
    while clock.monotonic() < ends_at:
        await asyncio.sleep(0.01)
        for client in clients:
            if client.done():
                client.result()  # who asks no more makes every figure another
    return time.perf_counter() - began


def judged(rows: list[dict[str, Tally]], promise: Promise) -> dict[str, Any]:
    """Each window, the worst of them, and the worst minute, of what was promised."""
    got = [row["a"].delivered + row["a"].borrowed if "a" in row else 0.0 for row in rows]
    all_got = [sum(one.delivered + one.borrowed for one in row.values()) for row in rows]
    owed = promise.tokens_per_s * WINDOW_S
    kept = [units / owed for units in got]
    minutes = [sum(kept[at : at + 6]) / 6 for at in range(max(0, len(kept) - 5))]
    others = [
        sum(row[name].borrowed for row in rows if name in row)
        for name in (f"flood-{number}" for number in range(TENANTS))
    ]
    squares = sum(units * units for units in others)
    return {
        "promised_per_s": round(promise.tokens_per_s, 1),
        "done_per_s": [round(units / WINDOW_S, 1) for units in all_got],
        "kept_10s": [round(part, 3) for part in kept],
        "kept_10s_worst": round(min(kept), 3),
        "kept_60s_worst": round(min(minutes), 3) if minutes else None,
        "stated_delivered_to_promised": round(
            sum(row["a"].delivered for row in rows if "a" in row)
            / max(1e-9, sum(row["a"].promised for row in rows if "a" in row)), 3
        ),
        "jain_borrowers": round(sum(others) ** 2 / (TENANTS * squares), 4) if squares else None,
    }  # fmt: skip


async def measure(requests: int, rounds: int, windows: int, wall: bool) -> dict[str, Any]:
    turns = Turns(SLOTS, SystemClock())
    alone: list[Block] = []
    flooded: list[Block] = []
    each = -(-requests // rounds)
    async with world(turns) as live:
        turns.share_out({"a": PROMISE})
        await live.block(5, flooding=True)  # the first answers of an engine are slower
        for number in range(rounds):
            alone.append(await live.block(each, flooding=False))
            flooded.append(await live.block(each, flooding=True))
            tally = turns.close_period().get("a")
            print(number, summed(alone[-1:]), summed(flooded[-1:]), tally, flush=True)
        capacity = turns.capacity
    told = await accounts(windows, wall) if windows else None
    async with world(Turns(10_000, SystemClock())) as live:
        arrival = await live.block(requests, flooding=True, seconds=FCFS_S)
    result: dict[str, Any] = {
        "alone": summed(alone),
        "shares": summed(flooded),
        "fcfs": summed([arrival]),
        "capacity": None if capacity is None else round(capacity, 1),
        "accounts": told,
    }
    for kind in ("ttft", "engine"):
        for name in PARTS:
            key = f"{kind}_{name}_ms"
            result[f"{kind}_{name}_ratio"] = round(result["shares"][key] / result["alone"][key], 2)
    medians = [
        statistics.median(after.first_s) / statistics.median(before.first_s)
        for before, after in zip(alone, flooded, strict=True)
    ]
    result["ttft_p50_ratio_median_of_rounds"] = round(statistics.median(medians), 2)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--requests", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--windows", type=int, default=12, help="of ten seconds; 0: none")
    parser.add_argument("--wall", action="store_true", help="windows by the wall clock")
    given = parser.parse_args()
    result = asyncio.run(measure(given.requests, given.rounds, given.windows, given.wall))
    for name in ("alone", "shares", "fcfs", "accounts"):
        print(name, result[name])
    print(json.dumps(result))


if __name__ == "__main__":
    main()
