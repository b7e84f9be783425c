# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Snapshots: what gateways and the supervisor need to know, made from the ledger alone."""

from pathlib import Path

from bastide.app.config import Settings
from bastide.app.loading import verify_entries
from bastide.core.snapshot import KeyGrant, Served, Snapshot
from bastide.core.subject import Digest
from bastide.ledger import Ledger

__all__ = ["build_snapshot", "runner_socket"]


def runner_socket(run: Path, deployment: Digest) -> Path:
    """Where the runner of a deployment listens."""
    return run / f"runner-{deployment.hex[:16]}.sock"


def build_snapshot(
    ledger: Ledger, settings: Settings, run: Path, version: int, now_ms: int, proven: set[Digest]
) -> Snapshot:
    """All active keys, deployments and aliases, from a ledger of `version` entries.

    Each of them is proven before it counts: signature, and inclusion under the head.
    `proven` remembers which have been, from one call to the next. Raises NotProven: a row that
    somebody planted in the database opens nothing.
    """
    api_keys, deployments = ledger.api_keys(active=True), ledger.deployments(active=True)
    named = ledger.aliases()
    fresh = [row for row in (*api_keys, *deployments, *named) if row.digest not in proven]
    if fresh:
        verify_entries(ledger, fresh)
        proven.update(row.digest for row in fresh)
    keys = {
        row.body["mac"]: KeyGrant(row.body["key"], row.body["tenant"], tuple(row.body["scopes"]))
        for row in api_keys
    }
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
        )
    policy = str(ledger.policy().digest)
    aliases = {
        row.body["alias"]: row.body["deployment"]
        for row in named
        if row.body["deployment"] is not None
    }
    return Snapshot(version, now_ms, settings.environment, policy, keys, served, aliases)
