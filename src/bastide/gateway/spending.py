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

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final
from weakref import WeakValueDictionary

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

__all__ = ["Counted", "Reserved", "Spending"]

_FREE: Final = Price(0, 0, 0)
_Place = tuple[str, str, str]  # as core/budget.py's Scope: tenant, project, key


class _Sum:
    """What the calls of one scope count for here: those that run, and those that have ended."""

    __slots__ = ("__weakref__", "picoeur", "running_picoeur", "running_tokens", "tokens")

    def __init__(self) -> None:
        self.tokens = self.picoeur = self.running_tokens = self.running_picoeur = 0


@dataclass(slots=True, eq=False)
class Reserved:
    """What one call counts for until control has counted it, in the sums of its scopes.

    late: the answer does not wait for control, so its end is not when control has the receipt.
    """

    sums: tuple[_Sum, ...]
    tokens: int
    picoeur: int
    runs: bool = True
    sent: bool = False  # its receipt, which control has not confirmed
    late: bool = False


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
        if not self._reserved.late:
            return self._sink.put(receipt)  # the call is released once this has ended
        confirmed = asyncio.ensure_future(self._sink.put(receipt))
        confirmed.add_done_callback(self._heard)
        return confirmed

    def _heard(self, _: Any) -> None:
        self._spending.confirm(self._reserved)


class _Book:
    """The budgets of one snapshot, by whom they cover: thousands may be set, a call has a few."""

    def __init__(self, snapshot: Snapshot, sum_of: Callable[[_Place], _Sum]) -> None:
        self.snapshot = snapshot
        self._sum_of = sum_of
        self._tenants: dict[str, list[Spent]] = {}
        for row in snapshot.budgets:
            self._tenants.setdefault(row.budget.scope.tenant, []).append(row)
        self._keys: dict[str, _Rules] = {}

    def rules(self, grant: KeyGrant) -> "_Rules":
        """What counts for a key of this snapshot."""
        found = self._keys.get(grant.key)
        if found is None:
            budgets = self._tenants.get(grant.tenant, ())
            found = self._keys[grant.key] = _Rules(budgets, grant, self._sum_of)
        return found


class _Rules:
    """The budgets that cover one key, and what is told of those that are soon used up."""

    __slots__ = ("priced", "rows", "sums", "warning")

    def __init__(
        self,
        budgets: Sequence[Spent],
        grant: KeyGrant,
        sum_of: Callable[[_Place], _Sum],
    ) -> None:
        covering = [
            row
            for row in budgets
            if row.budget.scope.covers(grant.tenant, grant.project, grant.key)
        ]
        self.priced = any(row.budget.unit is Unit.EUR for row in covering)
        sums = {place: sum_of(place) for place in _places(grant)}
        self.sums = tuple(sums.values())
        # With each, the sum that it is held against, its limit, and whether that is in tokens.
        self.rows = [
            (row, sums[_place(row.budget.scope)], row.budget.hard, row.budget.unit is Unit.TOKENS)
            for row in covering
        ]
        near = [row for row in covering if row.warns]
        worst = max(near, key=lambda row: row.percent, default=None)
        self.warning = "" if worst is None else _told(worst)


class Spending:
    """What is on its way to be counted. Belongs to one event loop.

    It is kept as one sum for each scope that a budget can have: thousands of calls may end in the
    seconds until control has counted them, and each new call asks for the sums.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._confirmed: deque[tuple[int, Reserved]] = deque()  # since when, oldest first
        # Of who has calls here that are not counted, or rules in a book.
        self._sums: WeakValueDictionary[_Place, _Sum] = WeakValueDictionary()
        # Calls that the snapshot before has let in may still begin.
        self._book: _Book | None = None
        self._book_before: _Book | None = None

    def warning(self, snapshot: Snapshot, grant: KeyGrant) -> str:
        """What to tell a caller whose budget is soon used up; empty if none is."""
        return self._rules(snapshot, grant).warning if snapshot.budgets else ""

    def reserve(
        self, snapshot: Snapshot, grant: KeyGrant, model: str, asked: GenerateRequest | EmbedRequest
    ) -> Reserved | None:
        """Let a call in. None if no budget counts it. Raises Exhausted, or Busy.

        Raises NotAllowed for a model without a price under a budget in EUR.
        """
        if not snapshot.budgets:
            return None
        rules = self._rules(snapshot, grant)
        if not rules.rows:
            return None
        if rules.priced and model not in snapshot.prices:
            message = f"The model '{model}' has no price, and a budget in EUR counts its use."
            raise NotAllowed(message, place="model")
        self._forget(snapshot.issued_ms)
        workers = snapshot.workers
        for row, mine, hard, in_tokens in rules.rows:
            if in_tokens:
                pending = mine.tokens + mine.running_tokens
            else:
                pending = mine.picoeur + mine.running_picoeur
            if row.used + pending * workers >= hard:
                raise self._refused(row, mine)
        usage = _estimate(asked)
        tokens = usage.prompt_tokens + usage.completion_tokens
        picoeur = snapshot.prices.get(model, _FREE).cost(usage)
        for one in rules.sums:
            one.running_tokens += tokens
            one.running_picoeur += picoeur
        return Reserved(rules.sums, tokens, picoeur)

    def settle(self, reserved: Reserved, receipt: Receipt) -> None:
        """The call has ended, and its receipt is on its way to control."""
        self._stop(reserved)
        reserved.sent = True
        reserved.tokens = tokens = receipt.prompt_tokens + receipt.completion_tokens
        reserved.picoeur = picoeur = receipt.cost_picoeur
        for one in reserved.sums:
            one.tokens += tokens
            one.picoeur += picoeur

    def confirm(self, reserved: Reserved) -> None:
        """Control has the receipt, or we do not wait for it any longer."""
        if reserved.sent:
            reserved.sent = False
            self._confirmed.append((self._clock.now_ms(), reserved))

    def release(self, reserved: Reserved | None) -> None:
        """The call is over. If it was never begun, it has no receipt, and counts nothing."""
        if reserved is None:
            return
        self._stop(reserved)
        if not reserved.late:
            self.confirm(reserved)

    def _rules(self, snapshot: Snapshot, grant: KeyGrant) -> _Rules:
        book = self._book
        if book is None or book.snapshot is not snapshot:
            other = self._book_before
            if other is None or other.snapshot is not snapshot:
                other = _Book(snapshot, self._sum_of)
            self._book, self._book_before = other, book
            book = other
        return book.rules(grant)

    def _sum_of(self, place: _Place) -> _Sum:
        found = self._sums.get(place)
        if found is None:
            found = self._sums[place] = _Sum()
        return found

    def _forget(self, issued_ms: int) -> None:
        old_ms = issued_ms - BUDGET_SETTLE_MS
        while self._confirmed and self._confirmed[0][0] < old_ms:
            self._drop(self._confirmed.popleft()[1])

    def _stop(self, reserved: Reserved) -> None:
        """It runs no longer."""
        if reserved.runs:
            reserved.runs = False
            for one in reserved.sums:
                one.running_tokens -= reserved.tokens
                one.running_picoeur -= reserved.picoeur

    def _drop(self, reserved: Reserved) -> None:
        """Control has counted it."""
        for one in reserved.sums:
            one.tokens -= reserved.tokens
            one.picoeur -= reserved.picoeur

    def _refused(self, row: Spent, mine: _Sum) -> BastideError:
        """The budget is used up; or only calls that run, by their estimates, take what is left."""
        ended = mine.tokens if row.budget.unit is Unit.TOKENS else mine.picoeur
        if row.used + ended >= row.budget.hard:
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


def _places(grant: KeyGrant) -> tuple[_Place, ...]:
    """Those of its tenant, of its project, of its key and of its key in its project."""
    tenant, project, key = grant.tenant, grant.project, grant.key
    return (tenant, "", ""), (tenant, project, ""), (tenant, "", key), (tenant, project, key)


def _place(scope: Scope) -> _Place:
    return scope.tenant, scope.project, scope.key


def _told(row: Spent) -> str:
    return f"{row.budget.unit} per {row.budget.per}: {row.percent} % used"


def _estimate(asked: GenerateRequest | EmbedRequest) -> Usage:
    """What a call may use, before the engine counts."""
    if isinstance(asked, EmbedRequest):
        return Usage(sum(map(len, asked.texts)) // PROMPT_BYTES_PER_TOKEN)
    size = len(asked.prompt or "") + sum([len(turn.content) for turn in asked.messages])
    answer = asked.sampling.max_tokens
    return Usage(size // PROMPT_BYTES_PER_TOKEN, BUDGET_ANSWER_TOKENS if answer is None else answer)
