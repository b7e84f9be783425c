# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Budget: how much a tenant, one of its projects or one of its keys may use in a day or a month.

Days and months are those of UTC. Whose budget it is says an id that never changes: the tenant's
name, which nobody can rename, the project's id, the key's id. Amounts are whole numbers: tokens,
or pico-euros (core/money.py).
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from bastide.core.money import PICO_PER_MICRO

__all__ = ["Budget", "Per", "Scope", "Spent", "Unit", "period"]


class Unit(StrEnum):
    """What a budget counts."""

    TOKENS = "tokens"
    EUR = "eur"


class Per(StrEnum):
    """How long a budget lasts."""

    DAY = "day"
    MONTH = "month"


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose use is counted: a tenant's, or only a project's or a key's of it."""

    tenant: str
    project: str = ""
    key: str = ""

    def covers(self, tenant: str, project: str, key: str) -> bool:
        """True if what this key of this project uses counts here."""
        return self.tenant == tenant and self.project in ("", project) and self.key in ("", key)


@dataclass(frozen=True, slots=True)
class Budget:
    """`limit` is in tokens or micro-euros; from `soft_percent` of it on, callers are warned."""

    scope: Scope
    unit: Unit
    per: Per
    limit: int
    soft_percent: int

    @property
    def hard(self) -> int:
        """The limit in tokens or pico-euros: what use is compared with."""
        return self.limit * (PICO_PER_MICRO if self.unit is Unit.EUR else 1)


@dataclass(frozen=True, slots=True)
class Spent:
    """A budget, what is used of it in the period of now, and when that period ends."""

    budget: Budget
    used: int
    ends_ms: int

    @property
    def warns(self) -> bool:
        """True from the soft limit on."""
        return 100 * self.used >= self.budget.soft_percent * self.budget.hard

    @property
    def percent(self) -> int:
        """How much is used, rounded down; 100 of a budget of nothing."""
        return 100 * self.used // self.budget.hard if self.budget.hard else 100


def period(per: Per, time_ms: int) -> tuple[int, int]:
    """When the day or month of a time begins and ends, in milliseconds since 1970 (UTC)."""
    moment = datetime.fromtimestamp(time_ms // 1000, UTC)
    start = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    if per is Per.DAY:
        end = start + timedelta(days=1)
    else:
        start = start.replace(day=1)
        end = (start + timedelta(days=32)).replace(day=1)
    return int(start.timestamp()) * 1000, int(end.timestamp()) * 1000
