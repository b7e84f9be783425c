# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What control counts, and which budgets are near their end.

Budgets are told by tenant and by whether they are a tenant's, a project's or a key's, never by the
project's or the key's id: those are many, and come and go.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from bastide.core.budget import Spent
from bastide.core.metrics import (
    BUDGET_HARD,
    BUDGET_SOFT,
    BUDGET_USED,
    DENIALS,
    EMERGENCY,
    ENTRIES,
    FSYNC,
    HEAD_AGE,
    RECEIPTS,
    RECEIPTS_PENDING,
    RECEIPTS_REFUSED,
    Histogram,
    Sample,
    Series,
    sample,
)

__all__ = ["ControlWatch", "near_limits"]


class ControlWatch:
    """Counts for control. Belongs to one event loop."""

    def __init__(self) -> None:
        self._fsync = Histogram(FSYNC.buckets)
        self._stored = 0
        self._refused = 0
        self._near: set[tuple[str, ...]] = set()

    def stored(self, count: int, took_s: float) -> None:
        """A group of receipts is durable."""
        self._stored += count
        self._fsync.observe(took_s)

    def refused(self, count: int) -> None:
        """A group of receipts could not be made durable."""
        self._refused += count

    def newly_near(self, budgets: Iterable[Spent]) -> list[dict[str, Any]]:
        """Budgets that came to their soft or hard limit since the last call, once each."""
        rows = {tuple(map(str, _place(row))): row for row in near_limits(budgets)}
        fresh = [row for place, row in rows.items() if place not in self._near]
        self._near = set(rows)
        return fresh

    def samples(
        self,
        entries: int,
        head_age_s: float,
        pending: int,
        denials: int,
        alarm: Mapping[str, Any] | None,
        budgets: Iterable[Spent],
        witnesses: Iterable[Sample] = (),
    ) -> Iterator[Sample]:
        """Everything that is known now. `alarm`: the emergency that is open."""
        yield sample(ENTRIES, entries)
        yield sample(HEAD_AGE, head_age_s)
        yield FSYNC.name, (), self._fsync.value
        yield sample(RECEIPTS, self._stored)
        yield sample(RECEIPTS_REFUSED, self._refused)
        yield sample(RECEIPTS_PENDING, pending)
        yield sample(DENIALS, denials)
        yield sample(EMERGENCY, float(alarm is not None))
        yield from witnesses
        yield from _budgets(budgets)


def near_limits(budgets: Iterable[Spent]) -> list[dict[str, Any]]:
    """Budgets at or over their soft limit; `state` is ``soft`` or ``hard``."""
    return [
        {
            "tenant": row.budget.scope.tenant,
            "project": row.budget.scope.project or None,
            "key": row.budget.scope.key or None,
            "unit": str(row.budget.unit),
            "per": str(row.budget.per),
            "percent": row.percent,
            "state": "hard" if row.used >= row.budget.hard else "soft",
        }
        for row in budgets
        if row.warns
    ]


def _place(row: dict[str, Any]) -> list[Any]:
    return [row[name] for name in ("tenant", "project", "key", "unit", "per", "state")]


def _budgets(budgets: Iterable[Spent]) -> Iterator[Sample]:
    used: dict[tuple[str, ...], float] = {}
    soft, hard = Series(BUDGET_SOFT), Series(BUDGET_HARD)
    for row in budgets:
        scope = row.budget.scope
        whose = "key" if scope.key else "project" if scope.project else "tenant"
        labels = (scope.tenant, whose, str(row.budget.unit), str(row.budget.per))
        ratio = row.used / row.budget.hard if row.budget.hard else 1.0
        used[labels] = max(ratio, used.get(labels, 0.0))
        soft.add(int(row.warns), *labels)
        hard.add(int(row.used >= row.budget.hard), *labels)
    for labels, ratio in used.items():
        yield sample(BUDGET_USED, ratio, *labels)
    yield from soft.samples()
    yield from hard.samples()
