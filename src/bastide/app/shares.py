# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Use cases about shares: what is promised of a deployment, and the proof of what was given."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from bastide.app.duties import require
from bastide.app.environment import Environment
from bastide.app.loading import verify_entries
from bastide.app.naming import newest_named
from bastide.app.projects import require_tenant
from bastide.core.budget import Per, period
from bastide.core.canonical import canonical
from bastide.core.errors import Misconfigured, NotFound, Refused
from bastide.core.evidence import Evidence, Statement
from bastide.core.key import Purpose
from bastide.core.limits import (
    SHARE_BURST_S,
    SHARE_BURST_S_MAX,
    SHARE_TOKENS_PER_S_MAX,
    SHARE_WEIGHT_MAX,
)
from bastide.core.subject import Digest, Subject
from bastide.stages.deploy import plan_of

__all__ = ["list_shares", "prove_shares", "set_share"]

_MONTH = re.compile(r"(\d{4})-(0[1-9]|1[0-2])")


def set_share(
    env: Environment,
    tenant: str,
    model: str,
    tokens_per_s: float,
    burst_s: float = SHARE_BURST_S,
    weight: float = 1.0,
) -> Evidence:
    """Promise a tenant a part of a deployment; the same again returns the first entry.

    Raises NotFound for an unknown tenant or deployment, Misconfigured for impossible numbers,
    Refused if all promises together are more than the deployment was measured to do.
    """
    require(env, "share-set")
    _check_numbers(tokens_per_s, burst_s, weight)
    require_tenant(env, tenant)
    deployed = env.ledger.deployments(active=True)
    deployment = newest_named(deployed, model, "deployment").subject.name
    current = _current(env.ledger.shares())
    said = {"tokens_per_s": tokens_per_s, "burst_s": burst_s, "weight": weight}
    known = current.get((tenant, deployment))
    if known is not None and all(known.body[name] == value for name, value in said.items()):
        return known
    others = sum(
        row.body["tokens_per_s"]
        for (whose, of), row in current.items()
        if of == deployment and whose != tenant
    )
    _check_room(env, deployment, tokens_per_s, others)
    digest = Digest.of(canonical({"share": [tenant, deployment]}))
    body = {"tenant": tenant, "deployment": deployment, **said, "time_ms": env.clock.now_ms()}
    statement = Statement("share/v1", (Subject(f"{tenant}/{deployment}", digest),), body)
    return env.ledger.append_statement(statement, [env.signer(Purpose.EVIDENCE)])


def list_shares(env: Environment) -> list[dict[str, Any]]:
    """One row per share. `capacity` is what its deployment was measured to do, or null."""
    require(env, "read")
    current = _current(env.ledger.shares())
    capacities = {of: _capacity(env, of) for _, of in current}
    return [
        {
            "tenant": tenant,
            "deployment": deployment,
            "tokens_per_s": row.body["tokens_per_s"],
            "burst_s": row.body["burst_s"],
            "weight": row.body["weight"],
            "capacity": capacities[deployment],
            "entry": row.entry,
        }
        for (tenant, deployment), row in sorted(current.items())
    ]


@dataclass(slots=True)
class _Given:
    promised: float = 0.0
    delivered: float = 0.0
    borrowed: float = 0.0
    starved_ms: int = 0
    refused: int = 0
    stated: Counter[int] = field(default_factory=Counter)  # statements, by replica
    worst: dict[str, Any] | None = field(default=None)
    lost: list[dict[str, Any]] = field(default_factory=list)
    entries: list[int | None] = field(default_factory=list)

    def lose(self, lost: Mapping[str, int]) -> None:
        """Note minutes of which there is no statement."""
        start, end = (
            datetime.fromtimestamp(lost[name] / 1000, UTC).isoformat(timespec="seconds")
            for name in ("start_ms", "end_ms")
        )
        self.lost.append({"start": start, "end": end, "statements": lost["statements"]})

    def add(self, body: Mapping[str, Any], row: Mapping[str, Any]) -> None:
        self.promised += row["promised"]
        self.delivered += row["delivered"]
        self.borrowed += row["borrowed"]
        self.starved_ms += row["starved_ms"]
        self.refused += row["refused"]
        self.stated[body.get("replica", 1)] += 1
        kept = _kept(row["promised"], row["delivered"])
        if self.worst is None or (kept, -row["starved_ms"]) < (
            self.worst["kept"],
            -self.worst["starved_ms"],
        ):
            start = datetime.fromtimestamp(body["start_ms"] / 1000, UTC)
            self.worst = {
                "start": start.isoformat(timespec="seconds"),
                "kept": kept,
                "promised": row["promised"],
                "delivered": row["delivered"],
                "starved_ms": row["starved_ms"],
            }


def prove_shares(env: Environment, tenant: str, month: str) -> list[dict[str, Any]]:
    """What a tenant was promised and given in a month (``2026-11``, UTC), by deployment.

    `no_evidence` are the times of which a runner lost its statements. Who else's they were nobody
    knows, so they are told to each tenant that asked for something or is promised something there.
    Every statement that counts is proven first: its signature, and its inclusion under the signed
    head. Raises NotProven, Misconfigured for what is no month, NotFound for an unknown tenant.
    """
    require(env, "read")
    if not env.ledger.find("tenant/v1", name=tenant):
        raise NotFound(f"there is no tenant {tenant!r}", fix="`bastide tenant ls` shows them")
    first_ms, end_ms = _month(month)
    rows = [
        row
        for row in env.ledger.find("share-minute/v1")
        if (first_ms <= row.body["start_ms"] < end_ms and _of(row, tenant))
        or _lost_in(row, first_ms, end_ms)
    ]
    verify_entries(env.ledger, rows)
    given: defaultdict[str, _Given] = defaultdict(_Given)
    for row in rows:
        if not first_ms <= row.body["start_ms"] < end_ms:
            continue
        for part in _of(row, tenant):
            given[row.subject.name].add(row.body, part)
            given[row.subject.name].entries.append(row.entry)
    concerned = {of for whose, of in _current(env.ledger.shares()) if whose == tenant} | set(given)
    for row in rows:
        if row.subject.name in concerned and (lost := _lost_in(row, first_ms, end_ms)):
            given[row.subject.name].lose(lost)
    return [
        {
            "tenant": tenant,
            "deployment": deployment,
            "month": month,
            "minutes": max(sums.stated.values(), default=0),
            "promised": round(sums.promised, 3),
            "delivered": round(sums.delivered, 3),
            "kept": _kept(sums.promised, sums.delivered),
            "borrowed": round(sums.borrowed, 3),
            "starved_ms": sums.starved_ms,
            "refused": sums.refused,
            "worst": sums.worst,
            "no_evidence": sums.lost,
            "entries": sums.entries,
        }
        for deployment, sums in sorted(given.items())
    ]


def _check_numbers(tokens_per_s: float, burst_s: float, weight: float) -> None:
    for name, value, low, high in (
        ("tokens-per-s", tokens_per_s, 0.0, SHARE_TOKENS_PER_S_MAX),
        ("burst-s", burst_s, 0.0, SHARE_BURST_S_MAX),
        ("weight", weight, 1 / SHARE_WEIGHT_MAX, SHARE_WEIGHT_MAX),
    ):
        if not low <= value <= high:
            raise Misconfigured(f"--{name} {value} is not between {low} and {high}", place=name)


def _check_room(env: Environment, deployment: str, wanted: float, others: float) -> None:
    capacity = _capacity(env, deployment)
    if capacity is None or wanted + others <= capacity:
        return
    raise Refused(
        f"{deployment} cannot keep that promise",
        reasons=(
            f"it was measured to do {capacity:g} units a second",
            f"{others:g} a second are promised to others already",
        ),
        fix=f"promise at most {max(0.0, capacity - others):g}",
    )


def _capacity(env: Environment, deployment: str) -> float | None:
    """Units a second that all replicas do when they are full; None before any was.

    Each is taken for what its runner measured last, and one that was never full for their mean.
    """
    named = [row for row in env.ledger.deployments(active=True) if row.subject.name == deployment]
    replicas = plan_of(named[-1]).replicas if named else 1
    last: dict[int, float] = {}
    for row in reversed(env.ledger.find("share-minute/v1", name=deployment)):
        replica, capacity = row.body.get("replica", 1), row.body["capacity"]
        if capacity is not None and replica <= replicas:
            last.setdefault(replica, capacity)
        if len(last) == replicas:
            break
    return replicas * sum(last.values()) / len(last) if last else None


def _current(rows: Iterable[Evidence]) -> dict[tuple[str, str], Evidence]:
    return {(row.body["tenant"], row.body["deployment"]): row for row in rows}


def _of(row: Evidence, tenant: str) -> Sequence[Mapping[str, Any]]:
    return [part for part in row.body["tenants"] if part["tenant"] == tenant]


def _lost_in(row: Evidence, first_ms: int, end_ms: int) -> Mapping[str, int] | None:
    """What a statement says was lost, if some of it was in a month."""
    lost = row.body["lost"]
    touches = lost is not None and lost["start_ms"] < end_ms and lost["end_ms"] > first_ms
    return lost if touches else None


def _kept(promised: float, delivered: float) -> float:
    return round(delivered / promised, 4) if promised else 1.0


def _month(text: str) -> tuple[int, int]:
    found = _MONTH.fullmatch(text)
    if found is None:
        raise Misconfigured(f"{text!r} is no month", fix="write it as 2026-11")
    year, month = int(found[1]), int(found[2])
    if year < 1970:
        raise Misconfigured(f"{text!r} is before 1970", fix="write it as 2026-11")
    return period(Per.MONTH, int(datetime(year, month, 1, tzinfo=UTC).timestamp()) * 1000)
