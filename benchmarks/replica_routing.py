# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Which replica should be asked? Affine, round robin and least loaded, in virtual time.

Affine is the real routing (core/replicas.py), with the real bounds. Replicas are modelled: some
slots, first come first served, a prefix cache of so many tokens a slot (the conversation that was
used longest ago goes first), and the costs of benchmarks/share_engine.py: a token that is read, a
step for each that is written. Conversations of 20 tenants begin at random; a turn's prompt is all
that was said before and more, and comes a while after the answer before. All three policies get the
same conversations.

Printed for each policy: hits (prompt tokens that the replica had, of all), the mean and the 99th
percentile of the time to a first token, and imbalance: the load of the fullest replica over the
mean, over all arrivals at which there were as many requests as replicas.

    python benchmarks/replica_routing.py
"""

import heapq
import json
import random
import sys
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from share_engine import PER_ANSWER_S, PER_PROMPT_TOKEN_S, STEP_S
from shares import percentile

from bastide.core.replicas import Replicas

TENANTS = 20
FIRST, MORE, SAID = (200, 2_000), (20, 300), (50, 400)  # tokens: first prompt, each more, answers
TURNS = (2, 12)
THINK_S = 10.0
CACHE_TOKENS = 12_500  # for each slot of a replica


@dataclass(slots=True)
class Talk:
    """One conversation: what each turn adds to the prompt, how long its answers are."""

    tenant: str
    key: int
    turns: list[tuple[int, int, float]]  # tokens more, tokens of the answer, seconds until the next
    said: int = 0  # tokens of prompt and answers before
    turn: int = 0


@dataclass
class Place:
    """One replica."""

    slots: int
    busy: int = 0
    waiting: deque[tuple[float, Talk]] = field(default_factory=deque)
    cache: OrderedDict[int, int] = field(default_factory=OrderedDict)  # tokens by conversation

    def known(self, talk: Talk) -> int:
        """How many tokens of a prompt need not be read."""
        return min(self.cache.get(talk.key, 0), talk.said)

    def keep(self, talk: Talk, tokens: int) -> None:
        """Have a conversation in the cache, newest."""
        self.cache[talk.key] = tokens
        self.cache.move_to_end(talk.key)
        while sum(self.cache.values()) > CACHE_TOKENS * self.slots and len(self.cache) > 1:
            self.cache.popitem(last=False)


Choice = Callable[[Replicas, float, Talk], int]


def affine(routing: Replicas, now: float, talk: Talk) -> int:
    """As the gateway does."""
    found = routing.choose(now, talk.tenant, talk.key)
    assert found is not None
    return found


def least_loaded(routing: Replicas, now: float, talk: Talk) -> int:
    """The one with the fewest requests."""
    return min(range(routing.count), key=lambda at: (routing.loads[at], at))


def round_robin() -> Choice:
    """One after the other."""
    turn = -1

    def choose(routing: Replicas, now: float, talk: Talk) -> int:
        nonlocal turn
        turn += 1
        return turn % routing.count

    return choose


def talks(chance: random.Random, per_s: float, end: float) -> Iterator[tuple[float, Talk]]:
    """Conversations as they begin."""
    now = 0.0
    while (now := now + chance.expovariate(per_s)) < end:
        turns = [
            (
                chance.randint(*(MORE if turn else FIRST)),
                chance.randint(*SAID),
                chance.expovariate(1 / THINK_S),
            )
            for turn in range(chance.randint(*TURNS))
        ]
        yield now, Talk(f"t{chance.randrange(TENANTS)}", chance.getrandbits(64), turns)


class Run:
    """One policy over one schedule."""

    def __init__(self, replicas: int, slots: int, choose: Choice) -> None:
        self.routing = Replicas(replicas, slots)
        self.places = [Place(slots) for _ in range(replicas)]
        self.choose = choose
        self.read = self.hits = 0
        self.first_s: list[float] = []
        self.imbalance: list[float] = []
        self._events: list[tuple[float, int, Callable[[float], None]]] = []
        self._number = 0

    def at(self, when: float, do: Callable[[float], None]) -> None:
        self._number += 1
        heapq.heappush(self._events, (when, self._number, do))

    def run(self, schedule: Iterator[tuple[float, Talk]]) -> None:
        for when, talk in schedule:
            self.at(when, lambda now, talk=talk: self.ask(now, talk))
        while self._events:
            when, _, do = heapq.heappop(self._events)
            do(when)

    def ask(self, now: float, talk: Talk) -> None:
        at = self.choose(self.routing, now, talk)
        self.routing.enter(talk.tenant, at)
        loads = self.routing.loads
        if sum(loads) >= len(loads):
            self.imbalance.append(max(loads) * len(loads) / sum(loads))
        self.places[at].waiting.append((now, talk))
        self.begin(now, at)

    def begin(self, now: float, at: int) -> None:
        place = self.places[at]
        while place.waiting and place.busy < place.slots:
            came, talk = place.waiting.popleft()
            more, answer, think = talk.turns[talk.turn]
            prompt, known = talk.said + more, place.known(talk)
            self.read += prompt
            self.hits += known
            place.busy += 1
            step = STEP_S + PER_ANSWER_S * place.busy
            first = now + (prompt - known) * PER_PROMPT_TOKEN_S + step
            self.first_s.append(first - came)
            talk.said = prompt + answer
            place.keep(talk, talk.said)
            self.at(
                first + (answer - 1) * step,
                lambda then, at=at, talk=talk, think=think: self.finish(then, at, talk, think),
            )

    def finish(self, now: float, at: int, talk: Talk, think: float) -> None:
        self.places[at].busy -= 1
        self.routing.leave(talk.tenant, at)
        talk.turn += 1
        if talk.turn < len(talk.turns):
            self.at(now + think, lambda then: self.ask(then, talk))
        self.begin(now, at)


def compare(replicas: int, slots: int, load: float, seconds: float, seed: int = 1) -> list[Any]:
    """A row for each policy. `load` is of all slots, as if nothing had to be read."""
    turns = (TURNS[0] + TURNS[1]) / 2
    held_s = sum(SAID) / 2 * (STEP_S + PER_ANSWER_S * slots)
    per_s = load * replicas * slots / (turns * held_s)
    rows = []
    policies = {"affine": affine, "round_robin": round_robin(), "least_loaded": least_loaded}
    for name, choose in policies.items():
        run = Run(replicas, slots, choose)
        run.run(talks(random.Random(seed), per_s, seconds))
        rows.append(
            {
                "policy": name,
                "replicas": replicas,
                "slots": slots,
                "load": load,
                "turns": len(run.first_s),
                "hits": round(run.hits / run.read, 4),
                "ttft_mean_ms": round(1000 * sum(run.first_s) / len(run.first_s), 1),
                "ttft_p99_ms": round(1000 * percentile(run.first_s, 0.99), 1),
                "imbalance": round(sum(run.imbalance) / len(run.imbalance), 3),
            }
        )
    return rows


def main() -> None:
    rows = []
    for replicas, slots, load in ((4, 8, 0.5), (4, 8, 0.8), (8, 8, 0.8), (4, 32, 0.8)):
        for row in compare(replicas, slots, load, 600.0):
            print(row)
            rows.append(row)
    print(json.dumps(rows))


if __name__ == "__main__":
    main()
