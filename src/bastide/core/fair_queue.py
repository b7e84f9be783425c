# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""FairQueue: who is answered next, so that promises hold and nothing that is free stands idle.

It stands in front of an engine that runs `slots` requests at once. It knows no clock: every call
says what time it is, in seconds. docs/adr/0013-shares.md derives the bound that rule 1 gives.

1. *Due.* A promise is a virtual clock: what a tenant takes moves its clock `used_until` ahead by
   cost / rate. While that is less than `burst_s` ahead of now, its next request is due, and its
   cost is taken from the promise at that moment, so that waiting costs it nothing. Its deadline
   is where its clock then stands. Free slots go to what is due first, earliest deadline first.
2. *Borrowed.* What is then free goes to the tenant that has borrowed least for its weight (VTC).
   The last `kept` slots are not lent, and no prompt is lent a slot while SHARE_READING_TOKENS of
   other borrowers' prompts are being read: both are what a due request would wait for. What runs
   in the background is only lent, and comes after what else its tenant asks.
3. *Nothing is hoarded.* A clock that fell behind is set to now, and who comes back from idle is
   lifted to where the others stand.
4. *Nothing is killed.* What runs, runs to its end.
5. *Nothing waits for ever.* Who has SHARE_QUEUE_S_MAX of work waiting is refused, and told when to
   come back; what did not begin in SHARE_WAIT_S_MAX is refused too.

The prompt is charged when a request begins, by estimate; each output token as it streams; `finish`
settles what the engine counted. An answer that is cut off has so been charged for what it was.
"""

from collections.abc import Mapping

from bastide.core.capacity import Capacity
from bastide.core.chat import Usage
from bastide.core.due_tickets import DueTickets
from bastide.core.errors import Busy
from bastide.core.lease import Lease
from bastide.core.limits import (
    SHARE_QUEUE_S_MAX,
    SHARE_READING_TOKENS,
    SHARE_TENANTS_MAX,
    SHARE_WAIT_S_MAX,
    SHARE_WAITING_MAX,
)
from bastide.core.reserve import Reserve
from bastide.core.share import Cost, Promise, Tally
from bastide.core.ticket import Standing, State, Ticket, busy

__all__ = ["FairQueue"]

_NEWEST = 0.1  # weight of the newest answer in a tenant's mean length
_EPSILON_S = 1e-6  # far below any timer's precision: a clock that is due in less is due now


class FairQueue:
    """The queue of one of `replicas` engines. `dispatch` after what may have freed something."""

    def __init__(
        self, slots: int, cost: Cost | None = None, queue_s_max: float = SHARE_QUEUE_S_MAX,
        wait_s_max: float = SHARE_WAIT_S_MAX, replicas: int = 1, joins: bool = False,
    ) -> None:  # fmt: skip
        self.slots = slots
        self.free = slots
        self._cost = cost or Cost()
        self._queue_s_max = queue_s_max
        self._wait_s_max = wait_s_max
        self._part = 1 / replicas  # of each promise, that this one is expected to keep
        self._lease = Lease(replicas, joins)
        self._tenants: dict[str, Standing] = {}
        self._backlog: dict[str, Standing] = {}  # who has something waiting that is not due
        self._owed: dict[str, Standing] = {}  # who has something due
        self._due = DueTickets()
        self.reading = 0.0  # tokens of lent prompts that the engine reads now
        self._reserve = Reserve(slots)
        self._floor = 0.0  # what the least served of those who wait has borrowed; never falls
        self._capacity = Capacity()
        self._saturated = False
        self._now = float("-inf")

    @property
    def capacity(self) -> float | None:
        """Units a second that the engine does when it is full, or None if it never was."""
        return self._capacity.units_per_s

    @property
    def waiting(self) -> int:
        """Requests that wait."""
        return sum(row.queue_length for row in self._waiting())

    @property
    def kept(self) -> int:
        """Free slots that are not lent now."""
        return self._reserve.kept

    def share_out(self, now: float, promises: Mapping[str, Promise]) -> None:
        """Replace all promises. What is due already stays due, and nobody's clock is reset."""
        self._advance(now)
        self._lease.begin(now)
        for name in promises.keys() | self._tenants.keys():
            tenant = self._tenant(name)
            old, new = tenant.promise, promises.get(name, Promise())
            # Its debt and its credit are times of the old rate; a new rate starts from now.
            if old.tokens_per_s != new.tokens_per_s:
                tenant.used_until = now
            # What it borrowed is counted in weights.
            tenant.borrowed *= old.weight / new.weight
            tenant.promise = new
        self._reserve.promise(now, any(row.tokens_per_s > 0 for row in promises.values()))

    def taken(self) -> dict[str, float]:
        """Units that were taken from promises since the last call, for the other replicas."""
        return {name: row.told() for name, row in self._tenants.items() if row.taken}

    def ahead(self, now: float) -> dict[str, float]:
        """Seconds by which the clocks of promises are ahead of now."""
        return {name: at for name, row in self._tenants.items() if (at := row.ahead(now)) > 0}

    def taken_elsewhere(
        self, now: float, rows: Mapping[str, float], replicas: int, ahead: Mapping[str, float]
    ) -> None:
        """Others took units from promises, which are one for all, and know what `taken` told.

        `replicas` take from them now. `ahead` are clocks that others kept before this began.
        """
        self._lease.heard(now, self._tenants, rows, replicas, ahead)

    def enter(
        self,
        now: float,
        name: str,
        prompt: float,
        output_max: float | None,
        background: bool = False,
    ) -> Ticket:
        """Wait for a slot. Raises Busy if too much of this tenant's waits already.

        With `background` nobody waits for the answer: it is lent slots only, after what else this
        tenant asks, and what waits so does not count against what is not.
        """
        self._advance(now)
        if len(self._tenants) >= SHARE_TENANTS_MAX and name not in self._tenants:
            self._forget()
            if len(self._tenants) >= SHARE_TENANTS_MAX:
                raise busy(1.0, "Too many tenants ask at once.")
        tenant = self._tenant(name)
        output = float("inf") if output_max is None else output_max
        ticket = Ticket(name, now, prompt, output, 0.0, background)
        ticket.wanted = self._cost.of(prompt, min(output, tenant.output_mean))
        # One request may always wait, however large it is.
        if tenant.waiting or tenant.due or (background and tenant.later):
            self._check_room(tenant, ticket)
        if tenant.next is None:
            tenant.borrowed = max(tenant.borrowed, self._floor)
        tenant.wait(ticket)
        self._backlog[name] = tenant
        return ticket

    def dispatch(self, now: float) -> list[Ticket]:
        """Everything that may begin now."""
        self._advance(now)
        self._make_due(now)
        begun = []
        while self.free and (ticket := self._due.first() or self._next_borrower()):
            self._begin(now, ticket)
            begun.append(ticket)
        self._saturated = bool(self._backlog or self._owed)
        return begun

    def charge(
        self, now: float, ticket: Ticket, usage: Usage | None = None, tokens: int = 1
    ) -> bool:
        """Count what was streamed: what the engine has counted so far, or `tokens` more.

        True if this was the first of its answer, after which another prompt may be read.
        """
        if ticket.state is not State.RUNNING:
            return False
        self._advance(now)
        if usage is None:
            ticket.output += tokens
        else:
            ticket.output = usage.completion_tokens
            ticket.prompt = max(0, usage.prompt_tokens - usage.cached_tokens)
        self._settle(now, ticket)
        return self._read(ticket)

    def finish(self, now: float, ticket: Ticket, usage: Usage | None = None) -> None:
        """End a request, whether it waits or runs, and settle what it cost."""
        self._advance(now)
        tenant = self._tenants[ticket.tenant]
        if ticket.state is State.RUNNING:
            if usage is not None:
                self.charge(now, ticket, usage)
            self._read(ticket)
            self._refund(ticket, tenant)
            tenant.output_mean += _NEWEST * (ticket.output - tenant.output_mean)
            tenant.running -= 1
            if ticket.promised:
                self._reserve.use(now, -1)
            self.free += 1
        elif ticket.state is State.DUE:
            self._refund(ticket, tenant)
            self._leave_due(now, ticket, tenant)
            ticket.state = State.ENDED
            self._due.withdraw()
        elif ticket.state is State.WAITING:
            self._leave(ticket, tenant)
        ticket.state = State.ENDED

    def expire(self, now: float) -> list[Ticket]:
        """End what has waited too long. Its clients are to be told that we are busy."""
        late = [one for row in self._waiting() for one in row.late(now, self._wait_s_max)]
        for ticket in late:
            self.finish(now, ticket)
            self._tenants[ticket.tenant].tally.refused += 1
        return late

    def too_late(self, ticket: Ticket) -> Busy:
        """What to tell the client of an expired request."""
        tenant = self._tenants.get(ticket.tenant) or Standing()
        rate = self._rate(tenant)
        ahead = tenant.queued + (tenant.queued_later if ticket.background else 0.0)
        after_s = (ahead + ticket.wanted) / rate if rate else 1.0
        return busy(after_s, "This request could not begin in time.")

    def wake_at(self) -> float | None:
        """When to call `dispatch` or `expire` even if nothing happens until then."""
        if not (waiting := self._waiting()):
            return None
        times = [row.entered + self._wait_s_max for row in waiting]
        if self.free:
            times += [
                self._lease.due_at(row)
                for row in self._backlog.values()
                if row.promise.tokens_per_s > 0 and row.waiting
            ]
            if self._backlog and (at := self._reserve.changes_at(self.free)) is not None:
                times.append(at)
        return min(times)

    def close_period(self, now: float) -> dict[str, Tally]:
        """What each tenant got since the last call; only those that asked for something."""
        self._advance(now)
        active = {}
        for name, tenant in list(self._tenants.items()):
            tally, tenant.tally = tenant.tally, Tally()
            if tenant.due:
                tally.starved_s += now - tenant.starving_since
                tenant.starving_since = now
                tally.owed = sum(ticket.paid for ticket in tenant.due)
            if tally != Tally():
                active[name] = tally
        self._forget()
        return active

    # Time and memory.

    def _check_room(self, tenant: Standing, ticket: Ticket) -> None:
        """Raises Busy; it says when what waits now, and this request, could have been answered."""
        rate = self._rate(tenant)
        ahead, count = tenant.queued, len(tenant.waiting) + len(tenant.due)
        if ticket.background:
            ahead, count = ahead + tenant.queued_later, count + len(tenant.later)
        excess_s = ahead / rate - self._queue_s_max if rate else -1.0
        if excess_s < 0 and count < SHARE_WAITING_MAX:
            return
        tenant.tally.refused += 1
        after_s = ticket.wanted / rate + max(0.0, excess_s) if rate else 1.0
        raise busy(after_s, "This tenant has as much waiting as can be answered in time.")

    def _advance(self, now: float) -> None:
        if self._saturated:
            self._capacity.advance(max(0.0, now - self._now))
        self._now = max(now, self._now)
        self._reserve.advance(self._now)

    def _tenant(self, name: str) -> Standing:
        if name not in self._tenants:
            self._tenants[name] = Standing()
            self._tenants[name].borrowed = self._floor
        return self._tenants[name]

    def _forget(self) -> None:
        """Forget who is idle, was promised nothing, and would be lifted anyway."""
        for name, row in list(self._tenants.items()):
            unknown = row.idle and row.promise == Promise() and row.tally == Tally()
            if unknown and (row.borrowed <= self._floor or len(self._tenants) >= SHARE_TENANTS_MAX):
                del self._tenants[name]

    def _rate(self, tenant: Standing) -> float | None:
        """Units a second that a tenant can count on now, or None while nobody knows.

        Its promise, and its part of what the promises of those who are active leave.
        """
        capacity = self._capacity.units_per_s
        if capacity is None:
            return None
        rivals = [row for row in self._tenants.values() if not row.idle or row is tenant]
        left = capacity - sum(row.promise.tokens_per_s for row in rivals) * self._part
        weights = sum(row.promise.weight for row in rivals)
        # Even if promises take all there is, a little is left over now and then.
        left = max(left, 0.01 * capacity)
        promised = tenant.promise.tokens_per_s * self._part
        return promised + left * tenant.promise.weight / weights

    def _waiting(self) -> list[Standing]:
        """Who has something that waits. Mostly nobody, however many tenants there are."""
        return list((self._owed | self._backlog if self._owed else self._backlog).values())

    # Rule 1: what is due.

    def _make_due(self, now: float) -> None:
        for name, tenant in list(self._backlog.items()):
            rate = tenant.promise.tokens_per_s
            if rate <= 0:
                continue
            while tenant.waiting and self._lease.due_at(tenant) <= now + _EPSILON_S:
                ticket = tenant.waiting.popleft()
                ticket.state, ticket.promised, ticket.rate = State.DUE, True, rate
                ticket.paid = ticket.wanted
                self._reserve.use(now)
                tenant.take(now, ticket.wanted, rate)
                # A refund may have set the clock back, but nobody overtakes within a tenant.
                earlier = tenant.due[-1].deadline if tenant.due else 0.0
                ticket.deadline = max(tenant.used_until, earlier)
                if not tenant.due:
                    tenant.starving_since = now
                tenant.due.append(ticket)
                self._owed[name] = tenant
                self._due.add(ticket)
            if tenant.next is None:
                del self._backlog[name]

    # Rule 2: what is lent.

    def _next_borrower(self) -> Ticket | None:
        if not self._backlog or self.free <= self.kept:
            return None
        if self._reserve.guard and self.reading >= SHARE_READING_TOKENS:
            return None
        tenant = min(self._backlog.values(), key=lambda row: row.borrowed)
        self._floor = max(self._floor, tenant.borrowed)
        return tenant.next

    def _begin(self, now: float, ticket: Ticket) -> None:
        tenant = self._tenants[ticket.tenant]
        if ticket.state is State.DUE:
            self._due.begin()
            self._leave_due(now, ticket, tenant)
        else:
            self._leave(ticket, tenant)
            ticket.reading = ticket.prompt
            self.reading += ticket.reading
        ticket.state = State.RUNNING
        tenant.running += 1
        if ticket.promised:
            self._reserve.use(now, 1)
        self.free -= 1
        self._settle(now, ticket)

    def _leave_due(self, now: float, ticket: Ticket, tenant: Standing) -> None:
        tenant.leave(ticket)
        if not tenant.due:
            tenant.tally.starved_s += now - tenant.starving_since
            self._owed.pop(ticket.tenant, None)

    def _leave(self, ticket: Ticket, tenant: Standing) -> None:
        tenant.leave(ticket)
        if tenant.next is None:
            self._backlog.pop(ticket.tenant, None)

    # What it costs.

    def _settle(self, now: float, ticket: Ticket) -> None:
        """Charge the difference to what was charged before."""
        units = self._cost.of(ticket.prompt, ticket.output)
        more = units - ticket.charged
        ticket.charged = units
        tenant = self._tenants[ticket.tenant]
        if self._saturated:
            self._capacity.add(more)
        if not ticket.promised:
            tenant.borrowed += more / tenant.promise.weight
            tenant.tally.borrowed += more
            return
        tenant.tally.delivered += more
        if units > ticket.paid:
            tenant.take(now, units - ticket.paid, ticket.rate)
            ticket.paid = units

    def _refund(self, ticket: Ticket, tenant: Standing) -> None:
        """Give back what the promise paid and nobody used."""
        if ticket.promised and ticket.rate == tenant.promise.tokens_per_s:
            tenant.give_back(ticket.paid - ticket.charged, ticket.rate)

    def _read(self, ticket: Ticket) -> bool:
        """Note that a borrower's prompt has been read."""
        read, ticket.reading = ticket.reading, 0.0
        self.reading = max(0.0, self.reading - read)
        return read > 0
