# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Snapshots: what gateways and the supervisor need to know, made from the ledger alone."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from bastide.app import nodes
from bastide.app.budgets import in_force
from bastide.app.config import Settings
from bastide.app.keys import key_grants
from bastide.app.loading import verify_entries
from bastide.app.machines import MACHINE_KINDS
from bastide.app.prices import price_of
from bastide.app.revocations import recalled, stopped
from bastide.app.succession import coming, serving
from bastide.core.billing import Accounts
from bastide.core.canonical import canonical
from bastide.core.embedding import EMBEDDING_ENGINE
from bastide.core.errors import NotProven, Refused
from bastide.core.evidence import Evidence
from bastide.core.limits import REPLACED_DRAIN_S, SNAPSHOT_AGE_MAX_S
from bastide.core.register import KEY_KINDS
from bastide.core.revocation import Revocable
from bastide.core.service import far_socket
from bastide.core.share import Promise
from bastide.core.snapshot import Served, Snapshot
from bastide.core.subject import Digest
from bastide.ledger import Ledger
from bastide.ledger.decided import DECIDED, FOLLOWED, Decisions
from bastide.ledger.denials import DENIAL_KINDS
from bastide.ledger.reference_values import reference_values

__all__ = ["Known", "build_snapshot", "runner_name", "runner_socket", "runners"]

# What can change a deployment's right to serve, beside what can change whose signature counts.
_JUDGED = (
    *(*KEY_KINDS, *MACHINE_KINDS, *DENIAL_KINDS),
    *("revocation/v1", "approval/v1", "deployment-end/v1"),
)
_ABOUT_NODES = (*KEY_KINDS, "revocation/v1", "node-reference/v1", "node/v1")


@dataclass(slots=True)
class Known:
    """What was found out from one snapshot to the next: proven entries, deployments judged.

    Each is forgotten when an entry comes that can change it: a proof only at a key statement, since
    proving thousands of API keys again at every approval would keep control from all else.
    """

    proven: set[Digest] = field(default_factory=set)
    judged: dict[Digest, list[str]] = field(default_factory=dict)
    ended: dict[Digest, list[str]] = field(default_factory=dict)
    nodes: dict[tuple[str, int], Evidence] = field(default_factory=dict)
    nodes_at: int = -2
    proven_at: int = -1
    decided_at: int = -1
    judged_at: int = -1
    denied: tuple[str, ...] = ()
    ends: list[Evidence] = field(default_factory=list)  # lately; of all, only new ones are read
    ends_read: int = 0  # entries in which they were looked for

    def follow(self, ledger: Ledger) -> None:
        """Forget what a newer entry can change."""
        if (newest := ledger.newest_of(*_JUDGED)) == self.judged_at:
            return
        self.judged.clear()
        self.ended.clear()
        self.judged_at = newest
        self.denied = tuple(ledger.denials().standing)
        if (changed := ledger.newest_of(*KEY_KINDS)) != self.proven_at:
            self.proven.clear()
            self.proven_at = changed

    def attested(self, ledger: Ledger, deployment: str, now_ms: int) -> tuple[str, ...]:
        """The statements of a deployment's nodes that are in force; proven before they count."""
        if (newest := ledger.newest_of(*_ABOUT_NODES)) != self.nodes_at:
            self.nodes = nodes.in_force(ledger, now_ms)
            values = reference_values(ledger).values()
            verify_entries(ledger, (*self.nodes.values(), *values))
            self.nodes_at = newest
        standing = (row for (of, _), row in sorted(self.nodes.items()) if of == deployment)
        return tuple(str(row.digest) for row in standing if row.body["expires_ms"] > now_ms)

    def decided(self, ledger: Ledger, rows: Sequence[Evidence]) -> None:
        """Check that those who decide signed these, each in the place of the one before it.

        An entry that somebody planted may have been proven before: each is asked again whenever
        there is a new one.
        """
        if rows and (newest := ledger.newest_of(*(row.kind for row in rows))) != self.decided_at:
            verify_decisions(ledger)
            self.decided_at = newest

    def reasons(self) -> dict[str, list[str]]:
        """Why deployments that nobody has ended are out of service, by the statement's digest."""
        return {str(digest): reasons for digest, reasons in self.judged.items() if reasons}

    def recalled(self, ledger: Ledger, now_ms: int) -> Iterator[str]:
        """Deployments whose last answers may still run, and must not: their digests."""
        since_ms = now_ms - 1_000 * (REPLACED_DRAIN_S + SNAPSHOT_AGE_MAX_S)
        fresh = ledger.find("deployment-end/v1", since=self.ends_read)
        self.ends = [row for row in (*self.ends, *fresh) if row.body["time_ms"] >= since_ms]
        if fresh:
            self.ends_read = (fresh[-1].entry or 0) + 1
        for end in self.ends:
            digest = end.subject.digest
            if digest not in self.ended:
                (row,) = ledger.find("deployment/v1", subject=digest)[-1:]
                self.ended[digest] = recalled(ledger, row)
            if self.ended[digest]:
                yield str(digest)

    def stopped(self, ledger: Ledger, row: Evidence) -> list[str]:
        """Why a deployment may serve no more."""
        if row.digest not in self.judged:
            self.judged[row.digest] = stopped(ledger, row)
        return self.judged[row.digest]


def verify_decisions(ledger: Ledger) -> None:
    """Check whose signatures all decisions have, and that each follows the one before.

    Raises NotProven.
    """
    decisions, known = Decisions(ledger.policy()), ledger.known_keys()
    rows = [row for kind in FOLLOWED for row in ledger.find(kind)]
    for row in sorted(rows, key=lambda row: row.entry or 0):
        if row.kind in DECIDED and DECIDED[row.kind].chained:
            opened = decisions.open.get(row.body.get("emergency") or "")
            if opened is not None:
                for between in ledger.entries(opened.entry or 0, row.entry):
                    decisions.follow(between, known)
            try:
                decisions.verify(row, known)
            except (NotProven, Refused) as error:
                raise NotProven(f"entry {row.entry}: {error.message}") from error
        decisions.follow(row, known)


def runner_name(deployment: Digest, replica: int = 1) -> str:
    """What the runner of one replica is called, in its sockets, its log and the metrics."""
    first = f"runner-{deployment.hex[:16]}"
    return first if replica == 1 else f"{first}-{replica}"


def runner_socket(run: Path, deployment: Digest, replica: int = 1) -> Path:
    """Where the runner of one replica listens."""
    return run / f"{runner_name(deployment, replica)}.sock"


def runners(served: Iterable[Served]) -> dict[str, tuple[Served, int]]:
    """All runners that there should be, by name: of which deployment, and which replica."""
    return {
        runner_name(Digest.parse(row.deployment), replica): (row, replica)
        for row in served
        for replica in range(1, len(row.sockets) + 1)
    }


def build_snapshot(
    ledger: Ledger,
    settings: Settings,
    run: Path,
    version: int,
    now_ms: int,
    known: Known,
    accounts: Accounts | None = None,
) -> Snapshot:
    """What counts now, from a ledger of `version` entries: keys, deployments, aliases and the like.

    Each of them is proven before it counts: signature, and inclusion under the head.
    `known` remembers which have been, from one call to the next. Raises NotProven: a row that
    somebody planted in the database opens nothing.
    """
    known.follow(ledger)
    api_keys, deployments = ledger.api_keys(active=True), ledger.deployments(active=True)
    named, guards, lists = ledger.aliases(), ledger.guards(), ledger.find("erasure/v1")[-1:]
    shares, prices, budgets = ledger.shares(), ledger.prices(), ledger.budgets()
    expiries = ledger.key_expiries()
    counting = (*api_keys, *deployments, *named, *guards, *lists, *shares)
    counting += (*prices, *budgets, *expiries)
    fresh = [row for row in counting if row.digest not in known.proven]
    if fresh:
        verify_entries(ledger, fresh)
        known.proven.update(row.digest for row in fresh)
    known.decided(ledger, (*guards, *lists))
    keys = key_grants(api_keys, expiries)
    out = [row for row in deployments if known.stopped(ledger, row)]
    standing = [row for row in deployments if row not in out]

    def told(row: Evidence) -> Served:
        one = _served(ledger, settings.node, run, row)
        if settings.attestation or ledger.policy().attested or one.machine:
            return replace(one, attested=known.attested(ledger, one.deployment, now_ms))
        return one

    policy = str(ledger.policy().digest)
    return Snapshot(
        version,
        now_ms,
        settings.environment,
        policy,
        keys,
        {name: told(row) for name, row in serving(standing).items()},
        _aliases(named),
        guards=_guards(guards),
        erasure=lists[0].body["list"] if lists else "",
        prices={row.body["model"]: price_of(row) for row in prices},
        budgets=() if accounts is None else accounts.spent(in_force(budgets), now_ms),
        workers=settings.gateway_workers,
        shares=_promises(shares),
        receipts=settings.receipts,
        coming=tuple(map(told, coming(standing).values())),
        stopped=(*(str(row.subject.digest) for row in out), *known.recalled(ledger, now_ms)),
        denied=known.denied,
        certificates=frozenset(ledger.revocations().digests(Revocable.CERTIFICATE)),
    )


def _served(ledger: Ledger, node: str, run: Path, row: Evidence) -> Served:
    plan, digest = row.body["deployment"], row.subject.digest
    loads = ledger.find("load/v1", subject=digest)
    replicas = range(1, plan.get("replicas", 1) + 1)
    machine = plan.get("machine", "")
    first, *others = (
        _far(loads, replica, machine, digest)
        if machine
        else str(runner_socket(run, digest, replica))
        for replica in replicas
    )
    return Served(
        name=row.subject.name,
        release=plan["release"],
        deployment=str(digest),
        socket=first,
        node=machine or node,
        # Until a runner has stated its load, nobody may claim an isolation.
        sandbox=loads[-1].body["sandbox"] if loads else "not loaded",
        slots=plan["share"]["slots"],
        context_tokens=plan["share"]["context_tokens"],
        created_s=row.body["time_ms"] // 1000,
        embeds=plan["engine"] == EMBEDDING_ENGINE,
        others=tuple(others),
        machine=machine,
    )


def _far(loads: Sequence[Evidence], replica: int, machine: str, deployment: Digest) -> str:
    """Where a replica of another machine said last that it answers; empty before it has loaded."""
    said = [row.body for row in loads if row.body.get("replica", 1) == replica]
    address = said[-1].get("address", "") if said else ""
    return far_socket(address, machine, deployment) if address else ""


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
