# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Snapshots: what gateways and the supervisor need to know, made from the ledger alone."""

from collections.abc import Sequence
from pathlib import Path

from bastide.app.budgets import in_force
from bastide.app.config import Settings
from bastide.app.keys import key_grants
from bastide.app.loading import verify_entries
from bastide.app.prices import price_of
from bastide.core.billing import Accounts
from bastide.core.canonical import canonical
from bastide.core.embedding import EMBEDDING_ENGINE
from bastide.core.evidence import Evidence
from bastide.core.share import Promise
from bastide.core.snapshot import Served, Snapshot
from bastide.core.subject import Digest
from bastide.ledger import Ledger

__all__ = ["build_snapshot", "runner_socket"]


def runner_socket(run: Path, deployment: Digest) -> Path:
    """Where the runner of a deployment listens."""
    return run / f"runner-{deployment.hex[:16]}.sock"


def build_snapshot(
    ledger: Ledger,
    settings: Settings,
    run: Path,
    version: int,
    now_ms: int,
    proven: set[Digest],
    accounts: Accounts | None = None,
) -> Snapshot:
    """What counts now, from a ledger of `version` entries: keys, deployments, aliases and the like.

    Each of them is proven before it counts: signature, and inclusion under the head.
    `proven` remembers which have been, from one call to the next. Raises NotProven: a row that
    somebody planted in the database opens nothing.
    """
    api_keys, deployments = ledger.api_keys(active=True), ledger.deployments(active=True)
    named, guards, lists = ledger.aliases(), ledger.guards(), ledger.find("erasure/v1")[-1:]
    shares, prices, budgets = ledger.shares(), ledger.prices(), ledger.budgets()
    expiries = ledger.key_expiries()
    counting = (*api_keys, *deployments, *named, *guards, *lists, *shares)
    counting += (*prices, *budgets, *expiries)
    fresh = [row for row in counting if row.digest not in proven]
    if fresh:
        verify_entries(ledger, fresh)
        proven.update(row.digest for row in fresh)
    keys = key_grants(api_keys, expiries)
    served = {}
    for row in deployments:
        plan = row.body["deployment"]
        loads = ledger.find("load/v1", subject=row.subject.digest)
        served[row.subject.name] = Served(
            name=row.subject.name,
            release=plan["release"],
            deployment=str(row.subject.digest),
            socket=str(runner_socket(run, row.subject.digest)),
            node=settings.node,
            # Until a runner has stated its load, nobody may claim an isolation.
            sandbox=loads[-1].body["sandbox"] if loads else "not loaded",
            slots=plan["share"]["slots"],
            context_tokens=plan["share"]["context_tokens"],
            created_s=row.body["time_ms"] // 1000,
            embeds=plan["engine"] == EMBEDDING_ENGINE,
        )
    policy = str(ledger.policy().digest)
    return Snapshot(
        version,
        now_ms,
        settings.environment,
        policy,
        keys,
        served,
        _aliases(named),
        guards=_guards(guards),
        erasure=lists[0].body["list"] if lists else "",
        prices={row.body["model"]: price_of(row) for row in prices},
        budgets=() if accounts is None else accounts.spent(in_force(budgets), now_ms),
        workers=settings.gateway_workers,
        shares=_promises(shares),
        receipts=settings.receipts,
    )


def _aliases(named: Sequence[Evidence]) -> dict[str, str]:
    stated = {row.body["alias"]: row.body["deployment"] for row in named}
    return {alias: name for alias, name in stated.items() if name is not None}


def _guards(stated: Sequence[Evidence]) -> dict[str, str]:
    policies = {row.body["tenant"]: row.body["policy"] for row in stated}
    return {
        tenant: canonical(policy).decode()
        for tenant, policy in policies.items()
        if policy is not None
    }


def _promises(shares: Sequence[Evidence]) -> dict[str, dict[str, Promise]]:
    promised: dict[str, dict[str, Promise]] = {}
    for row in shares:
        body = row.body
        share = Promise(body["tokens_per_s"], body["burst_s"], body["weight"])
        promised.setdefault(body["deployment"], {})[body["tenant"]] = share
    return promised
