# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Does a promise hold for a whole deployment of several replicas? In virtual time.

Queues, routing and the exchange between replicas are the real ones (core/fair_queue.py,
core/replicas.py, core/taken.py); the engine is that of benchmarks/shares.py. Five tenants ask for
ten times what all replicas can do, in requests six times longer. Beside them:

* big: promised half of the deployment, which is more than any one replica can do, and asks for
  twice that. All of its prompts begin alike: the worst case for affinity.
* small: promised a tenth of *one* replica; asks for 90 % of it, always with the same beginning, so
  that all of it goes to one replica.

Each is run with one promise for all replicas, and with a fixed part of it at each, for comparison.

    python benchmarks/replica_shares.py
"""

import json
import random
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from share_engine import COST, Ask, Fcfs, LeastLoaded, Seen, Weighed, simulate
from shares import FLOODERS, LONG, SHORT, merged, percentile, poisson

from bastide.core.fair_queue import FairQueue
from bastide.core.limits import REPLICA_TRIES
from bastide.core.replicas import Replicas
from bastide.core.share import Promise
from bastide.core.taken import Exchange, Taken

SYNC_S = 0.1  # as app/share_minutes.py
AT_ONCE = 1e6  # all that one replica runs costs less


class Router(LeastLoaded):
    """The real routing of one gateway, and the real exchange; without that if not `joint`."""

    def __init__(self, queues: list[FairQueue], slots: int, joint: bool, promise: float) -> None:
        self._queues = queues
        self._routing = Replicas(len(queues), slots)
        self._taken, self._rates = Taken(), {"a": promise}
        self._exchanges = [Exchange(("", at + 1), f"life {at}") for at in range(len(queues))]
        self._next = SYNC_S if joint else float("inf")

    def weighed(self, index: int) -> Weighed:
        return partial(self._weigh, index)

    def _weigh(self, index: int, ask: Ask, sign: int) -> None:
        count = self._routing.enter if sign > 0 else self._routing.leave
        count(ask.tenant, index)

    def tries(self, now: float, ask: Ask) -> Iterator[int]:
        tried: list[int] = []
        while len(tried) < REPLICA_TRIES:
            found = self._routing.choose(now, ask.tenant, ask.key, tried)
            if found is None:
                return
            tried.append(found)
            yield found

    def next_sync(self) -> float:
        return self._next

    def sync(self, now: float) -> None:
        self._next = now + SYNC_S
        for queue, exchange in zip(self._queues, self._exchanges, strict=True):
            report = exchange.report("m", queue.taken(), queue.ahead(now))
            heard = self._taken.tell(now, report, self._rates, AT_ONCE)
            if (others := exchange.hear(report, heard)) is not None:
                queue.taken_elsewhere(now, others, heard.replicas, heard.ahead)


class World:
    """Some replicas under a flood."""

    def __init__(self, replicas: int, slots: int, seconds: float, seed: int = 1) -> None:
        self.replicas, self.slots, self.seconds = replicas, slots, seconds
        self.warm, self.end = 10.0, 10.0 + seconds
        self._chance = random.Random(seed)
        probe = poisson(self._chance, "probe", 50_000, *LONG, self.end)
        seen = simulate(probe, [Fcfs(slots)], self.end)
        self.one = seen.everything(self.warm, self.end) / seconds  # capacity of one replica
        rate = 10 * self.one * replicas / len(FLOODERS)
        self._floods = merged(
            *(poisson(self._chance, name, rate, *LONG, self.end) for name in FLOODERS)
        )
        for ask in self._floods:
            ask.key = self._chance.getrandbits(64)

    def asking(self, units_per_s: float) -> list[Ask]:
        """A tenant whose prompts all begin alike."""
        asks = poisson(self._chance, "a", units_per_s, *SHORT, self.end)
        key = self._chance.getrandbits(64)
        for ask in asks:
            ask.key = key
        return asks

    def run(self, asks: list[Ask], promise: float, joint: bool = True) -> Seen:
        part = promise if joint else promise / self.replicas
        queues = [FairQueue(self.slots, COST, replicas=self.replicas) for _ in range(self.replicas)]
        for queue in queues:
            queue.share_out(0.0, {"a": Promise(part)})
        router = Router(queues, self.slots, joint, promise)
        return simulate(merged(asks, self._floods), queues, self.end, 4, router)

    def fcfs(self, asks: list[Ask]) -> Seen:
        for ask in (both := merged(asks, self._floods)):
            ask.choices = tuple(range(self.replicas))
        return simulate(both, [Fcfs(self.slots) for _ in range(self.replicas)], self.end)

    def worst(self, seen: Seen, owed_per_s: float, length: float) -> float:
        """The least that was delivered of what was owed in any window."""
        starts = range(int(self.warm), int(self.end - length) + 1)
        worst = min(seen.total("a", at, at + length) for at in starts)
        return round(worst / owed_per_s / length, 4)

    def first_ms(self, seen: Seen, part: float) -> float:
        waits = [wait for at, wait in seen.first_s["a"] if at >= self.warm]
        return round(1000 * percentile(waits, part), 1)


def big(replicas: int, slots: int, seconds: float) -> dict[str, Any]:
    """More than one replica can do, promised to one tenant."""
    world = World(replicas, slots, seconds)
    promise = world.one * replicas / 2
    asks = world.asking(2.0 * promise)
    seen, before = world.run(asks, promise), world.fcfs(asks)
    return {
        "replicas": replicas,
        "slots": slots,
        "promise_units_per_s": round(promise),
        "share_10s_min": world.worst(seen, promise, 10.0),
        "share_all": world.worst(seen, promise, seconds),
        "share_all_fcfs": world.worst(before, promise, seconds),
        # Beyond its promise it is one borrower of six.
        "taken_beyond": round(
            (seen.total("a", world.warm, world.end) / seconds - promise)
            / (seen.everything(world.warm, world.end) / seconds - promise),
            4,
        ),
        "throughput_ratio": round(
            seen.everything(world.warm, world.end) / before.everything(world.warm, world.end), 4
        ),
    }


def small(replicas: int, slots: int, seconds: float) -> dict[str, Any]:
    """A tenant whose requests all go to one replica."""
    world = World(replicas, slots, seconds)
    promise = world.one / 10
    asks = world.asking(0.9 * promise)
    wanted = sum(COST.of(ask.prompt, ask.output) for ask in asks if ask.at >= world.warm) / seconds
    rows: dict[str, Any] = {"replicas": replicas, "slots": slots}
    shown: list[tuple[str, Callable[[], Seen]]] = [
        ("joint", lambda: world.run(asks, promise)),
        ("divided", lambda: world.run(asks, promise, joint=False)),
    ]
    for name, run in shown:
        seen = run()
        rows[f"share_all_{name}"] = world.worst(seen, wanted, seconds)
        rows[f"ttft_p50_ms_{name}"] = world.first_ms(seen, 0.5)
        rows[f"ttft_p99_ms_{name}"] = world.first_ms(seen, 0.99)
    return rows


def main() -> None:
    result = {"big": [], "small": []}
    for replicas, slots in ((2, 8), (4, 8), (4, 32), (8, 8)):
        result["big"].append(big(replicas, slots, 60.0))
        print(result["big"][-1])
        result["small"].append(small(replicas, slots, 60.0))
        print(result["small"][-1])
    print(json.dumps(result))


if __name__ == "__main__":
    main()
