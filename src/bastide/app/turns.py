# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Turns: requests wait here for their engine, in the order that core/fair_queue.py decides.

It gives the pure queue what it lacks: the time, and a future to each request that waits. Who goes
away while it waits or runs has its turn ended at once, whatever else happens to it.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Self

from bastide.core.chat import Delta, EmbedRequest, GenerateRequest, Usage
from bastide.core.fair_queue import FairQueue
from bastide.core.limits import PROMPT_BYTES_PER_TOKEN
from bastide.core.share import Cost, Promise, Tally
from bastide.core.ticket import State, Ticket
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
    """One request while the engine answers it: `async with` it, to wait for a slot and have it.

    A class and no generator: to make, hook into the loop and close one costs more than the queue.
    """

    __slots__ = (
        "_request", "_ticket", "_turns", "entered_s", "first_s", "last_s", "usage",
    )  # fmt: skip

    def __init__(self, turns: "Turns", request: GenerateRequest | EmbedRequest) -> None:
        self._turns = turns
        self._request = request
        self._ticket: Ticket
        self.usage: Usage | None = None
        self.entered_s: float
        self.first_s: float | None = None  # when the first piece came
        self.last_s: float | None = None  # when the answer came to its end

    @property
    def priority(self) -> int:
        """0 if a promise pays for it, 1 if it is borrowed, 2 if it is also in the background."""
        if self._ticket.promised:
            return 0
        return 2 if self._ticket.background else 1

    async def __aenter__(self) -> Self:
        """Wait for a slot. Raises Busy."""
        ticket = self._ticket = self._turns.enter(self._request)
        self.entered_s = ticket.entered
        try:
            waiting = self._turns.begin(ticket)
            if waiting is not None:
                await waiting
        except BaseException:
            self._turns.leave(ticket, self)
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        """Give the slot back."""
        self._turns.leave(self._ticket, self)

    def streamed(self, delta: Delta) -> None:
        """Charge a piece of the answer."""
        said = delta.text or delta.call is not None
        if delta.usage is not None:
            self.usage = delta.usage
        elif not said:
            return
        now = self._turns.now()
        if delta.finish is not None:
            self.last_s = now
        if self.first_s is None and (said or self.last_s):
            self.first_s = now
        self._turns.charge(now, self._ticket, delta.usage)


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

    def turn(self, request: GenerateRequest | EmbedRequest) -> Turn:
        """A turn for a request, which begins when it is entered."""
        return Turn(self, request)

    def enter(self, request: GenerateRequest | EmbedRequest) -> Ticket:
        """A place in the queue. Raises Busy."""
        output = 0.0 if isinstance(request, EmbedRequest) else request.sampling.max_tokens
        return self._queue.enter(
            self.now(), request.tenant, prompt_tokens(request), output, request.background
        )

    def begin(self, ticket: Ticket) -> asyncio.Future[None] | None:
        """Begin at once, if there is a slot; or what is done once there is. Raises Busy."""
        self._go_on()
        if ticket.state is State.ENDED:  # the machine stood still since it came
            raise self._queue.too_late(ticket)
        if ticket.state is State.RUNNING:
            return None
        ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[ticket] = ready
        return ready

    def leave(self, ticket: Ticket, turn: Turn) -> None:
        """It waits no longer, or its answer is over."""
        self._waiting.pop(ticket, None)
        self._queue.finish(self.now(), ticket, turn.usage)
        self._go_on()
        if self._answered is not None:
            self._answered(turn)

    def charge(self, now: float, ticket: Ticket, usage: Usage | None) -> None:
        """Count what was streamed of an answer."""
        if self._queue.charge(now, ticket, usage):
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
            ready = self._waiting.pop(ticket, None)  # none, if it has only just come
            if ready is not None and not ready.done():
                ready.set_exception(self._queue.too_late(ticket))
        for ticket in self._queue.dispatch(now):
            ready = self._waiting.pop(ticket, None)  # none, if it has only just come
            # Who was cancelled meanwhile holds the slot until its own block ends: at once.
            if ready is not None and not ready.done():
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
