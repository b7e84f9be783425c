# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Use cases about the release of datasets: judge, publish, ask for approvals, show the state."""

from collections.abc import Mapping
from typing import Any

from bastide.app.duties import require
from bastide.app.emergencies import approvals_told
from bastide.app.enrolment import key_statements
from bastide.app.environment import Environment
from bastide.app.naming import named_dataset
from bastide.core.canonical import canonical
from bastide.core.errors import NotProven
from bastide.core.evidence import Evidence
from bastide.core.key import PublicKey, Purpose
from bastide.core.policy import Policy
from bastide.core.subject import Digest
from bastide.gates.dossier import Dossier, dataset_reasons, dataset_release
from bastide.ledger.erased import datasets
from bastide.ledger.times import seen_ms
from bastide.stages import dataset_release as stage
from bastide.stages.release import Approval

__all__ = ["approval_of", "publish_dataset", "read_dataset_request", "release_state",
           "request_dataset", "versions_of"]  # fmt: skip

REQUEST_TYPE = "https://bastide.eu/approval-request/v1"


def _find(env: Environment, name: str) -> Evidence:
    return named_dataset(env.ledger, name)


def publish_dataset(env: Environment, name: str) -> Evidence:
    """Judge every gate and sign the release. Raises Waiting or Refused with every reason."""
    require(env, "dataset-release", name)
    dataset = _find(env, name)
    return stage.publish(env.ledger, dataset, env.signer(Purpose.RELEASE), env.clock)


def approval_of(env: Environment, name: str, comment: str) -> Approval:
    """What a party is asked to sign about a dataset."""
    dataset = _find(env, name)
    digest = stage.digest_of(env.ledger, dataset)
    return Approval(dataset.subject.name, digest, stage.ACTION, "", comment)


def request_dataset(env: Environment, name: str) -> dict[str, Any]:
    """What a party needs to decide about a dataset on a machine of its own."""
    require(env, "read")
    dataset = _find(env, name)
    rows = {"charter": env.ledger.charter(), "dataset": dataset}
    return {
        "type": REQUEST_TYPE,
        "action": stage.ACTION,
        "name": dataset.subject.name,
        "digest": str(stage.digest_of(env.ledger, dataset)),
        "entries": {
            what: env.ledger.envelope(row.entry or 0).to_json() for what, row in rows.items()
        },
        "keys": key_statements(env),
    }


def read_dataset_request(
    value: Mapping[str, Any], dataset: Evidence, keys: Mapping[str, PublicKey], policy: Policy
) -> dict[str, Any]:
    """What a request about a dataset asks, in words a person can decide on. Raises NotProven."""
    wanted = Digest.of(canonical(dataset_release(dataset, policy)))
    dossier = Dossier(
        subject=wanted,
        action=stage.ACTION,
        admission=None,
        evaluation=None,
        candidate=None,
        approvals=(),
        keys=keys,
        policy=policy,
        dataset=dataset,
    )
    if reasons := dataset_reasons(dossier):
        raise NotProven(f"the request's dataset: {'; '.join(reasons)}", reasons=reasons)
    asked = (dataset.subject.name, str(wanted), stage.ACTION)
    for what, want in zip(("name", "digest", "action"), asked, strict=True):
        if value[what] != want:
            raise NotProven(f"the request's {what} is not that of the dataset, {want}")
    body = dataset.body
    return {
        "action": stage.ACTION,
        "name": dataset.subject.name,
        "digest": str(wanted),
        "dataset": str(dataset.subject.digest),
        "root": body["root"],
        "documents": body["documents"],
        "bytes": body["bytes"],
        "sources": body["sources"],
        "steps": body["steps"],
        "personal_data": body["personal_data"],
        "decontaminated": list(body.get("decontaminated") or ()),
        "policy": policy.name,
    }


def release_state(env: Environment, dataset: Evidence) -> dict[str, Any]:
    """Whether a dataset is released, who approved it, and what stands against it now."""
    released = stage.find_release(env.ledger, dataset)
    verdicts = stage.judge(env.ledger, dataset, seen_ms(env.ledger, env.clock.now_ms()))
    approvals = env.ledger.approvals(stage.digest_of(env.ledger, dataset))
    waits_for = [f"{verdict.gate}: {reason}" for verdict in verdicts for reason in verdict.reasons]
    state = "released" if released else "built"
    return {
        "state": "withdrawn" if released and waits_for else state,
        "release": str(released.digest) if released else None,
        "release_entry": released.entry if released else None,
        "approvals": approvals_told(env.ledger, approvals),
        "waits_for": waits_for,
        **versions_of(env, dataset),
    }


def versions_of(env: Environment, dataset: Evidence) -> dict[str, Any]:
    """The datasets of the same name that were made just before and just after."""
    rows = [row for row in datasets(env.ledger) if row.subject.name == dataset.subject.name]
    at = next(number for number, row in enumerate(rows) if row.digest == dataset.digest)
    return {
        "previous": str(rows[at - 1].subject.digest) if at else None,
        "next": str(rows[at + 1].subject.digest) if at + 1 < len(rows) else None,
    }
