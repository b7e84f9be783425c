# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Taken: what the replicas of one model took from promises, so that each knows of the others.

A promise is one for the whole model: each replica gives all of it to whoever comes there, and
counts what the others gave. While one deployment takes another's place, replicas of both are among
them.

Each life of a replica tells totals since it began, numbered, and hears the totals of the others. So
a message that is lost, comes twice or comes late changes nothing, and neither does a control that
begins anew and knows nobody: what was counted of a total is not counted again. Only what changed
since the other side last had it is sent. docs/adr/0075-totals.md says why.

Who tells may run on a machine that others do not trust. So nothing it tells sets a clock farther
ahead than all replicas together may give (docs/adr/0065-no-gap.md): what is beyond counts later, if
at all.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from bastide.core.errors import Misconfigured, Unavailable
from bastide.core.limits import (
    REPLICAS_MAX,
    SHARE_BURST_S_MAX,
    SHARE_LEASE_S,
    TAKEN_FORGOTTEN,
    TAKEN_KEPT_S,
    TAKEN_LIVES_MAX,
)

__all__ = ["Exchange", "Heard", "Others", "Report", "Taken"]


@dataclass(frozen=True, slots=True)
class Report:
    """What one life of a replica tells. Units are those of core/share.py."""

    model: str
    place: tuple[str, int]  # a deployment's digest, and the number of one of its replicas
    life: str
    number: int  # grows from 1 with each report of a life
    since: int  # the newest report that control has, as far as this life knows; 0 for none
    fresh: bool  # no control ever answered this life
    units: Mapping[str, float]  # by tenant: the total, where it changed after report `since`
    ahead: Mapping[str, float]  # seconds by which clocks are ahead of now; only if `since` is 0
    heard: Mapping[str, int]  # by another life: its newest report that came here


@dataclass(frozen=True, slots=True)
class Others:
    """What one other life told, as far as it changed since it was last heard."""

    number: int
    units: Mapping[str, float]
    # Only for who never heard of it: totals of a time that control does not remember.
    before: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Heard:
    """What control answers."""

    have: int  # the newest report of this life that control has; less than its own: not counted
    others: Mapping[str, Others]
    unknown: tuple[str, ...]  # lives that were heard of, and that control does not know
    # Only for who is fresh: seconds by which clocks are ahead of now, with its own takings.
    ahead: Mapping[str, float]
    replicas: int  # that take from the same promises now


@dataclass(slots=True)
class _Life:
    """What control knows of one life."""

    place: tuple[str, int]
    at: float
    number: int = 0
    units: dict[str, float] = field(default_factory=dict)
    changed: dict[str, int] = field(default_factory=dict)  # by tenant: with which report
    before: dict[str, float] = field(default_factory=dict)


class Taken:
    """What control knows of one model. It has no clock: every call says what time it is."""

    def __init__(self) -> None:
        self._lives: dict[str, _Life] = {}
        self._rates: dict[str, float] = {}
        self._until: dict[str, float] = {}  # by tenant: the clock of its promise
        self._at_once = 0.0

    def tell(self, now: float, report: Report, rates: Mapping[str, float], at_once: float) -> Heard:
        """Count what a replica took, once, and tell what it has not heard of the others.

        `rates` are units a second that are promised, by tenant; `at_once` is what all that one
        replica runs can cost. Raises Misconfigured for what no replica tells, and Unavailable for
        one that begins anew too often.
        """
        _verify(report)
        self._follow(now, rates)
        life = self._lives.get(report.life)
        if life is not None and life.place != report.place:
            # Every replica hears how the others' lives are called.
            raise Misconfigured("a replica speaks as the life of another one")
        self._at_once = at_once
        have = 0 if life is None else life.number
        if have < report.since:
            # It is known from before this control began: only all its totals say what it took.
            return Heard(have, {}, (), {}, 0)
        if life is None:
            if sum(row.place == report.place for row in self._lives.values()) >= TAKEN_LIVES_MAX:
                raise Unavailable("this replica has begun anew too often in the last minute")
            life = self._lives[report.life] = _Life(report.place, now)
            if not report.fresh:
                life.before = dict(report.units)
                life.units = dict(report.units)
                life.changed = dict.fromkeys(report.units, report.number)
                self._lead(now, report.ahead)
        if report.number > life.number:
            self._count(now, life, report)
        ahead = {}
        if report.fresh:
            ahead = {name: at - now for name, at in self._until.items() if at > now}
        others = {
            name: row
            for name, other in self._lives.items()
            if name != report.life and (row := _news(other, report.heard.get(name))) is not None
        }
        unknown = tuple(name for name in report.heard if name not in self._lives)
        places = {row.place for row in self._lives.values()}
        return Heard(life.number, others, unknown, ahead, len(places))

    def _follow(self, now: float, rates: Mapping[str, float]) -> None:
        for name in [name for name, row in self._lives.items() if now - row.at > TAKEN_KEPT_S]:
            del self._lives[name]
        # A new rate starts from now, as in the queues.
        self._until = {
            name: min(at, now) if rates[name] != self._rates.get(name) else at
            for name, at in self._until.items()
            if rates.get(name)
        }
        self._rates = dict(rates)

    def _lead(self, now: float, ahead: Mapping[str, float]) -> None:
        """Take up clocks that another control kept before, from one who followed them."""
        for name, ahead_s in ahead.items():
            if rate := self._rates.get(name):
                clock = now + min(ahead_s, self._ahead_max(rate))
                self._until[name] = max(self._until.get(name, now), clock)

    def _ahead_max(self, rate: float) -> float:
        """Seconds by which a promise's clock can be ahead of now: the bound of ADR 0065."""
        replicas = len({row.place for row in self._lives.values()})
        each_s = SHARE_LEASE_S + self._at_once / rate
        return 2 * SHARE_BURST_S_MAX + TAKEN_KEPT_S + replicas * each_s

    def _count(self, now: float, life: _Life, report: Report) -> None:
        for name, total in report.units.items():
            rate = self._rates.get(name, 0.0)
            if not rate and name not in life.units:
                continue  # nothing was promised to it
            before = life.units.get(name, 0.0)
            # What was taken before this control began can be given back, as far as it may run yet.
            least = life.before.get(name, 0.0) - self._at_once - SHARE_BURST_S_MAX * rate
            more = max(total, least, 0.0) - before
            if rate:
                clock = self._until.get(name, life.at)
                # What was taken in a silence is a debt of that time and not of now.
                clock = clock if more < 0 else max(clock, life.at)
                more = min(more, max(0.0, now + self._ahead_max(rate) - clock) * rate)
                self._until[name] = clock + more / rate
            life.units[name] = before + more
            life.changed[name] = report.number
        life.number, life.at = report.number, now


def _verify(report: Report) -> None:
    """Raise Misconfigured for what no replica tells."""
    if not all(map(math.isfinite, (*report.units.values(), *report.ahead.values()))):
        raise Misconfigured("what a replica took from promises is told in finite numbers")
    if not 1 <= report.place[1] <= REPLICAS_MAX:
        raise Misconfigured(f"{report.place[1]} is no number of a replica")


def _news(life: _Life, heard: int | None) -> Others | None:
    if heard is None:
        return Others(life.number, dict(life.units), dict(life.before))
    units = {name: life.units[name] for name, at in life.changed.items() if at > heard}
    return Others(life.number, units, {}) if units else None


class Exchange:
    """One life of a replica: what it tells control, and what it has heard. It has no clock."""

    def __init__(self, place: tuple[str, int], life: str) -> None:
        self._place, self._life = place, life
        self._number = self._since = 0
        self._fresh = True
        self._units: dict[str, float] = {}
        self._changed: dict[str, int] = {}
        # What was counted here of other lives: the number of a report, and totals.
        self._heard: dict[str, tuple[int, dict[str, float]]] = {}
        self._gone: dict[str, int] = {}  # those that control does not know: since which report

    def report(self, model: str, taken: Mapping[str, float], ahead: Mapping[str, float]) -> Report:
        """What to tell control, with what was `taken` since the last call."""
        self._number += 1
        for name, more in taken.items():
            self._units[name] = self._units.get(name, 0.0) + more
            self._changed[name] = self._number
        units = {name: self._units[name] for name, at in self._changed.items() if at > self._since}
        return Report(
            model, self._place, self._life, self._number, self._since, self._fresh, units,
            ahead if self._since == 0 else {},
            {name: number for name, (number, _) in self._heard.items()},
        )  # fmt: skip

    def hear(self, report: Report, heard: Heard) -> dict[str, float] | None:
        """What the others took that was not counted here before, by tenant.

        None if control could not count the report: the next one tells all.
        """
        if heard.have < report.number:
            self._since = min(self._since, heard.have)
            return None
        self._since = max(self._since, report.number)
        begun, self._fresh = report.fresh and self._fresh, False
        sums: dict[str, float] = {}
        for life, row in heard.others.items():
            _, totals = self._heard.get(life, (0, dict(row.before)))
            for name, total in row.units.items():
                # What was before this life is in the clocks that it was given.
                more = 0.0 if begun else total - totals.get(name, 0.0)
                totals[name] = total
                sums[name] = sums.get(name, 0.0) + more
            self._heard[life] = row.number, totals
        # A control that has just begun knows nobody, but soon it knows who lives.
        self._gone = {life: self._gone.get(life, report.number) for life in heard.unknown}
        for life, since in self._gone.items():
            if report.number - since >= TAKEN_FORGOTTEN:
                self._heard.pop(life, None)
        return {name: more for name, more in sums.items() if abs(more) > 1e-9}
