# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Does a promise hold while one deployment takes another's place? In virtual time.

One replica, then two, then one again, each loading for five seconds beside what serves. Queues,
routing and the exchange are the real ones, the engine is that of benchmarks/shares.py. Five tenants
ask for ten times what one replica can do, in requests six times longer; one is promised half of one
replica and asks for twice that.

* now: what loads knows the promises and hears what is taken, and takes the clocks up.
* before: it learns of promises when it serves already (0.1 s), and its clocks begin at that moment.

Printed for each: the least that came of the promise in any ten seconds, over all and around the
switches; the most that was taken from it in any second around a switch, in seconds of it (a burst
is five); and, where the tenant asks for 80 % of its promise, the time to a first token of what was
asked within ten seconds after a switch.

    python benchmarks/switch_shares.py
"""

import json
import random
import sys
from collections.abc import Iterator
from dataclasses import dataclass
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

SYNC_S, LOADS_S, WINDOW_S = 0.1, 5.0, 10.0
AT_ONCE = 1e6  # all that one replica runs costs less
SWITCHES = (30.0, 60.0)
WARM, END = 10.0, 90.0


@dataclass(frozen=True)
class Plan:
    """A deployment: its queues, and from when on it serves."""

    first: int
    replicas: int
    serves: float
    routing: Replicas


class Switching(LeastLoaded):
    """Asks what serves; what is replaced answers what it has."""

    def __init__(self, slots: int, promise: float, knows: bool) -> None:
        self._promise, self._knows = promise, knows
        self.plans = [
            Plan(first, count, serves, Replicas(count, slots))
            for first, count, serves in zip((0, 1, 3), (1, 2, 1), (0.0, *SWITCHES), strict=True)
        ]
        self._of = [plan for plan in self.plans for _ in range(plan.replicas)]
        self.queues = [
            FairQueue(slots, COST, replicas=plan.replicas, joins=knows) for plan in self._of
        ]
        self._exchanges = [Exchange(("", at + 1), f"life {at}") for at in range(len(self.queues))]
        self._taken, self._begun, self._next = Taken(), set[int](), 0.0
        self.took: dict[int, float] = {}  # by tenth of a second

    def weighed(self, index: int) -> Weighed:
        return partial(self._weigh, index)

    def _weigh(self, index: int, ask: Ask, sign: int) -> None:
        plan = self._of[index]
        count = plan.routing.enter if sign > 0 else plan.routing.leave
        count(ask.tenant, index - plan.first)

    def tries(self, now: float, ask: Ask) -> Iterator[int]:
        plan = [plan for plan in self.plans if plan.serves <= now][-1]
        tried: list[int] = []
        while len(tried) < REPLICA_TRIES:
            found = plan.routing.choose(now, ask.tenant, ask.key, tried)
            if found is None:
                return
            tried.append(found)
            yield plan.first + found

    def next_sync(self) -> float:
        return self._next

    def sync(self, now: float) -> None:
        self._next = now + SYNC_S
        for index, queue in enumerate(self.queues):
            plan = self._of[index]
            if now < plan.serves + (-LOADS_S if self._knows else SYNC_S * (index > 0)):
                continue
            if index not in self._begun:
                self._begun.add(index)
                queue.share_out(now, {"a": Promise(self._promise)})
            taken = queue.taken()
            at = round(now / SYNC_S)
            self.took[at] = self.took.get(at, 0.0) + taken.get("a", 0.0)
            if self._knows or plan.replicas > 1:
                self._exchange(now, index, taken)

    def _exchange(self, now: float, index: int, taken: dict[str, float]) -> None:
        queue, exchange = self.queues[index], self._exchanges[index]
        report = exchange.report("m", taken, queue.ahead(now))
        heard = self._taken.tell(now, report, {"a": self._promise}, AT_ONCE)
        if (others := exchange.hear(report, heard)) is not None:
            ahead = heard.ahead if self._knows else {}
            queue.taken_elsewhere(now, others, heard.replicas if self._knows else 0, ahead)


def run(slots: int, knows: bool, seed: int) -> dict[str, Any]:
    """One schedule."""
    chance = random.Random(seed)
    probe = poisson(chance, "probe", 50_000, *LONG, 30.0)
    one = simulate(probe, [Fcfs(slots)], 30.0).everything(WARM, 30.0) / (30.0 - WARM)
    promise = one / 2
    floods = [poisson(chance, name, 10 * one / len(FLOODERS), *LONG, END) for name in FLOODERS]

    def asking(part: float) -> tuple[Switching, Seen]:
        asks = merged(poisson(chance, "a", part * promise, *SHORT, END), *floods)
        for ask in asks:
            ask.key = chance.getrandbits(64)
        router = Switching(slots, promise, knows)
        return router, simulate(asks, router.queues, END, 4, router)

    router, seen = asking(2.0)

    def least(starts: range) -> float:
        worst = min(seen.total("a", at / 2, at / 2 + WINDOW_S) for at in starts)
        return round(worst / promise / WINDOW_S, 3)

    near = [range(int(2 * (at - WINDOW_S)), int(2 * (at + WINDOW_S))) for at in SWITCHES]
    waits = [
        wait
        for at, wait in asking(0.8)[1].first_s["a"]
        if any(switch <= at - wait < switch + WINDOW_S for switch in SWITCHES)
    ]
    steps = round(1.0 / SYNC_S)
    taken = [
        sum(router.took.get(first + step, 0.0) for step in range(steps))
        for switch in SWITCHES
        for first in range(round((switch - 1) / SYNC_S), round((switch + 5) / SYNC_S))
    ]
    return {
        "share_10s_min": least(range(int(2 * WARM), int(2 * (END - WINDOW_S)))),
        "share_10s_min_switch": min(map(least, near)),
        "ttft_p50_ms_switch": round(1000 * percentile(waits, 0.5), 1),
        "ttft_p99_ms_switch": round(1000 * percentile(waits, 0.99), 1),
        "taken_1s_max_switch": round(max(taken) / promise, 2),
    }


def main() -> None:
    rows: list[dict[str, Any]] = []
    for slots in (4, 8, 32):
        for name, knows in (("now", True), ("before", False)):
            seen = [run(slots, knows, seed) for seed in range(3)]
            worst = {
                key: (min if key.startswith("share") else max)(row[key] for row in seen)
                for key in seen[0]
            }
            rows.append({"slots": slots, "which": name, **worst})
            print(rows[-1], flush=True)
    print(json.dumps(rows))


if __name__ == "__main__":
    main()
