# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The engine of docs/adr/0013-shares.md in virtual time: every slot does C / W units a second."""

import heapq

from bastide.core.fair_queue import FairQueue
from bastide.core.share import Cost
from bastide.core.ticket import State, Ticket

PLAIN = Cost(prompt=1.0, output=1.0)


class Model:
    """W slots of which each does C / W units a second, and what every request went through."""

    def __init__(self, queue: FairQueue, capacity: float) -> None:
        self.queue = queue
        self.speed = capacity / queue.slots
        self.now = 0.0
        self.events: list[tuple[float, int, str, Ticket | None]] = []
        self.work: dict[Ticket, tuple[float, float]] = {}  # prompt and output that it really has
        self.ends: dict[Ticket, float] = {}
        self.begun: dict[Ticket, float] = {}
        self.number = 0

    def at(self, time: float, what: str, ticket: Ticket | None = None) -> None:
        self.number += 1
        heapq.heappush(self.events, (time, self.number, what, ticket))

    def enter(
        self,
        tenant: str,
        prompt: float,
        output: float,
        output_max: float | None,
        background: bool = False,
    ) -> Ticket:
        ticket = self.queue.enter(self.now, tenant, prompt, output_max, background)
        self.work[ticket] = prompt, output
        return ticket

    def turn(self) -> None:
        """Let begin what may, and check that nothing free stands idle."""
        for ticket in self.queue.dispatch(self.now):
            assert ticket.state is State.RUNNING
            if ticket.background:
                assert not ticket.promised
                assert not self.queue._tenants[ticket.tenant].waiting, "its tenant's own come first"
            prompt, output = self.work[ticket]
            self.begun[ticket] = self.now
            self.at(self.now + prompt / self.speed, "read", ticket)
            self.at(self.now + (prompt + output) / self.speed, "end", ticket)
        if (wake := self.queue.wake_at()) is not None and wake > self.now:
            self.at(wake, "wake")

    def step(self, limit: float) -> bool:
        """The next event before `limit`."""
        if not self.events or self.events[0][0] > limit:
            self.now = max(self.now, limit)
            return False
        self.now, _, what, ticket = heapq.heappop(self.events)
        if ticket is not None and ticket.state is State.RUNNING:
            output = self.work[ticket][1]
            if what == "read":
                # Half of the answer streams at once, the rest at the end: the queue may not care.
                self.queue.charge(self.now, ticket, tokens=output / 2)
            else:
                self.queue.charge(self.now, ticket, tokens=output - ticket.output)
                self.queue.finish(self.now, ticket)
                self.ends[ticket] = self.now
        self.turn()
        return True

    def run_to(self, limit: float) -> None:
        while self.step(limit):
            pass
