# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""A whole chain for tests: from the charter to sealed receipts, in a real ledger.

`make_chain(tmp_path)` is honest. Its parameters make chains that an evil operator, who holds the
services' keys but not the parties', could make; the ledger's door does not judge gates.
"""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from bastide.core.artifact import Artifact, Part
from bastide.core.canonical import canonical
from bastide.core.evidence import Evidence, Statement
from bastide.core.key import Purpose
from bastide.core.party import Party
from bastide.core.receipt import Receipt, commit, salt_for
from bastide.core.subject import Digest, Subject
from bastide.crypto import dsse
from bastide.crypto.dsse import Envelope, Signer
from bastide.ledger.bundle import export_anchors, export_bundle
from bastide.ledger.receipts import ReceiptBook
from unit.ledger_fixture import POLICY, World, make_ledger, refusal, tenant

API_KEY = "bst_" + "k" * 36
PROMPT = '{"messages":[{"role":"user","content":"Où est la bastide ?"}]}'.encode()
ANSWER = "À Monpazier. 🏰"
MODEL = b"GGUF" + bytes(range(64))
PARTIES = {**POLICY, "name": "separate", "separate": True}
ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


@dataclass
class ChainWorld:
    """A ledger with a chain, its receipts, and the files that an auditor gets."""

    world: World
    book: ReceiptBook
    receipts: list[Receipt]
    rows: dict[str, Evidence]
    anchors: dict[str, Any]

    def bundle(self, number: int = 3) -> dict[str, Any]:
        """A fresh bundle of one receipt."""
        return copy.deepcopy(export_bundle(self.world.ledger, self.book, self.ident(number)))

    def ident(self, number: int) -> str:
        """The id of one receipt."""
        return self.receipts[number].ident


def chain_policy(**changes: Any) -> dict[str, Any]:
    """The policy of the chains: two benchmarks with floors."""
    policy = copy.deepcopy(PARTIES)
    floors = {"exact": 0.3, "leakage": 1.0, "square": 1e-7}
    policy["rules"]["release"]["gates"]["eval-floor"] = {"floors": floors}
    return {**policy, **changes}


def make_receipt(number: int, deployment: str, release: str, policy: str, time_ms: int) -> Receipt:
    """A receipt as the gateway makes it."""
    ident = "r_" + "".join(ALPHABET[(number * 7 + place) % 32] for place in range(26))
    salt = salt_for(API_KEY, ident)
    return Receipt(
        ident=ident,
        time_ms=time_ms,
        tenant="acme",
        key="k_1",
        requested_model="demo",
        release=release,
        deployment=deployment,
        policy=policy,
        node="node-1",
        sandbox="bubblewrap",
        prompt_commitment=commit(salt, "prompt", PROMPT),
        answer_commitment=commit(salt, "answer", ANSWER.encode()),
        prompt_tokens=12,
        completion_tokens=5,
        finish="stop",
    )


def make_chain(
    tmp_path: Path,
    *,
    policy: Mapping[str, Any] | None = None,
    scores: Mapping[str, float] | None = None,
    findings: Sequence[str] = (),
    approvers: Sequence[Party] = (Party.FIRM, Party.GUARDIAN),
    operators: Sequence[Party] = (Party.OPERATOR,),
    author: Party | None = Party.FIRM,
    release_changes: Mapping[str, Any] | None = None,
    late_approval: bool = False,
    early_approval: bool = False,
    late_operation: bool = False,
    bodies: Mapping[str, Callable[[dict[str, Any]], None]] | None = None,
    model_subject: str = "demo",
    evaluated: Digest | None = None,
    plan_changes: Mapping[str, Any] | None = None,
    forged: Sequence[Mapping[str, Any]] = (),
    receipts: int = 7,
    parties: Mapping[Party, Signer] | None = None,
) -> ChainWorld:
    """Found a ledger and fill it up to a sealed batch of receipts, and a few entries more.

    bodies: what to change in each kind's body before it is signed; forged: changed receipts in the
    same batch; model_subject, evaluated: what release and evaluation call the model; parties: keys.
    """
    world = make_ledger(tmp_path, given=parties, policy=dict(policy or chain_policy()))
    maker = _Maker(world, bodies or {}, plan_changes or {})
    world.ledger.append_statement(tenant("acme"), [maker.evidence])
    admission = maker.admission(findings)
    about = Subject("demo", evaluated or admission.subject.digest)
    given = scores or {"exact": 0.5, "leakage": 1, "square": 0.25}
    evaluation = maker.evaluation(about, admission, given)
    wanted = maker.wanted(admission, evaluation, release_changes or {})
    about = Subject("demo-1", Digest.of(canonical(wanted)))
    approvals = maker.approvals(about, "release", approvers) if early_approval else []
    candidate = maker.candidate(wanted, author)
    if not (late_approval or early_approval):
        approvals = maker.approvals(about, "release", approvers)
    release = maker.release(candidate, model_subject, approvals)
    if late_approval:
        maker.approvals(about, "release", approvers)
    plan = maker.plan(release)
    operations = [maker.approval(plan, "deploy", party) for party in operators]
    if not late_operation:
        world.ledger.append(operations)
    deployment = maker.deployment(plan, release, operations)
    if late_operation:
        world.ledger.append(operations)
    book = ReceiptBook(world.records, world.ledger, maker.evidence, world.clock)
    served = maker.receipts(receipts, deployment, release, forged)
    book.put(served)
    batch = book.seal_batch()
    assert batch is not None
    for number in range(3):
        world.ledger.append_statement(refusal(number), [maker.evidence])
    rows = {"admission": admission, "evaluation": evaluation, "candidate": candidate}
    rows |= {"release": release, "deployment": deployment, "batch": batch}
    return ChainWorld(world, book, served, rows, export_anchors(world.ledger))


class _Maker:
    """Makes one statement after another, each 1 s after the last."""

    def __init__(
        self,
        world: World,
        bodies: Mapping[str, Callable[[dict[str, Any]], None]],
        plan_changes: Mapping[str, Any],
    ) -> None:
        self.world = world
        self.bodies = bodies
        self.plan_changes = plan_changes
        self.evidence = world.signers[Purpose.EVIDENCE]
        self.policy = str(world.ledger.policy().digest)

    def append(
        self, kind: str, subjects: Sequence[Subject], body: dict[str, Any], *signers: Signer
    ) -> Evidence:
        self.world.clock.advance(1000)
        body["time_ms"] = self.world.clock.now_ms()
        first, *others = subjects
        if kind in self.bodies:
            self.bodies[kind](body)
            about = {"candidate/v1": "release", "release/v1": "release"}.get(kind, "deployment")
            if about in body:  # the subject is what the changed body speaks of
                first = Subject(body[about]["name"], Digest.of(canonical(body[about])))
        statement = Statement(kind, (first, *others), body)
        return self.world.ledger.append_statement(statement, signers or (self.evidence,))

    def admission(self, findings: Sequence[str]) -> Evidence:
        artifact = Artifact.of([Part("demo.gguf", len(MODEL), Digest.of(MODEL))])
        digest = str(Digest.of(b"sealed"))
        body = {
            "model": "demo",
            "artifact": artifact.manifest(),
            "format": "gguf",
            "architecture": "llama",
            "parameters": 135_000_000,
            "context_tokens": 2048,
            "vocabulary": 49152,
            "origin": "https://example.org/demo",
            "licence": "Apache-2.0",
            "template": {"digest": str(Digest.of(b"template")), "findings": ["uses a loop"]},
            "scan": {"format_safe": [], "findings": list(findings), "template": []},
            "objects": [
                {"path": "demo.gguf", "object": "models/1", "header": digest, "body": digest}
            ],
        }
        return self.append("admission/v1", [Subject("demo", artifact.digest)], body)

    def evaluation(
        self, about: Subject, admission: Evidence, scores: Mapping[str, float]
    ) -> Evidence:
        suite = {"name": "foundation", "version": "1", "digest": str(Digest.of(b"suite"))}
        body = {
            "admission": str(admission.digest),
            "suite": suite,
            "scores": dict(scores),
            "counts": dict.fromkeys(scores, 40),
            "items_object": "evaluations/1",
            "items_digest": str(Digest.of(b"items")),
            "engine": {"name": "llama.cpp", "version": "b1"},
            "sandbox": "bubblewrap",
            "seconds": 1.5e-07,
        }
        return self.append("evaluation/v1", [about], body)

    def wanted(
        self, admission: Evidence, evaluation: Evidence, changes: Mapping[str, Any]
    ) -> dict[str, Any]:
        return {
            "name": "demo-1",
            "model": str(admission.subject.digest),
            "admission": str(admission.digest),
            "evaluation": str(evaluation.digest),
            "policy": self.policy,
            "template": admission.body["template"]["digest"],
            **changes,
        }

    def candidate(self, wanted: dict[str, Any], author: Party | None) -> Evidence:
        signers = [self.evidence]
        if author is not None:
            signers.append(self.world.parties[author])
        body = {"release": wanted, "author": signers[-1].public.ident}
        subject = Subject(wanted["name"], Digest.of(canonical(wanted)))
        return self.append("candidate/v1", [subject], body, *signers)

    def approval(self, subject: Subject, action: str, party: Party) -> Envelope:
        self.world.clock.advance(1000)
        body = {"party": party.value, "action": action, "decision": "approve", "comment": "ok"}
        body |= {"time_ms": self.world.clock.now_ms()}
        self.bodies.get("approval/v1", lambda _: None)(body)
        payload = Statement("approval/v1", (subject,), body).payload()
        return dsse.sign(payload, [self.world.parties[party]])

    def approvals(self, subject: Subject, action: str, parties: Sequence[Party]) -> list[Envelope]:
        envelopes = [self.approval(subject, action, party) for party in parties]
        self.world.ledger.append(envelopes)
        return envelopes

    def release(self, candidate: Evidence, model: str, approvals: Sequence[Envelope]) -> Evidence:
        wanted = candidate.body["release"]
        body = {
            "release": dict(wanted),
            "candidate": str(candidate.digest),
            "approvals": [str(row.digest) for row in approvals],
            "verdicts": [{"gate": "approvals", "passed": True, "reasons": []}],
            "model_signing": str(Digest.of(b"bundle")),
        }
        signer = self.world.signers[Purpose.RELEASE]
        subjects = [candidate.subject, Subject(model, Digest.parse(wanted["model"]))]
        return self.append("release/v1", subjects, body, signer)

    def plan(self, release: Evidence) -> Subject:
        return Subject("demo", Digest.of(canonical(self._plan(release))))

    def deployment(
        self, plan: Subject, release: Evidence, approvals: Sequence[Envelope]
    ) -> Evidence:
        body = {
            "deployment": self._plan(release),
            "approvals": [str(row.digest) for row in approvals],
        }
        return self.append("deployment/v1", [plan], body)

    def receipts(
        self,
        count: int,
        deployment: Evidence,
        release: Evidence,
        forged: Sequence[Mapping[str, Any]],
    ) -> list[Receipt]:
        rows: list[Receipt] = []
        deployed, released = str(deployment.subject.digest), str(release.subject.digest)
        for number in range(count):
            self.world.clock.advance(10)
            now = self.world.clock.now_ms()
            rows.append(make_receipt(number, deployed, released, self.policy, now))
        for number, changes in enumerate(forged, start=count):
            rows.append(replace(rows[0], ident=f"r_{number:026}", **changes))
        return rows

    def _plan(self, release: Evidence) -> dict[str, Any]:
        return {
            "name": "demo",
            "release": str(release.subject.digest),
            "share": {"slots": 4, "context_tokens": 1024},
            "engine": "llama.cpp",
            "version": "b1",
            **self.plan_changes,
        }
