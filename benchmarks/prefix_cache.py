# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The prompt cache, by the clock: warm for its tenant, cold for all others.

SmolLM2 in its sandbox, four slots, one thread, behind a runner's socket. In each round, one after
the other, the time to the first token of a prompt of about 150 tokens:

* cold: a new tenant asks what nobody has asked;
* again: the same tenant asks the same;
* turn: the same tenant goes on with the conversation, by about 20 tokens;
* other: a new tenant asks the same prompt, while the slots hold it;
* spy: a tenant that has its own slot asks the same prompt, by which it owns it;
* new: a new tenant asks another prompt of the same length, which nobody has asked: cold once more.

Where a request stands in the round changes every time. `other_ratio` and `spy_ratio` are medians
against all cold ones, `_cpu` those of the engine's CPU time, which other work on the machine hardly
touches; `advantage` is how much better than chance who sees one time can tell `other` or `spy` from
cold: 0 is not at all, 1 always.

    python benchmarks/prefix_cache.py [--rounds 24]
"""

import argparse
import asyncio
import json
import os
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
from bastide.core.chat import GenerateRequest, Sampling, Usage  # noqa: E402
from bastide.core.errors import Unavailable  # noqa: E402
from contracts import smollm2  # noqa: E402

SLOTS = 4
TURN = " The guard asked who was there. Nobody answered, for the wind had taken the bell away."


def prompt(number: int, kind: str) -> str:
    """About 150 tokens that no other prompt begins with; of equal length for equal digits."""
    return f"{number:04} {kind}: " + "At dusk the keeper closed the gate and lit the lamp. " * 12


class World:
    """One engine, and the times that its clients saw."""

    def __init__(self, client: RemoteEngine, pid: int) -> None:
        self.client = client
        self.child = descendants(pid)[-1]
        self.first_s: dict[str, list[float]] = {}
        self.cpu_s: dict[str, list[float]] = {}
        self.usage: dict[str, Usage] = {}

    async def ask(self, name: str, tenant: str, text: str) -> None:
        sampling = Sampling(max_tokens=2, temperature=0)
        request = GenerateRequest("bench", "m", prompt=text, sampling=sampling, tenant=tenant)
        began, computed, usage = time.perf_counter(), cpu_s(self.child), Usage()
        first = cpu = 0.0
        async with aclosing(self.client.generate(request)) as deltas:
            async for delta in deltas:
                if not first:
                    first, cpu = time.perf_counter() - began, cpu_s(self.child) - computed
                usage = delta.usage or usage
        self.first_s.setdefault(name, []).append(first)
        self.cpu_s.setdefault(name, []).append(cpu)
        self.usage[name] = usage

    async def round(self, number: int) -> None:
        text, mine = prompt(number, "a"), f"owner-{number}"
        await self.ask("cold", mine, text)
        # The spy's own slot, which is not counted, must hold before it probes.
        await self.ask("spy's own", "spy", f"{number:04} I was here first.")
        steps = [
            ("again", mine, text),
            ("other", f"other-{number}", text),
            ("spy", "spy", text),
            ("new", f"new-{number}", prompt(number, "b")),
        ]
        turn = number % len(steps)
        for name, tenant, words in steps[turn:] + steps[:turn]:
            await self.ask(name, tenant, words)
        # Three of four slots went to others meanwhile; the owner's is the fourth, or was taken.
        await self.ask("owner again", mine, text)
        await self.ask("turn", mine, text + TURN)


def descendants(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(found for child in children for found in descendants(int(child)))]


def cpu_s(pid: int) -> float:
    """CPU time of a process, to a hundredth of a second."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def advantage(cold: list[float], other: list[float]) -> float:
    """Twice the distance from 1/2 of the chance that one of `other` is below one of `cold`."""
    below = sum((b < a) + 0.5 * (b == a) for a in cold for b in other)
    return abs(2 * below / (len(cold) * len(other)) - 1)


async def run(rounds: int) -> dict[str, Any]:
    clock = SystemClock()
    with tempfile.TemporaryDirectory(prefix="prefix-") as folder, smollm2.weights() as weights:
        pids: list[int] = []

        async def make() -> Any:
            engine = await smollm2.start(weights, folder, slots=SLOTS, context_tokens=1_024)
            pids.append(engine.pid)
            return engine

        socket, stop = Path(folder) / "runner.sock", asyncio.Event()
        runner = Runner(make, socket, clock, None, Turns(SLOTS, clock))
        serving = asyncio.ensure_future(runner.run(stop))
        client = RemoteEngine(str(socket))
        try:
            await _healthy(client)
            world = World(client, pids[-1])
            await world.ask("warm-up", "nobody", prompt(9_999, "w"))
            for number in range(rounds):
                await world.round(number)
        finally:
            await client.close()
            stop.set()
            await serving
    times = world.first_s
    cold = times["cold"] + times["new"]
    medians = {name: statistics.median(values) for name, values in times.items()}
    base = statistics.median(cold)
    worked = {name: statistics.median(values) for name, values in world.cpu_s.items()}
    work = statistics.median(world.cpu_s["cold"] + world.cpu_s["new"])
    return {
        "rounds": rounds,
        "prompt_tokens": world.usage["cold"].prompt_tokens,
        "ttft_ms": {name: round(1000 * value, 1) for name, value in medians.items()},
        "cached_tokens": {name: usage.cached_tokens for name, usage in world.usage.items()},
        "cold_ms": round(1000 * base, 1),
        "cold_cpu_ms": round(1000 * work),
        "again_speedup": round(base / medians["again"], 1),
        "turn_speedup": round(base / medians["turn"], 1),
        "other_ratio": round(medians["other"] / base, 3),
        "spy_ratio": round(medians["spy"] / base, 3),
        "other_cpu_ratio": round(worked["other"] / work, 3),
        "spy_cpu_ratio": round(worked["spy"] / work, 3),
        "new_ratio": round(medians["new"] / medians["cold"], 3),
        "advantage": round(advantage(cold, times["other"] + times["spy"]), 3),
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
    parser.add_argument("--rounds", type=int, default=24)
    result = asyncio.run(run(parser.parse_args().rounds))
    for name, value in result["ttft_ms"].items():
        print(f"{name:12} {value:8.1f} ms  {result['cached_tokens'][name]:4} cached")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
