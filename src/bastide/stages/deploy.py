# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Deploy: give a release a share of a machine.

A deployment is stated before it is active: `plan` makes the object that the operator approves,
`deploy` judges the row `deploy` and appends it. `end` takes it out of service.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bastide.core.canonical import canonical
from bastide.core.errors import Misconfigured, NotFound
from bastide.core.evidence import Evidence, Statement, Verdict
from bastide.core.limits import REPLICAS_MAX
from bastide.core.share import Share
from bastide.core.subject import Digest, Subject
from bastide.crypto.dsse import Signer
from bastide.gates.dossier import Dossier
from bastide.gates.panel import judge_stage, refuse
from bastide.ledger import Ledger
from bastide.ledger.reference_values import reference_values
from bastide.ledger.times import seen_ms
from bastide.ports import Clock

__all__ = [
    "Plan",
    "active",
    "deploy",
    "end",
    "find_release",
    "judge",
    "plan",
    "plan_of",
]


@dataclass(frozen=True, slots=True)
class Plan:
    """A deployment before it is approved: plain values under one digest."""

    name: str
    release: Digest
    share: Share
    engine: str
    version: str
    replicas: int = 1
    machine: str = ""  # the name of another machine than control's

    def to_json(self) -> dict[str, Any]:
        """The deployment as plain JSON values.

        One replica and control's own machine are not written: plans from before there were more
        keep their digest.
        """
        more: dict[str, Any] = {} if self.replicas == 1 else {"replicas": self.replicas}
        if self.machine:
            more["machine"] = self.machine
        return {
            "name": self.name,
            "release": str(self.release),
            "share": {"slots": self.share.slots, "context_tokens": self.share.context_tokens},
            "engine": self.engine,
            "version": self.version,
            **more,
        }

    @property
    def digest(self) -> Digest:
        """The digest that the operator approves and that receipts carry."""
        return Digest.of(canonical(self.to_json()))


def plan(
    release: Evidence,
    name: str,
    share: Share,
    engine: str,
    version: str,
    replicas: int = 1,
    machine: str = "",
) -> Plan:
    """Plan to serve a release under a model name. Raises Misconfigured for too many replicas."""
    if not 1 <= replicas <= REPLICAS_MAX:
        raise Misconfigured(f"--replicas {replicas} is not between 1 and {REPLICAS_MAX}")
    return Plan(name, release.subject.digest, share, engine, version, replicas, machine)


def plan_of(deployment: Evidence) -> Plan:
    """The plan that a deployment states."""
    row = deployment.body["deployment"]
    share = Share(row["share"]["slots"], row["share"]["context_tokens"])
    release, replicas = Digest.parse(row["release"]), row.get("replicas", 1)
    machine = row.get("machine", "")
    return Plan(row["name"], release, share, row["engine"], row["version"], replicas, machine)


def find_release(ledger: Ledger, digest: Digest) -> Evidence | None:
    """The release of a digest, which is the first subject; the model's digest names none."""
    rows = ledger.find("release/v1", subject=digest)
    return next((row for row in reversed(rows) if row.subject.digest == digest), None)


def judge(ledger: Ledger, wanted: Plan, decided_ms: int) -> list[Verdict]:
    """Judge every gate of the row `deploy`, by the time at which it was deployed, or now."""
    dossier = Dossier(
        subject=wanted.digest,
        action="deploy",
        admission=None,
        evaluation=None,
        candidate=find_release(ledger, wanted.release),
        approvals=tuple(ledger.approvals(wanted.digest)),
        keys=ledger.known_keys(),
        revoked=ledger.revocations(),
        policy=ledger.policy(),
        references=tuple(reference_values(ledger).values()),
        decided_ms=decided_ms,
    )
    return judge_stage(ledger.policy(), "deploy", dossier)


def deploy(ledger: Ledger, wanted: Plan, signer: Signer, clock: Clock) -> Evidence:
    """Judge the row `deploy` and append a deployment; an active one is returned as it is.

    Raises NotFound if the release is not in the ledger, Waiting or Refused with every reason.
    """
    if find_release(ledger, wanted.release) is None:
        raise NotFound(f"no release has the digest {wanted.release}")
    same = [row for row in active(ledger) if row.subject.digest == wanted.digest]
    decided_ms = same[0].body["time_ms"] if same else seen_ms(ledger, clock.now_ms())
    refuse(judge(ledger, wanted, decided_ms), wanted.name, "deploy")
    if same:
        return same[0]
    body = {
        "deployment": wanted.to_json(),
        "approvals": [str(row.digest) for row in ledger.approvals(wanted.digest)],
        "time_ms": decided_ms,  # it is judged by this ever after
    }
    statement = Statement("deployment/v1", (Subject(wanted.name, wanted.digest),), body)
    return ledger.append_statement(statement, [signer])


def end(ledger: Ledger, running: Evidence, reason: str, signer: Signer, clock: Clock) -> Evidence:
    """Take a deployment out of service."""
    body = {
        "deployment": str(running.subject.digest),
        "reason": reason,
        "time_ms": clock.now_ms(),
    }
    statement = Statement("deployment-end/v1", (running.subject,), body)
    return ledger.append_statement(statement, [signer])


def active(ledger: Ledger) -> Sequence[Evidence]:
    """The deployments in service, oldest first."""
    return ledger.deployments(active=True)
