# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Ticket and Standing: one request's place in a FairQueue, and what the queue knows of a tenant."""

from collections import deque
from enum import Enum, auto
from itertools import takewhile
from typing import Final

from bastide.core.errors import Busy
from bastide.core.limits import SHARE_RETRY_S_MAX
from bastide.core.share import Promise, Tally

__all__ = ["Standing", "State", "Ticket", "busy"]

_OUTPUT_GUESS: Final = 64.0  # output tokens of a tenant's first answer, before any has ended


class State(Enum):
    """Where a request stands."""

    WAITING = auto()
    DUE = auto()  # it waits, and its tenant's promise pays for it
    RUNNING = auto()
    ENDED = auto()


class Ticket:
    """One request's place in the queue. Only the queue changes it."""

    __slots__ = (
        "background", "charged", "deadline", "entered", "output", "output_max", "paid", "promised",
        "prompt", "rate", "reading", "state", "tenant", "wanted",
    )  # fmt: skip

    def __init__(
        self,
        tenant: str,
        entered: float,
        prompt: float,
        output_max: float,
        wanted: float,
        background: bool = False,
    ) -> None:
        self.tenant = tenant
        self.entered = entered
        self.prompt = prompt  # tokens, estimated until the engine has counted them
        self.output_max = output_max
        self.wanted = wanted  # units that it will cost, as far as we know
        self.background = background  # nobody waits for it: it is lent a slot, never due
        self.state = State.WAITING
        self.promised = False  # paid by the promise, not borrowed
        self.rate = 0.0  # the promise that pays
        self.deadline = 0.0
        self.paid = 0.0  # units taken from the promise
        self.charged = 0.0  # units that it has really cost so far
        self.output = 0
        self.reading = 0.0  # tokens of a lent prompt that the engine reads now


class Standing:
    """Where one tenant stands. Only the queue changes it."""

    __slots__ = (
        "borrowed", "due", "later", "output_mean", "promise", "queued", "queued_later", "running",
        "starving_since", "taken", "tally", "unheard", "used_until", "waiting",
    )  # fmt: skip

    def __init__(self) -> None:
        self.promise = Promise()
        self.used_until = float("-inf")
        self.taken = 0.0  # units taken from the promise here, that other replicas were not told of
        self.unheard = 0.0  # the same, and what they may not have heard of yet
        self.borrowed = 0.0  # units / weight: the virtual counter
        self.waiting: deque[Ticket] = deque()
        self.due: deque[Ticket] = deque()
        self.later: deque[Ticket] = deque()  # in the background, after all of `waiting`
        self.queued = 0.0  # units that wait, due or not
        self.queued_later = 0.0  # units that wait in the background
        self.running = 0
        self.output_mean = _OUTPUT_GUESS
        self.starving_since = 0.0
        self.tally = Tally()

    @property
    def idle(self) -> bool:
        """True if nothing of it waits or runs."""
        return not (self.running or self.waiting or self.due or self.later)

    @property
    def queue_length(self) -> int:
        """Requests that wait."""
        return len(self.waiting) + len(self.due) + len(self.later)

    @property
    def next(self) -> Ticket | None:
        """What it would begin with a slot that is lent: the background comes last."""
        queue = self.waiting or self.later
        return queue[0] if queue else None

    @property
    def entered(self) -> float:
        """When the oldest of what waits came; infinity if nothing does."""
        queues = (self.due, self.waiting, self.later)
        return min((queue[0].entered for queue in queues if queue), default=float("inf"))

    def late(self, now: float, wait_s: float) -> list[Ticket]:
        """What has waited so long. Each queue is in the order in which its requests came."""
        return [
            ticket
            for queue in (self.due, self.waiting, self.later)
            for ticket in takewhile(lambda one: now - one.entered >= wait_s, queue)
        ]

    def take(self, now: float, units: float, rate: float) -> None:
        """Take units from a promise: its clock goes ahead."""
        self.used_until = max(now, self.used_until) + units / rate
        self.taken += units
        self.unheard += units

    def give_back(self, units: float, rate: float) -> None:
        """Give back what was taken and not used."""
        self.used_until -= units / rate
        self.taken -= units
        self.unheard -= units

    def told(self) -> float:
        """Units taken that other replicas were not told of; now they are."""
        units, self.taken = self.taken, 0.0
        return units

    def taken_elsewhere(self, since: float, units: float) -> None:
        """Other replicas took units from the promise after `since`, or gave some back."""
        rate = self.promise.tokens_per_s
        if rate > 0:
            before = self.used_until if units < 0 else max(since, self.used_until)
            self.used_until = before + units / rate

    def ahead(self, now: float) -> float:
        """Seconds by which the clock of its promise is ahead of now."""
        return self.used_until - now if self.promise.tokens_per_s > 0 else 0.0

    def join(self, now: float, ahead_s: float) -> None:
        """Take up the clock that others kept; what was taken here since they were told comes on."""
        if (rate := self.promise.tokens_per_s) > 0:
            self.used_until = max(self.used_until, now + ahead_s + self.taken / rate)

    def wait(self, ticket: Ticket) -> None:
        """Put a request at the end of its queue."""
        (self.later if ticket.background else self.waiting).append(ticket)
        self._queued(ticket, 1)

    def leave(self, ticket: Ticket) -> None:
        """Take a request out of the queue in which it waits. Raises ValueError if it does not."""
        queues = {State.DUE: self.due, State.WAITING: self.waiting}
        queue = self.later if ticket.background else queues[ticket.state]
        if queue[0] is ticket:
            queue.popleft()
        else:
            queue.remove(ticket)
        self._queued(ticket, -1)

    def _queued(self, ticket: Ticket, sign: int) -> None:
        if ticket.background:
            self.queued_later += sign * ticket.wanted
        else:
            self.queued += sign * ticket.wanted


def busy(after_s: float, message: str) -> Busy:
    """A refusal that says when to come back, within bounds."""
    return Busy(message, retry_after_s=min(max(1.0, after_s), SHARE_RETRY_S_MAX))
