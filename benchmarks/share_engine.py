# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""A model of continuous batching in virtual time, for benchmarks/shares.py, which describes it."""

import heapq
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from bastide.core.errors import Busy
from bastide.core.share import Cost
from bastide.core.ticket import Ticket

__all__ = ["COST", "Ask", "Fcfs", "LeastLoaded", "Replica", "Seen", "Weighed", "simulate"]

Weighed = Callable[["Ask", int], None]

COST = Cost()
STEP_S, PER_ANSWER_S, PER_PROMPT_TOKEN_S = 0.008, 0.0001, 0.00004
CHUNK, PART = 2_048, 1_024  # prompt tokens read in a step, and of one prompt
BUCKET_S = 0.1


@dataclass(slots=True)
class Ask:
    """One request of a schedule."""

    at: float
    tenant: str
    prompt: int
    output: int
    choices: tuple[int, ...] = (0,)  # replicas that can answer it
    key: int = 0  # how its conversation begins, for a router


@dataclass(slots=True)
class Seen:
    """What came out: units by tenant and bucket of time, and times to first token."""

    units: dict[str, dict[int, float]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(float))
    )
    first_s: dict[str, list[tuple[float, float]]] = field(default_factory=lambda: defaultdict(list))
    refused: int = 0

    def total(self, tenant: str, start: float, end: float) -> float:
        first, last = round(start / BUCKET_S), round(end / BUCKET_S)
        return sum(units for at, units in self.units[tenant].items() if first <= at < last)

    def everything(self, start: float, end: float) -> float:
        return sum(self.total(tenant, start, end) for tenant in list(self.units))


class Fcfs:
    """What nginx, LiteLLM and engines do: first come, first served."""

    capacity = None

    def __init__(self, slots: int) -> None:
        self.free = slots
        self._waiting: deque[Ticket] = deque()

    def enter(self, now: float, name: str, prompt: float, output_max: float | None) -> Ticket:
        ticket = Ticket(name, now, prompt, output_max or 0.0, 0.0)
        self._waiting.append(ticket)
        return ticket

    def dispatch(self, now: float) -> list[Ticket]:
        begun = []
        while self.free and self._waiting:
            self.free -= 1
            begun.append(self._waiting.popleft())
        return begun

    def charge(self, now: float, ticket: Ticket, usage: Any = None, tokens: int = 1) -> bool:
        return False

    def finish(self, now: float, ticket: Ticket, usage: Any = None) -> None:
        self.free += 1

    def expire(self, now: float) -> list[Ticket]:
        return []

    def wake_at(self) -> float | None:
        return None


@dataclass(slots=True, eq=False)
class Running:
    ask: Ask
    ticket: Ticket
    unread: int
    said: int = 0
    told: int = 0


class Replica:
    """An engine of continuous batching behind a queue."""

    def __init__(
        self, queue: Any, seen: Seen, stride: int = 1, weighed: Weighed | None = None
    ) -> None:
        self.queue = queue
        self._weighed = weighed
        # Units that wait or run, of each tenant and of all: what a router balances.
        self.own: dict[str, float] = defaultdict(float)
        self.load = 0.0
        self._seen = seen
        self._stride = stride  # tell the queue of every so many tokens
        self._asks: dict[Ticket, Ask] = {}
        self._reading: deque[Running] = deque()
        self._writing: list[Running] = []
        self.step_ends: float | None = None
        self._chunks: list[tuple[Running, int]] = []

    def ask(self, now: float, ask: Ask) -> bool:
        """Take a request. False if the queue does not."""
        try:
            ticket = self.queue.enter(now, ask.tenant, ask.prompt, None)
        except Busy:
            return False
        self._asks[ticket] = ask
        self._weigh(ask, 1)
        self.turn(now)
        return True

    def turn(self, now: float) -> None:
        """Begin what may begin, and a step if none runs."""
        for ticket in self.queue.expire(now):
            ask = self._asks.pop(ticket)
            self._weigh(ask, -1)
            self._seen.refused += 1
        for ticket in self.queue.dispatch(now):
            ask = self._asks.pop(ticket)
            self._reading.append(Running(ask, ticket, ask.prompt))
        if self.step_ends is None and (self._reading or self._writing):
            self._chunks, room = [], CHUNK
            for running in self._reading:
                part = min(room, running.unread, PART)
                self._chunks.append((running, part))
                room -= part
                if not room:
                    break
            read = CHUNK - room
            length = STEP_S + PER_ANSWER_S * len(self._writing) + PER_PROMPT_TOKEN_S * read
            self.step_ends = now + length

    def end_step(self) -> None:
        now = self.step_ends
        assert now is not None
        self.step_ends = None
        bucket = int(now / BUCKET_S)
        units = self._seen.units
        for running in list(self._writing):
            units[running.ask.tenant][bucket] += COST.output
            self._say(now, running)
        for running, part in self._chunks:
            running.unread -= part
            units[running.ask.tenant][bucket] += COST.prompt * part
            if not running.unread:
                self._reading.remove(running)
                self._writing.append(running)
                units[running.ask.tenant][bucket] += COST.output
                self._seen.first_s[running.ask.tenant].append((now, now - running.ask.at))
                self._say(now, running)
        self.turn(now)

    def _weigh(self, ask: Ask, sign: int) -> None:
        units = sign * COST.of(ask.prompt, ask.output)
        self.own[ask.tenant] += units
        self.load += units
        if self._weighed is not None:
            self._weighed(ask, sign)

    def _say(self, now: float, running: Running) -> None:
        running.said += 1
        over = running.said >= running.ask.output
        if over or running.said == 1 or running.said - running.told >= self._stride:
            self.queue.charge(now, running.ticket, tokens=running.said - running.told)
            running.told = running.said
        if over:
            self._writing.remove(running)
            self._weigh(running.ask, -1)
            self.queue.finish(now, running.ticket)


class LeastLoaded:
    """Sends each request to where its tenant has least, of the replicas that can answer it."""

    replicas: list[Replica]

    def weighed(self, index: int) -> Weighed | None:
        """Nothing is counted here: the replicas know."""
        return None

    def tries(self, now: float, ask: Ask) -> Iterator[int]:
        """Which replicas are asked, one after the other, until one takes the request."""
        yield min(
            ask.choices,
            key=lambda number: (self.replicas[number].own[ask.tenant], self.replicas[number].load),
        )

    def next_sync(self) -> float:
        """When the replicas next hear of each other."""
        return float("inf")

    def sync(self, now: float) -> None:
        """Let them hear."""


def simulate(
    asks: list[Ask],
    queues: list[Any],
    until: float,
    stride: int = 1,
    router: LeastLoaded | None = None,
) -> Seen:
    """Let a schedule meet some replicas, each behind its queue."""
    seen = Seen()
    router = router or LeastLoaded()
    replicas = [
        Replica(queue, seen, stride, router.weighed(index)) for index, queue in enumerate(queues)
    ]
    router.replicas = replicas
    events: list[tuple[float, int, int]] = []  # time, replica, 1 for a step's end
    waking: list[float | None] = [None] * len(replicas)

    def arm(index: int) -> None:
        replica = replicas[index]
        if replica.step_ends is not None and waking[index] != replica.step_ends:
            waking[index] = replica.step_ends
            heapq.heappush(events, (replica.step_ends, index, 1))
        elif replica.step_ends is None and (wake := replica.queue.wake_at()) is not None:
            heapq.heappush(events, (wake, index, 0))

    position = 0
    while True:
        next_ask = asks[position].at if position < len(asks) else float("inf")
        next_event = events[0][0] if events else float("inf")
        if min(next_ask, next_event) > until:
            return seen
        if (at := router.next_sync()) <= min(next_ask, next_event):
            router.sync(at)
            for index, replica in enumerate(replicas):
                replica.turn(at)
                arm(index)
            continue
        if next_ask <= next_event:
            ask = asks[position]
            position += 1
            for index in router.tries(next_ask, ask):
                taken = replicas[index].ask(next_ask, ask)
                if taken:
                    break
            seen.refused += not taken
        else:
            _, index, step = heapq.heappop(events)
            if step and replicas[index].step_ends == next_event:
                replicas[index].end_step()
            elif not step:
                replicas[index].turn(next_event)
        arm(index)
