# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Budgets at the gateway: nothing is let in once a budget is used up.

Control counts every receipt, and each snapshot says what was used when it was issued. What this
gateway has let in and control may not have counted yet is kept here: running calls by an estimate,
ended ones by their usage until a snapshot that was issued a moment after them has come.

A call is let in while something is left. So a budget is overspent by no more than: what the calls
that run at once use beyond their estimates, and, with several gateways, what each of them lets in
between two snapshots (a second). Each counts its own calls `workers` times over, as if the others
did the same, which keeps that small.
"""

from collections import deque
from collections.abc import Awaitable
from dataclasses import dataclass

from bastide.core.budget import Scope, Spent, Unit
from bastide.core.chat import EmbedRequest, GenerateRequest, Usage
from bastide.core.errors import BastideError, Busy, Exhausted, NotAllowed
from bastide.core.limits import (
    BUDGET_ANSWER_TOKENS,
    BUDGET_SETTLE_MS,
    PROMPT_BYTES_PER_TOKEN,
)
from bastide.core.money import Price
from bastide.core.receipt import Receipt
from bastide.core.snapshot import KeyGrant, Snapshot
from bastide.ports import Clock, ReceiptSink

__all__ = ["Counted", "Reserved", "Spending", "warning"]

_FREE = Price(0, 0, 0)


@dataclass(slots=True, eq=False)
class Reserved:
    """What one call counts for until control has counted it."""

    grant: KeyGrant
    tokens: int
    picoeur: int

    @property
    def scope(self) -> Scope:
        """The narrowest that it counts for."""
        return Scope(self.grant.tenant, self.grant.project, self.grant.key)


class Counted:
    """A way to control on which a receipt settles what its call had reserved."""

    __slots__ = ("_reserved", "_sink", "_spending")

    def __init__(self, sink: ReceiptSink, spending: "Spending", reserved: Reserved) -> None:
        self._sink = sink
        self._spending = spending
        self._reserved = reserved

    def put(self, receipt: Receipt) -> Awaitable[None]:
        """Hand over a receipt."""
        self._spending.settle(self._reserved, receipt)
        return self._durable(self._sink.put(receipt))

    async def _durable(self, confirmed: Awaitable[None]) -> None:
        try:
            await confirmed
        finally:
            self._spending.confirm(self._reserved)


class Spending:
    """What is on its way to be counted. Belongs to one event loop.

    It is kept as one sum for each key: thousands of calls may end in the seconds until control has
    counted them, and each new call asks for the sum.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._running: set[Reserved] = set()
        self._confirmed: deque[tuple[int, Reserved]] = deque()  # since when, oldest first
        self._sums: dict[Scope, list[int]] = {}  # calls, tokens, pico-euros

    def reserve(
        self, snapshot: Snapshot, grant: KeyGrant, model: str, asked: GenerateRequest | EmbedRequest
    ) -> Reserved | None:
        """Let a call in. None if no budget counts it. Raises Exhausted, or Busy.

        Raises NotAllowed for a model without a price under a budget in EUR.
        """
        budgets = [row for row in snapshot.budgets if _covers(row, grant)]
        if not budgets:
            return None
        if model not in snapshot.prices and any(row.budget.unit is Unit.EUR for row in budgets):
            message = f"The model '{model}' has no price, and a budget in EUR counts its use."
            raise NotAllowed(message, place="model")
        self._forget(snapshot.issued_ms)
        for row in budgets:
            if row.used + self._pending(row, snapshot.workers) >= row.budget.hard:
                raise self._refused(row)
        usage = _estimate(asked)
        price = snapshot.prices.get(model, _FREE)
        reserved = Reserved(grant, usage.prompt_tokens + usage.completion_tokens, price.cost(usage))
        self._running.add(reserved)
        self._add(reserved, 1)
        return reserved

    def settle(self, reserved: Reserved, receipt: Receipt) -> None:
        """The call has ended, and its receipt is on its way to control."""
        self._running.discard(reserved)
        self._add(reserved, -1)
        reserved.tokens = receipt.prompt_tokens + receipt.completion_tokens
        reserved.picoeur = receipt.cost_picoeur
        self._add(reserved, 1)

    def confirm(self, reserved: Reserved) -> None:
        """Control has the receipt, or we do not wait for it any longer."""
        self._confirmed.append((self._clock.now_ms(), reserved))

    def release(self, reserved: Reserved | None) -> None:
        """The call is over. If it was never begun, it has no receipt, and counts nothing."""
        if reserved is not None and reserved in self._running:
            self._running.discard(reserved)
            self._add(reserved, -1)

    def _forget(self, issued_ms: int) -> None:
        old_ms = issued_ms - BUDGET_SETTLE_MS
        while self._confirmed and self._confirmed[0][0] < old_ms:
            self._add(self._confirmed.popleft()[1], -1)

    def _pending(self, row: Spent, workers: int) -> int:
        place = 1 if row.budget.unit is Unit.TOKENS else 2
        covers = row.budget.scope.covers
        mine = sum(
            sums[place]
            for scope, sums in self._sums.items()
            if covers(scope.tenant, scope.project, scope.key)
        )
        return mine * workers

    def _add(self, one: Reserved, sign: int) -> None:
        scope = one.scope
        sums = self._sums.setdefault(scope, [0, 0, 0])
        for place, amount in enumerate((1, one.tokens, one.picoeur)):
            sums[place] += sign * amount
        if not sums[0]:
            del self._sums[scope]

    def _refused(self, row: Spent) -> BastideError:
        """The budget is used up; or only calls that run, by their estimates, take what is left."""
        tokens = row.budget.unit is Unit.TOKENS
        running = sum(
            one.tokens if tokens else one.picoeur
            for one in self._running
            if _covers(row, one.grant)
        )
        if row.used + self._pending(row, 1) - running >= row.budget.hard:
            return self._exhausted(row)
        return Busy(
            f"Calls that run now may take all that is left of the {row.budget.unit} budget.",
            retry_after_s=BUDGET_SETTLE_MS / 1000,
        )

    def _exhausted(self, row: Spent) -> Exhausted:
        left_s = max(1.0, (row.ends_ms - self._clock.now_ms()) / 1000)
        scope = row.budget.scope
        whose = "key" if scope.key else "project" if scope.project else "tenant"
        return Exhausted(
            f"You exceeded your current quota: the {row.budget.unit} budget of this {whose} "
            f"for the {row.budget.per} is used up.",
            retry_after_s=left_s,
        )


def warning(snapshot: Snapshot, grant: KeyGrant) -> str:
    """What to tell a caller whose budget is soon used up; empty if none is."""
    near = [row for row in snapshot.budgets if row.warns and _covers(row, grant)]
    if not near:
        return ""
    worst = max(near, key=lambda row: row.percent)
    return f"{worst.budget.unit} per {worst.budget.per}: {worst.percent} % used"


def _covers(row: Spent, grant: KeyGrant) -> bool:
    return row.budget.scope.covers(grant.tenant, grant.project, grant.key)


def _estimate(asked: GenerateRequest | EmbedRequest) -> Usage:
    """What a call may use, before the engine counts."""
    if isinstance(asked, EmbedRequest):
        return Usage(sum(map(len, asked.texts)) // PROMPT_BYTES_PER_TOKEN)
    size = len(asked.prompt or "") + sum(len(turn.content) for turn in asked.messages)
    answer = asked.sampling.max_tokens
    return Usage(size // PROMPT_BYTES_PER_TOKEN, BUDGET_ANSWER_TOKENS if answer is None else answer)
