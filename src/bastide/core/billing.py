# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Billing: which receipts count, and what they add up to. A pure function of the book's order.

1. A receipt counts with its tokens and its cost: an answer that was cut off with what the engine
   had counted until then.
2. An answer that failed through us and of which nothing was sent counts nothing. One whose gateway
   was killed (finish ``cut``) failed through us.
3. A retry takes the place of one earlier attempt: of the newest that has not been replaced, that
   stands earlier in the book, has the same fingerprint (key, body and, where the client sends one,
   invocation id), ended at most RETRY_MS before, and failed or had nothing sent. That attempt
   counts nothing, in its own day.

An answer that was sent counts even if it is asked for again: it was made twice.
"""

from collections import OrderedDict, defaultdict, deque
from collections.abc import Iterable
from dataclasses import dataclass

from bastide.core.budget import Budget, Scope, Spent, Unit, period
from bastide.core.limits import RETRIES_REMEMBERED_MAX, RETRY_MS
from bastide.core.receipt import Receipt
from bastide.core.standing import CUT

__all__ = ["Accounts", "Bill", "Biller"]

_DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class Bill:
    """What a receipt counts. `credited` is the attempt that counts nothing from now on."""

    receipt: Receipt
    counts: bool
    credited: Receipt | None = None


class Biller:
    """Takes receipts in the order of the book."""

    def __init__(self) -> None:
        self._open: OrderedDict[str, deque[Receipt]] = OrderedDict()
        self._held = 0

    def take(self, receipt: Receipt) -> Bill:
        """Say what a receipt counts, and which earlier one it replaces."""
        failed = receipt.finish in ("error", CUT)
        counts = not (failed and not receipt.delivered)
        credited = self._replaced(receipt) if receipt.retry else None
        if receipt.fingerprint and counts and (failed or not receipt.delivered):
            self._remember(receipt)
        return Bill(receipt, counts, credited)

    def _replaced(self, retry: Receipt) -> Receipt | None:
        attempts = self._open.get(retry.fingerprint)
        while attempts:
            attempt = attempts.pop()
            self._held -= 1
            if not attempts:
                del self._open[retry.fingerprint]
            if retry.key == attempt.key and 0 <= retry.time_ms - attempt.time_ms <= RETRY_MS:
                return attempt
        return None

    def _remember(self, receipt: Receipt) -> None:
        self._open.setdefault(receipt.fingerprint, deque()).append(receipt)
        self._open.move_to_end(receipt.fingerprint)
        self._held += 1
        while self._held > RETRIES_REMEMBERED_MAX:
            oldest = next(iter(self._open))
            self._open[oldest].popleft()
            self._held -= 1
            if not self._open[oldest]:
                del self._open[oldest]


class Accounts:
    """What each key has used, by day: small enough for a year of thousands of keys."""

    def __init__(self) -> None:
        self._biller = Biller()
        self._days: defaultdict[int, defaultdict[Scope, list[int]]] = defaultdict(
            lambda: defaultdict(lambda: [0, 0])
        )

    def take(self, receipt: Receipt) -> None:
        """Count a receipt. Each is taken once, in the order of the book."""
        bill = self._biller.take(receipt)
        if bill.counts:
            self._add(receipt, 1)
        if bill.credited is not None:
            self._add(bill.credited, -1)

    def spent(self, budgets: Iterable[Budget], now_ms: int) -> tuple[Spent, ...]:
        """What is used of budgets, in the day or month of now."""
        return tuple(self._spent(budget, now_ms) for budget in budgets)

    def _spent(self, budget: Budget, now_ms: int) -> Spent:
        start_ms, ends_ms = period(budget.per, now_ms)
        place = 0 if budget.unit is Unit.TOKENS else 1
        used = 0
        for day in range(start_ms // _DAY_MS, ends_ms // _DAY_MS):
            for scope, sums in self._days.get(day, {}).items():
                if budget.scope.covers(scope.tenant, scope.project, scope.key):
                    used += sums[place]
        return Spent(budget, used, ends_ms)

    def forget_before(self, time_ms: int) -> None:
        """Drop the days before a time: no budget asks for them any more."""
        for day in [day for day in self._days if day < time_ms // _DAY_MS]:
            del self._days[day]

    def _add(self, receipt: Receipt, sign: int) -> None:
        scope = Scope(receipt.tenant, receipt.project, receipt.key)
        sums = self._days[receipt.time_ms // _DAY_MS][scope]
        sums[0] += sign * (receipt.prompt_tokens + receipt.completion_tokens)
        sums[1] += sign * receipt.cost_picoeur
