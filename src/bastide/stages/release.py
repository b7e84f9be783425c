# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Release: from a candidate and its evidence to a signed release.

1. `propose` states what is to be released: one model, its admission, its evaluation, the policy.
2. `approve` turns a party's signature over that candidate into evidence.
3. `publish` judges every gate of the row `release` and, if all pass, signs the release.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bastide.core.canonical import canonical
from bastide.core.errors import Misconfigured, NotFound, Refused
from bastide.core.evidence import Evidence, Statement, Verdict
from bastide.core.key import PARTY_SCHEMES
from bastide.core.limits import APPROVAL_DAYS
from bastide.core.subject import Digest, Subject
from bastide.core.utc import DAY_MS
from bastide.crypto import dsse
from bastide.crypto.dsse import Envelope, Signer
from bastide.gates.approvals import ahead_problem, life_problem
from bastide.gates.dossier import Dossier, dataset_release
from bastide.gates.panel import judge_stage, refuse
from bastide.ledger import Ledger, statements
from bastide.ledger.times import seen_ms
from bastide.ports import Clock

__all__ = [
    "Approval",
    "approval_statement",
    "approve",
    "judge",
    "propose",
    "publish",
    "sign_approval",
]


@dataclass(frozen=True, slots=True)
class Approval:
    """What a party is asked to sign: the subject, the action, the party, a comment, its life."""

    name: str
    digest: Digest
    action: str  # dataset-release, release or deploy
    party: str
    comment: str
    days: int = APPROVAL_DAYS


def propose(
    ledger: Ledger, model: Evidence, name: str, signers: Sequence[Signer], clock: Clock
) -> Evidence:
    """Append a candidate for the newest evaluation of an admitted model.

    `signers` are the evidence key and, if a party proposes, that party's key: the author.
    Proposing the same again returns the candidate that exists. Raises Refused without evaluation.
    """
    evaluations = ledger.find("evaluation/v1", subject=model.subject.digest)
    if not evaluations:
        raise Refused(
            f"{model.subject.name} has no evaluation",
            reasons=("eval-floor: the model was not evaluated",),
            fix=f"run `bastide evaluate {model.subject.name}`",
        )
    template = model.body.get("template")
    release = {
        "name": name,
        "model": str(model.subject.digest),
        "admission": str(model.digest),
        "evaluation": str(evaluations[-1].digest),
        "policy": str(ledger.policy().digest),
        "template": template["digest"] if template else None,
    }
    digest = Digest.of(canonical(release))
    known = ledger.find("candidate/v1", subject=digest)
    if known:
        return known[-1]
    body = {"release": release, "author": signers[-1].public.ident, "time_ms": clock.now_ms()}
    return ledger.append_statement(
        Statement("candidate/v1", (Subject(name, digest),), body), signers
    )


def approval_statement(approval: Approval, clock: Clock) -> Statement:
    """The statement whose signature is the approval."""
    now_ms = clock.now_ms()
    body = {
        "party": approval.party,
        "action": approval.action,
        "decision": "approve",
        "comment": approval.comment,
        "time_ms": now_ms,
        "expires_ms": now_ms + approval.days * DAY_MS,
    }
    return Statement("approval/v1", (Subject(approval.name, approval.digest),), body)


def approve(ledger: Ledger, envelope: Envelope, clock: Clock) -> Evidence:
    """Append a signed approval; the same envelope twice is the same approval.

    The ledger itself checks the signature, the key's party and its scheme. Raises Refused if
    that key has already approved the subject, or if the approval has ended or is from the future;
    NotFound if there is no such candidate.
    """
    try:
        statement = Statement.from_json(json.loads(envelope.payload))
    except ValueError as error:
        raise Misconfigured(f"the approval's payload is not JSON: {error}") from error
    if statement.kind != "approval/v1":
        raise Misconfigured(f"not an approval but {statement.kind}")
    statements.check_shape(statement)
    digest, action = statement.subjects[0].digest, statement.body.get("action")
    if action == "release" and not ledger.find("candidate/v1", subject=digest):
        raise NotFound(f"no candidate has the digest {digest}", fix="propose the release first")
    if action == "dataset-release" and not _is_dataset_release(ledger, digest):
        raise NotFound(f"no dataset's release has the digest {digest}", fix="build it first")
    signers = {ident for ident, _ in envelope.signatures}
    now_ms = seen_ms(ledger, clock.now_ms())
    for other in ledger.approvals(digest):
        if other.digest == envelope.digest:
            return other
        if life_problem(other.body, ledger.policy(), now_ms):
            continue
        if signers & set(other.signers) and other.body["action"] == action:
            raise Refused(
                f"the key {other.signers[0]} has already approved this {action}",
                reasons=("approvals: no key counts twice",),
            )
    _verify_life(ledger, statement, now_ms)
    ledger.append([envelope])
    return ledger.by_digest(envelope.digest)


def sign_approval(statement: Statement, signer: Signer) -> Envelope:
    """Sign an approval with a party's key. Raises Misconfigured for a service's key."""
    if signer.public.scheme not in PARTY_SCHEMES:
        raise Misconfigured("approvals are signed by a party's own key")
    return dsse.sign(statement.payload(), [signer])


def judge(ledger: Ledger, candidate: Evidence, now_ms: int | None = None) -> list[Verdict]:
    """Judge every gate of the row `release` for a candidate.

    By the time at which it was released, or now: what ends later had its say.
    """
    release = candidate.body["release"]
    published = ledger.find("release/v1", subject=candidate.subject.digest)
    dossier = Dossier(
        subject=candidate.subject.digest,
        action="release",
        admission=_evidence(ledger, release["admission"]),
        evaluation=_evidence(ledger, release["evaluation"]),
        candidate=candidate,
        approvals=tuple(ledger.approvals(candidate.subject.digest)),
        keys=ledger.known_keys(),
        revoked=ledger.revocations(),
        policy=ledger.policy(),
        decided_ms=published[-1].body["time_ms"] if published else now_ms,
    )
    return judge_stage(ledger.policy(), "release", dossier)


def publish(
    ledger: Ledger, candidate: Evidence, bundle: Digest, signer: Signer, clock: Clock
) -> Evidence:
    """Judge, and sign the release if every gate passes; publishing twice returns the first.

    Raises Waiting if only approvals are missing, Refused (with every reason) otherwise.
    """
    known = ledger.find("release/v1", subject=candidate.subject.digest)
    if known:
        return known[-1]
    decided_ms = seen_ms(ledger, clock.now_ms())
    verdicts = judge(ledger, candidate, decided_ms)
    refuse(verdicts, candidate.subject.name, "release")
    approvals = ledger.approvals(candidate.subject.digest)
    model = Digest.parse(candidate.body["release"]["model"])
    body: dict[str, Any] = {
        "release": candidate.body["release"],
        "candidate": str(candidate.digest),
        "approvals": [str(approval.digest) for approval in approvals],
        "verdicts": [verdict.to_json() for verdict in verdicts],
        "model_signing": str(bundle),
        "time_ms": decided_ms,  # it is judged by this ever after
    }
    admission = ledger.by_digest(Digest.parse(candidate.body["release"]["admission"]))
    subjects = (candidate.subject, Subject(admission.subject.name, model))
    return ledger.append_statement(Statement("release/v1", subjects, body), [signer])


def _verify_life(ledger: Ledger, statement: Statement, now_ms: int) -> None:
    body = statement.body
    if problem := life_problem(body, ledger.policy(), now_ms) or ahead_problem(body, now_ms):
        raise Refused(
            f"this approval {problem}",
            reasons=(f"approvals: it {problem}",),
            fix="compare the clocks, and approve again",
        )


def _is_dataset_release(ledger: Ledger, digest: Digest) -> bool:
    policy = ledger.policy()
    rows = ledger.find("dataset/v1")
    return any(Digest.of(canonical(dataset_release(row, policy))) == digest for row in rows)


def _evidence(ledger: Ledger, digest: str) -> Evidence | None:
    """Missing evidence is None, which every gate refuses."""
    try:
        return ledger.by_digest(Digest.parse(digest))
    except NotFound:
        return None
