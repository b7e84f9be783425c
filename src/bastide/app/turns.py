# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Turns: requests wait here for their engine, in the order that core/fair_queue.py decides.

It gives the pure queue what it lacks: the time, and a future to each request that waits. Who goes
away while it waits or runs has its turn ended at once, whatever else happens to it.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Mapping

from bastide.core.chat import Delta, EmbedRequest, GenerateRequest, Usage
from bastide.core.fair_queue import FairQueue
from bastide.core.limits import PROMPT_BYTES_PER_TOKEN
from bastide.core.share import Cost, Promise, Tally
from bastide.core.ticket import Ticket
from bastide.ports import Clock

__all__ = ["Turn", "Turns", "prompt_tokens"]

_SOONEST_S = 0.001  # a timer that is a little early must not fire again at once


def prompt_tokens(request: GenerateRequest | EmbedRequest) -> float:
    """An estimate of a prompt's tokens, by its bytes; the engine's own count settles it."""
    if isinstance(request, EmbedRequest):
        size = sum(len(text.encode()) for text in request.texts)
    else:
        size = len((request.prompt or "").encode()) + len((request.schema or "").encode())
        for message in request.messages:
            size += len(message.content.encode())
            size += sum(len(call.arguments.encode()) for call in message.calls)
        size += sum(len(tool.description) + len(tool.parameters) for tool in request.tools)
    return size / PROMPT_BYTES_PER_TOKEN


class Turn:
    """One request while the engine answers it."""

    def __init__(self, turns: "Turns", ticket: Ticket) -> None:
        self._turns = turns
        self._ticket = ticket
        self.usage: Usage | None = None
        self.entered_s = ticket.entered
        self.first_s: float | None = None  # when the first piece came
        self.last_s: float | None = None  # when the answer came to its end

    @property
    def priority(self) -> int:
        """0 if a promise pays for it, 1 if it is borrowed, 2 if it is also in the background."""
        if self._ticket.promised:
            return 0
        return 2 if self._ticket.background else 1

    def streamed(self, delta: Delta) -> None:
        """Charge a piece of the answer."""
        if delta.usage is not None:
            self.usage = delta.usage
        elif not delta.text and delta.call is None:
            return
        if delta.finish is not None:
            self.last_s = self._turns.now()
        if self.first_s is None and (delta.text or delta.call is not None or self.last_s):
            self.first_s = self._turns.now()
        self._turns.charge(self._ticket, delta.usage)


class Turns:
    """The queue in front of one engine. Belongs to one event loop."""

    def __init__(
        self,
        slots: int,
        clock: Clock,
        cost: Cost | None = None,
        answered: Callable[[Turn], None] | None = None,
        replicas: int = 1,
        joins: bool = False,
    ) -> None:
        self._clock = clock
        self._queue = FairQueue(slots, cost, replicas=replicas, joins=joins)
        self._answered = answered
        self._waiting: dict[Ticket, asyncio.Future[None]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = float("inf")

    @property
    def capacity(self) -> float | None:
        """Units a second that the engine does when it is full, as far as it is known."""
        return self._queue.capacity

    @property
    def free(self) -> int:
        """Slots that nobody uses."""
        return self._queue.free

    @property
    def slots(self) -> int:
        """Requests that the engine answers at once."""
        return self._queue.slots

    @property
    def waiting(self) -> int:
        """Requests that wait for a slot."""
        return self._queue.waiting

    @contextlib.asynccontextmanager
    async def turn(self, request: GenerateRequest | EmbedRequest) -> AsyncGenerator[Turn]:
        """Wait for a slot and have it until the block ends. Raises Busy."""
        output = 0.0 if isinstance(request, EmbedRequest) else request.sampling.max_tokens
        ticket = self._queue.enter(
            self.now(), request.tenant, prompt_tokens(request), output, request.background
        )
        ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[ticket] = ready
        turn = Turn(self, ticket)
        try:
            self._go_on()
            await ready
            yield turn
        finally:
            self._waiting.pop(ticket, None)
            self._queue.finish(self.now(), ticket, turn.usage)
            self._go_on()
            if self._answered is not None:
                self._answered(turn)

    def charge(self, ticket: Ticket, usage: Usage | None) -> None:
        """Count what was streamed of an answer."""
        if self._queue.charge(self.now(), ticket, usage):
            self._go_on()

    def share_out(self, promises: Mapping[str, Promise]) -> None:
        """Replace all promises."""
        self._queue.share_out(self.now(), promises)
        self._go_on()

    def taken(self) -> dict[str, float]:
        """Units that were taken from promises since the last call."""
        return self._queue.taken()

    def ahead(self) -> dict[str, float]:
        """Seconds by which the clocks of promises are ahead of now."""
        return self._queue.ahead(self.now())

    def taken_elsewhere(
        self, rows: Mapping[str, float], replicas: int, ahead: Mapping[str, float]
    ) -> None:
        """Other replicas took units from promises, and have heard of what was taken here.

        `replicas` take from them now. `ahead` are clocks that others kept before this one began.
        """
        self._queue.taken_elsewhere(self.now(), rows, replicas, ahead)
        self._go_on()

    def close_period(self) -> dict[str, Tally]:
        """What each tenant got since the last call."""
        return self._queue.close_period(self.now())

    def _go_on(self) -> None:
        """Let begin what may, give up what waited too long, and see when to look again."""
        now = self.now()
        for ticket in self._queue.expire(now):
            ready = self._waiting.pop(ticket)
            if not ready.done():
                ready.set_exception(self._queue.too_late(ticket))
        for ticket in self._queue.dispatch(now):
            ready = self._waiting.pop(ticket)
            # Who was cancelled meanwhile holds the slot until its own block ends: at once.
            if not ready.done():
                ready.set_result(None)
        self._arm(now)

    def _arm(self, now: float) -> None:
        at = self._queue.wake_at()
        if at == self._timer_at:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._timer_at = None, float("inf")
        if at is not None:
            delay_s = max(at - now, _SOONEST_S)
            self._timer = asyncio.get_running_loop().call_later(delay_s, self._wake)
            self._timer_at = at

    def _wake(self) -> None:
        self._timer, self._timer_at = None, float("inf")
        self._go_on()

    def now(self) -> float:
        """Seconds on the clock of the queue."""
        return self._clock.monotonic()
