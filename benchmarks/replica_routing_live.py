# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Which replica should be asked? Affine or least loaded, before two real engines, by the clock.

SmolLM2 in two sandboxes, four slots and one thread each, behind runners' sockets and the gateway's
own routing (gateway/replicated.py); least loaded is the same without the key of a conversation. Six
conversations of six tenants go on at once; a turn's prompt is all that was said before and a
sentence more, and comes a moment after the answer before. The policies take turns, with tenants
that nobody has seen, so that a busy moment hits both.

Printed for each policy, over all turns but the first of each conversation: the time to a first
token, and the part of prompt tokens that the engine had. benchmarks/replica_routing.py has more
replicas, and other policies, in virtual time.

    python benchmarks/replica_routing_live.py [--rounds 4]
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
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
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
from bastide.gateway.replicated import ReplicatedEngine, Search  # noqa: E402
from contracts import smollm2  # noqa: E402

REPLICAS, SLOTS, CONTEXT = 2, 4, 1_024
TALKS, TURNS, SAID, THINK_S = 6, 7, 16, 0.5
OPENING = "At dusk the keeper of gate {number} closed it and lit the lamp, for the road was dark. "
MORE = " Then somebody asked what came next, and the keeper of gate {number} told it once more:"


class LeastLoaded(ReplicatedEngine):
    """Knows nothing of conversations."""

    def search(self, tenant: str, key: int | None) -> Search:
        """As for what has no beginning."""
        return super().search(tenant, None)


POLICIES = {"affine": ReplicatedEngine, "least_loaded": LeastLoaded}


@dataclass
class Seen:
    """What one policy's clients saw."""

    first_s: list[float] = field(default_factory=list)
    read: int = 0
    had: int = 0


async def talk(engine: ReplicatedEngine, seen: Seen, number: int, chance: random.Random) -> None:
    """One conversation."""
    text = OPENING.format(number=number) * 7
    for turn in range(TURNS):
        if turn:
            text += MORE.format(number=number)
            await asyncio.sleep(chance.expovariate(1 / THINK_S))
        sampling = Sampling(max_tokens=SAID, temperature=0)
        tenant = f"tenant-{number}"
        request = GenerateRequest("bench", "m", prompt=text, sampling=sampling, tenant=tenant)
        began, first, usage = time.perf_counter(), 0.0, Usage()
        async with aclosing(engine.generate(request)) as deltas:  # type: ignore[type-var]
            async for delta in deltas:
                first = first or time.perf_counter() - began
                usage = delta.usage or usage
                text += delta.text
        if turn:
            seen.first_s.append(first)
            seen.read += usage.prompt_tokens
            seen.had += usage.cached_tokens


@asynccontextmanager
async def replicas() -> AsyncGenerator[list[str]]:
    """The sockets of runners whose engines have loaded."""
    clock, stop = SystemClock(), asyncio.Event()
    with tempfile.TemporaryDirectory(prefix="routing-") as name, smollm2.weights() as weights:
        sockets, serving = [], []
        for number in range(REPLICAS):
            folder = Path(name) / str(number)
            folder.mkdir()

            async def make(folder: Path = folder) -> Any:
                return await smollm2.start(weights, folder, slots=SLOTS, context_tokens=CONTEXT)

            sockets.append(str(folder / "runner.sock"))
            turns = Turns(SLOTS, clock, replicas=REPLICAS)
            runner = Runner(make, Path(sockets[-1]), clock, None, turns)
            serving.append(asyncio.ensure_future(runner.run(stop)))
        try:
            for socket in sockets:
                await healthy(socket)
            yield sockets
        finally:
            stop.set()
            await asyncio.gather(*serving)


async def healthy(socket: str) -> None:
    """Return when an engine answers."""
    client = RemoteEngine(socket)
    async with asyncio.timeout(120):
        while True:
            with contextlib.suppress(Unavailable):
                await client.health()
                break
            await asyncio.sleep(0.05)
    await client.close()


async def run(rounds: int) -> dict[str, Any]:
    """Both policies in turns."""
    seen = {name: Seen() for name in POLICIES}
    numbers = iter(range(100, 10_000))
    async with replicas() as sockets:
        for number in range(rounds):
            order = list(POLICIES) if number % 2 else list(reversed(POLICIES))
            for name in order:
                remote = [RemoteEngine(socket) for socket in sockets]
                engine = POLICIES[name](remote, SystemClock(), SLOTS)
                mine = [next(numbers) for _ in range(TALKS)]
                chances = [random.Random(number * TALKS + at) for at in range(TALKS)]
                talks = (
                    talk(engine, seen[name], at, chance)
                    for at, chance in zip(mine, chances, strict=True)
                )
                await asyncio.gather(*talks)
                await engine.close()
    rows = {name: _row(one) for name, one in seen.items()}
    ratio = rows["least_loaded"]["ttft_p50_ms"] / rows["affine"]["ttft_p50_ms"]
    return {"rounds": rounds, **rows, "ttft_p50_ratio": round(ratio, 2)}


def _row(seen: Seen) -> dict[str, float]:
    times = sorted(1000 * one for one in seen.first_s)
    return {
        "turns": len(times),
        "ttft_mean_ms": round(statistics.mean(times), 1),
        "ttft_p50_ms": round(statistics.median(times), 1),
        "ttft_p90_ms": round(times[int(0.9 * len(times))], 1),
        "hits": round(seen.had / seen.read, 3),
    }


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=4)
    result = asyncio.run(run(parser.parse_args().rounds))
    for name in POLICIES:
        print(name, result[name])
    print(json.dumps(result))


if __name__ == "__main__":
    main()
