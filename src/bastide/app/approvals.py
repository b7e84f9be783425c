# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Use cases about approvals: a party signs on any machine; the signed file is carried over.

A request is a self-contained file: what is to be approved, and the evidence with its proofs.
The approver checks it offline, sees what it says, and signs with an OpenSSH key of their own.
"""

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

from bastide.app.dataset_releases import REQUEST_TYPE, read_dataset_request
from bastide.app.duties import require
from bastide.app.enrolment import key_statements, register_of
from bastide.app.environment import Environment
from bastide.app.releases import find_candidate
from bastide.core.errors import BastideError, Misconfigured, NotProven
from bastide.core.evidence import Evidence, Statement
from bastide.core.key import PublicKey
from bastide.core.limits import APPROVAL_DAYS
from bastide.core.party import Party
from bastide.core.policy import Policy
from bastide.core.register import KeyState
from bastide.core.subject import Digest
from bastide.crypto import dsse
from bastide.crypto.dsse import Envelope, Signer
from bastide.gates.approvals import life_problem
from bastide.gates.dossier import Dossier, evaluation_reasons
from bastide.ledger import statements
from bastide.ledger.times import seen_ms
from bastide.ports import Clock
from bastide.stages import deploy, release
from bastide.stages.release import Approval

__all__ = [
    "REQUEST_TYPE",
    "approve_here",
    "counter_note",
    "draft_request",
    "import_approval",
    "read_request",
    "request_deployment",
    "request_release",
    "sign_request",
]

_EVIDENCE = ("charter", "admission", "evaluation", "candidate")
_STANDING = (KeyState.ACTIVE, KeyState.DEACTIVATED)  # what such a key signed still counts
_WANTED = {"dataset-release": ("charter", "dataset")}


def approve_here(
    env: Environment, approval: Approval, signers: Mapping[Party, Signer]
) -> list[Evidence]:
    """Sign for every party whose key is given and which the stage asks; append each."""
    rule = env.ledger.policy().rule(approval.action)
    wanted = rule.approvals if rule is not None else {}
    rows, now_ms = [], seen_ms(env.ledger, env.clock.now_ms())
    for party, signer in signers.items():
        known = env.ledger.approvals(approval.digest)
        mine = [
            row
            for row in known
            if signer.public.ident in row.signers
            and not life_problem(row.body, env.ledger.policy(), now_ms)
        ]
        if party not in wanted or mine:
            rows += mine
            continue
        asked = dataclasses.replace(approval, party=party.value)
        signed = release.sign_approval(release.approval_statement(asked, env.clock), signer)
        rows.append(release.approve(env.ledger, signed, env.clock))
    return rows


def import_approval(env: Environment, text: str) -> Evidence:
    """Append an approval that was signed elsewhere. Raises Misconfigured or NotProven."""
    require(env, "approve")
    return release.approve(env.ledger, Envelope.from_json(_json(text, "the approval")), env.clock)


def counter_note(env: Environment, row: Evidence) -> str | None:
    """What the counters of an authenticator say, if this approval's is not above all before it.

    A passkey that is synchronised between devices counts nothing: 0. Files may come in another
    order than they were signed in, so this is a note for people and closes no gate.
    """
    require(env, "read")
    ident = row.signers[0]
    key = env.ledger.known_keys()[ident]
    counts = {}
    for other in env.ledger.find("approval/v1"):
        if ident in other.signers and other.entry is not None:
            signatures = dict(env.ledger.envelope(other.entry).signatures)
            counts[other.entry] = dsse.counter_of(key, signatures[ident]) or 0
    mine = counts.pop(row.entry or 0)
    if not mine or mine > max(counts.values(), default=0):
        return None
    return (
        f"the authenticator of {ident} counts {mine}, and was at {max(counts.values())} before: "
        "it may have been copied"
    )


def request_release(env: Environment, name: str) -> dict[str, Any]:
    """What a party needs to decide about a candidate on a machine of its own."""
    require(env, "read")
    candidate = find_candidate(env, name)
    wanted = candidate.body["release"]
    rows = {
        "charter": env.ledger.charter(),
        "admission": env.ledger.by_digest(Digest.parse(wanted["admission"])),
        "evaluation": env.ledger.by_digest(Digest.parse(wanted["evaluation"])),
        "candidate": candidate,
    }
    return {
        "type": REQUEST_TYPE,
        "action": "release",
        "name": candidate.subject.name,
        "digest": str(candidate.subject.digest),
        "entries": {
            what: env.ledger.envelope(row.entry or 0).to_json() for what, row in rows.items()
        },
        "keys": key_statements(env),
    }


def request_deployment(plan: deploy.Plan, comment: str) -> Approval:
    """What the operator is asked to approve."""
    return Approval(plan.name, plan.digest, "deploy", Party.OPERATOR.value, comment)


def read_request(text: str, anchors: Mapping[str, Any] | None) -> dict[str, Any]:
    """Check a request offline and return what it asks, in words a person can decide on.

    1. The charter has the digest of the anchors, if they are given.
    2. Every statement is of the kind that its place demands, signed by the keys of that charter
       which may sign that kind, or of those enrolled since: what one party says is no evaluation.
    3. They belong together: the candidate names exactly this admission, evaluation, template and
       policy, and its author signed it. Of a dataset there is its account alone.
    4. What is asked for, by action, name and digest, is this candidate and nothing else.

    Raises NotProven, saying which step failed.
    """
    value = _json(text, "the request")
    try:
        if value["type"] != REQUEST_TYPE:
            raise Misconfigured(f"not an approval request: {value['type']!r}")
        wanted = _WANTED.get(value["action"], _EVIDENCE)
        envelopes = {what: Envelope.from_json(value["entries"][what]) for what in wanted}
        # 1.
        charter = envelopes["charter"]
        if anchors is not None and str(charter.digest) != anchors["charter"]:
            raise NotProven("the request's charter is not the one of your keys.json")
        # 2.
        founded = _verified("charter", charter, {})
        lives = register_of(founded, value.get("keys", [])).lives.values()
        standing = [life for life in lives if life.state in _STANDING]
        keys = {life.key.ident: life.key for life in standing}
        mine = {
            life.key.ident: life.key.party for life in standing if life.state is KeyState.ACTIVE
        }
        rows = {what: _verified(what, envelopes[what], keys) for what in wanted[1:]}
        # 3.
        policy = Policy.from_json(founded.body["policy"])
        if "dataset" in rows:
            asked_for = read_dataset_request(value, rows["dataset"], keys, policy)
            return {**asked_for, "anchored": anchors is not None, "keys": _of_parties(mine)}
        _check_together(rows, keys, policy)
        # 4.
        candidate, admission = rows["candidate"], rows["admission"]
        asked = (candidate.subject.name, str(candidate.subject.digest), "release")
        for what, want in zip(("name", "digest", "action"), asked, strict=True):
            if value[what] != want:
                raise NotProven(f"the request's {what} is not that of the candidate, {want}")
        return {
            "action": value["action"],
            "name": value["name"],
            "digest": value["digest"],
            "model": str(admission.subject.digest),
            "origin": admission.body["origin"],
            "licence": admission.body["licence"],
            "template": admission.body["template"],
            "scores": rows["evaluation"].body["scores"],
            "policy": policy.name,
            "anchored": anchors is not None,
            "keys": _of_parties(mine),
        }
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise Misconfigured(f"the request lacks a part: {error!r:.200}") from error


def _of_parties(keys: Mapping[str, str | None]) -> dict[str, str]:
    return {ident: party for ident, party in keys.items() if party}


def _verified(what: str, envelope: Envelope, keys: Mapping[str, PublicKey]) -> Evidence:
    try:
        evidence = statements.read_signed(envelope, keys).evidence
    except BastideError as error:
        raise NotProven(f"the request's {what}: {error.message}") from error
    if evidence.kind != f"{what}/v1":
        raise NotProven(f"the request's {what} is a {evidence.kind}")
    return evidence


def _check_together(
    rows: Mapping[str, Evidence], keys: Mapping[str, PublicKey], policy: Policy
) -> None:
    candidate, admission = rows["candidate"], rows["admission"]
    dossier = Dossier(
        subject=candidate.subject.digest,
        action="release",
        admission=admission,
        evaluation=rows["evaluation"],
        candidate=candidate,
        approvals=(),
        keys=keys,
        policy=policy,
    )
    reasons = evaluation_reasons(dossier)
    template = admission.body["template"]
    if candidate.body["release"]["template"] != (template and template["digest"]):
        reasons.append("the candidate names another template than the admission")
    if candidate.body["author"] not in candidate.signers:
        reasons.append("the candidate is not signed by its author")
    if reasons:
        raise NotProven(
            f"the request's statements do not belong together: {'; '.join(reasons)}",
            reasons=reasons,
        )


def sign_request(
    summary: Mapping[str, Any],
    signer: Signer,
    comment: str,
    clock: Clock,
    days: int = APPROVAL_DAYS,
) -> Envelope:
    """Sign what `read_request` checked. Raises NotProven for a key that is not enrolled."""
    draft = draft_request(summary, signer.public.ident, comment, clock, days)
    return release.sign_approval(Statement.from_json(json.loads(draft.payload)), signer)


def draft_request(
    summary: Mapping[str, Any], ident: str, comment: str, clock: Clock, days: int = APPROVAL_DAYS
) -> Envelope:
    """The approval that a key is to sign, with no signature yet. Raises NotProven."""
    party = summary["keys"].get(ident)
    if party is None:
        raise NotProven(
            f"the key {ident} is no party's key in this environment",
            fix="use a key that is enrolled: `bastide signing-key ls` lists them",
        )
    approval = Approval(
        summary["name"], Digest.parse(summary["digest"]), summary["action"], party, comment, days
    )
    return Envelope(release.approval_statement(approval, clock).payload(), ())


def _json(text: str, what: str) -> Any:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise Misconfigured(f"{what} is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise Misconfigured(f"{what} is not a JSON object")
    return value
