# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Verify a receipt bundle offline, with nothing but the anchors (`keys.json`).

In order to verify an answer back to its model, we need to achieve the following:

1. Read the anchors and the bundle; both have exactly the form of docs/reference/receipts.md.
2. Establish the charter: it is the one of the anchors, signed by every party and by the evidence
   key, and it lists the anchors' keys. From it and the key statements, in their order, comes the
   register: which keys could sign when, and what counts of it.
3. Open the checkpoint: signed by the ledger key that was active then, for the charter's origin.
   Cosignatures of witnesses hold, where the bundle says that a party enrolled the witness.
4. Prove that every entry is in the ledger, at its index, under that checkpoint.
5. Verify every statement: the kind that its place demands, in its one form, signed by the keys that
   may sign that kind, were active then, and are not known to be compromised.
6. Prove that the receipt is a leaf of the batch that its entry states.
7. Follow the receipt to its deployment, its release and the charter's policy; and, where it names
   attested nodes, to their quotes and to the reference values that allowed them.
8. Follow the release to its candidate, admission, evaluation and approvals.
9. Check that the entries stand in the order in which the lifecycle makes them.
10. Judge the gates of the rows `release` and `deploy` again, over exactly this evidence.

A bundle cannot prove what is absent: that nothing was revoked later, and that no key statement was
left out, is for an auditor of the whole ledger. Each numbered block below repeats its number.
"""

import hmac
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from bastide.core.errors import NotProven
from bastide.core.evidence import Evidence, refusals
from bastide.core.key import PublicKey
from bastide.core.policy import Policy
from bastide.core.receipt import Receipt, commit, salt_for
from bastide.core.register import Register
from bastide.crypto import merkle
from bastide.gates.dossier import Dossier
from bastide.gates.panel import judge_stage
from bastide.ledger import statements
from bastide.ledger.attested import attested_nodes
from bastide.ledger.bundle_form import Anchors, Bundle, Entry, at, read_anchors, read_bundle
from bastide.ledger.chain import Chain, Link
from bastide.ledger.cosigned import witnesses_by_party
from bastide.ledger.heads import open_head

__all__ = [
    "Chain",
    "check_gates",
    "check_order",
    "check_release",
    "open_charter",
    "open_entry",
    "open_register",
    "open_witnesses",
    "trace_bundle",
    "verify_content",
]  # fmt: skip

_KINDS = {
    "charter": "charter/v1",
    "admission": "admission/v1",
    "evaluation": "evaluation/v1",
    "candidate": "candidate/v1",
    "approvals": "approval/v1",
    "release": "release/v1",
    "deployment": "deployment/v1",
    "deployment_approvals": "approval/v1",
    "batch": "receipts/v1",
    "witnesses": "witness/v1",
    "nodes": "node/v1",
    "node_references": "node-reference/v1",
    "revocations": "revocation/v1",
}


def trace_bundle(bundle: Mapping[str, Any], anchors: Mapping[str, Any]) -> Chain:
    """Verify a bundle against the anchors. Raises NotProven, saying where it fails."""
    # 1.
    trusted = read_anchors(anchors)
    given = read_bundle(bundle)
    # 2.
    charter = open_charter(given.entries["charter"], trusted)
    register = open_register(charter, given.lists.get("keys", ()))
    policy = Policy.from_json(charter.body["policy"])
    # 3.
    with at("checkpoint"):
        head = open_head(given.checkpoint, trusted.origin, register)
    # 4.
    for entry in given.all():
        with at(f"{entry.place}.proof"):
            leaf = merkle.leaf_hash(entry.envelope.encode())
            merkle.verify_inclusion(leaf, entry.index, head.size, entry.proof, head.root)
    # 5.
    single = {name: open_entry(name, entry, register) for name, entry in given.entries.items()}
    lists = {
        name: tuple(open_entry(name, entry, register) for entry in given.lists[name])
        for name in ("approvals", "deployment_approvals")
    }
    nodes, references = (
        tuple(open_entry(name, entry, register) for entry in given.lists.get(name, ()))
        for name in ("nodes", "node_references")
    )
    # 6.
    _check_batch(given, single["batch"])
    # 7. to 10.
    _check_service(given.receipt, single["deployment"], single["release"], policy)
    attested = attested_nodes(given.receipt, nodes, references, single["batch"])
    check_release(single, lists)
    check_order(single, lists)
    keys = register.known()
    check_gates(single, lists, keys, policy, references)
    chain = _chain(
        given.receipt,
        single,
        lists,
        keys,
        head.size,
        open_witnesses(given.checkpoint, given.lists.get("witnesses", ()), register),
    )
    return replace(chain, attested=attested)


def verify_content(receipt: Receipt, api_key: str, prompt: bytes, answer: bytes) -> None:
    """Check that a receipt is about this prompt (the request's body) and this answer.

    An answer's bytes are those of `core.receipt.answer_bytes` or `vector_bytes`.

    The salt of both commitments comes from the tenant's API key. Raises NotProven.
    """
    salt = salt_for(api_key, receipt.ident)
    claims = (
        ("prompt", prompt, receipt.prompt_commitment),
        ("answer", answer, receipt.answer_commitment),
    )
    for label, data, stated in claims:
        if not hmac.compare_digest(commit(salt, label, data), stated):
            raise NotProven(
                f"receipt.{label}_commitment: the receipt is about another {label}, or the API "
                "key is another"
            )


def open_charter(entry: Entry, trusted: Anchors) -> Evidence:
    """The charter, if it is the one of the anchors. Raises NotProven."""
    # 2.
    with at(entry.place):
        if entry.index != 0:
            raise NotProven("the charter is not entry 0")
        if entry.envelope.digest != trusted.charter:
            raise NotProven(
                "it is not the charter of keys.json",
                fix="take public/keys.json of this environment, from somebody whom you trust",
            )
        charter = statements.read_signed(entry.envelope, {}).evidence
        if charter.kind != "charter/v1":
            raise NotProven(f"not a charter but {charter.kind}")
        body = charter.body
        Policy.from_json(body["policy"])
    stated = [key.to_json() for key in trusted.keys]
    if stated != body["keys"]:
        raise NotProven("keys.json: keys: not the keys of the charter")
    for name in ("environment", "origin"):
        if body[name] != getattr(trusted, name):
            raise NotProven(f"keys.json: {name}: the charter says {body[name]!r}")
    return charter


def open_register(charter: Evidence, changes: Iterable[Entry]) -> Register:
    """Which keys could sign when. Raises NotProven."""
    # 2. That these are all the changes there are is not proven (see above).
    register, last = statements.read_register(charter), 0
    for entry in changes:
        with at(entry.place):
            if entry.index <= last:
                raise NotProven(f"entry {entry.index} does not stand behind entry {last}")
            last = entry.index
            register = statements.learn(register, entry.envelope, entry.index)
    return register


def open_witnesses(checkpoint: str, entries: Iterable[Entry], register: Register) -> dict[str, int]:
    """Whose witnesses cosigned a head, and when. Raises NotProven."""
    # 3. Who enrolled each was proven to stand in the ledger in 4.
    rows = [open_entry("witnesses", entry, register) for entry in entries]
    with at("checkpoint"):
        if len({row.body["party"] for row in rows}) != len(rows):
            raise NotProven("a party has two witnesses")
        return witnesses_by_party(checkpoint, rows)


def open_entry(name: str, entry: Entry, register: Register) -> Evidence:
    """A statement of the kind that its place demands, signed by who may. Raises NotProven."""
    # 5.
    with at(entry.place):
        keys = register.counted(entry.index)
        evidence = statements.read_signed(entry.envelope, keys).evidence
        if evidence.kind != _KINDS[name]:
            raise NotProven(f"not {_KINDS[name]} but {evidence.kind}")
    return Evidence(evidence.statement, evidence.signers, evidence.digest, entry.index)


def _check_batch(given: Bundle, batch: Evidence) -> None:
    # 6.
    receipt, body = given.receipt, batch.body
    _same("inclusion.size", given.batch_size, body["count"], "the batch's count")
    with at("inclusion.proof"):
        leaf, root = merkle.leaf_hash(receipt.leaf()), bytes.fromhex(body["root"])
        merkle.verify_inclusion(leaf, given.leaf_index, given.batch_size, given.leaf_proof, root)
    if not body["first_ms"] <= receipt.time_ms <= body["last_ms"]:
        raise NotProven("receipt.time_ms: outside the batch's time")


def _check_service(
    receipt: Receipt, deployment: Evidence, release: Evidence, policy: Policy
) -> None:
    # 7. `statements.read_signed` has bound each subject to its body.
    _same("receipt.deployment", receipt.deployment, deployment.subject.digest, "the deployment")
    _same("receipt.release", receipt.release, release.subject.digest, "the release")
    _same("receipt.policy", receipt.policy, policy.digest, "the charter's policy")
    named = deployment.body["deployment"]["release"]
    _same("entries.deployment", named, release.subject.digest, "the release")


def check_release(
    single: Mapping[str, Evidence], lists: Mapping[str, tuple[Evidence, ...]]
) -> None:
    """Check that a release follows from what it names. Raises NotProven."""
    # 8.
    release, candidate = single["release"], single["candidate"]
    admission, evaluation = single["admission"], single["evaluation"]
    wanted = release.body["release"]
    _same("entries.release", release.body["candidate"], candidate.digest, "the candidate")
    if wanted != candidate.body["release"]:
        raise NotProven("entries.release: it releases something else than its candidate")
    _same("entries.release: admission", wanted["admission"], admission.digest, "the admission")
    _same("entries.release: evaluation", wanted["evaluation"], evaluation.digest, "the evaluation")
    _same("entries.release: model", wanted["model"], admission.subject.digest, "the model")
    admitted = admission.body["template"]
    template = admitted["digest"] if admitted else None
    if wanted["template"] != template:
        raise NotProven("entries.release: template: not the admitted chat template")
    if release.statement.subjects[1] != admission.subject:
        raise NotProven("entries.release: its second subject is not the admitted model")
    _same("entries.evaluation", evaluation.body["admission"], admission.digest, "the admission")
    if evaluation.subject != admission.subject:
        raise NotProven("entries.evaluation: it is about another model")
    for name, owner in (("approvals", release), ("deployment_approvals", single["deployment"])):
        given = [str(row.digest) for row in lists[name]]
        if given != owner.body["approvals"]:
            raise NotProven(f"entries.{name}: not the approvals that the {owner.kind} names")


def check_order(single: Mapping[str, Evidence], lists: Mapping[str, tuple[Evidence, ...]]) -> None:
    """Check that the entries stand in the order of the lifecycle. Raises NotProven."""
    # 9.
    before = [("charter", "admission"), ("admission", "evaluation"), ("evaluation", "candidate")]
    before += [("candidate", "release"), ("release", "deployment")]
    if "batch" in single:
        before.append(("deployment", "batch"))
    pairs = [(f"entries.{name}", single[name], single[later]) for name, later in before]
    for number, row in enumerate(lists["approvals"]):
        place = f"entries.approvals[{number}]"
        pairs += [(place, single["candidate"], row), (place, row, single["release"])]
    for number, row in enumerate(lists["deployment_approvals"]):
        pairs.append((f"entries.deployment_approvals[{number}]", row, single["deployment"]))
    for place, earlier, later in pairs:
        if not _index(earlier) < _index(later):
            raise NotProven(
                f"{place}: entry {earlier.entry} ({earlier.kind}) does not stand before entry "
                f"{later.entry} ({later.kind})"
            )


def check_gates(
    single: Mapping[str, Evidence],
    lists: Mapping[str, tuple[Evidence, ...]],
    keys: Mapping[str, PublicKey],
    policy: Policy,
    references: tuple[Evidence, ...],
) -> None:
    """Judge the gates of release and deployment again. Raises NotProven."""
    # 10. A receipt that names no node brings no reference values: where the policy asks for
    # attested nodes, their gate refuses then.
    for number, row in enumerate(single["release"].body["verdicts"]):
        if row.get("passed") is not True or row.get("reasons") != []:
            raise NotProven(f"entries.release: verdicts[{number}]: the release states a refusal")
    release = Dossier(
        subject=single["candidate"].subject.digest,
        action="release",
        admission=single["admission"],
        evaluation=single["evaluation"],
        candidate=single["candidate"],
        approvals=lists["approvals"],
        keys=keys,
        policy=policy,
        decided_ms=single["release"].body["time_ms"],
    )
    deploy = Dossier(
        subject=single["deployment"].subject.digest,
        action="deploy",
        admission=None,
        evaluation=None,
        candidate=single["release"],
        approvals=lists["deployment_approvals"],
        keys=keys,
        policy=policy,
        references=references,
        decided_ms=single["deployment"].body["time_ms"],
    )
    for place, dossier in (("release", release), ("deployment", deploy)):
        with at(f"entries.{place}"):
            reasons = refusals(judge_stage(policy, dossier.action, dossier))
        if reasons:
            raise NotProven(
                f"entries.{place}: its gates refuse: {'; '.join(reasons)}", reasons=reasons
            )


def _chain(
    receipt: Receipt,
    single: Mapping[str, Evidence],
    lists: Mapping[str, tuple[Evidence, ...]],
    keys: Mapping[str, PublicKey],
    size: int,
    witnessed: Mapping[str, int],
) -> Chain:
    admission, evaluation = single["admission"], single["evaluation"]
    policy = single["charter"].body["policy"]
    rows = [*single.values(), *(row for rows in lists.values() for row in rows)]
    return Chain(
        receipt=receipt,
        environment=single["charter"].body["environment"],
        parties="separate" if policy["separate"] else "solo",
        policy=policy["name"],
        release=single["release"].subject.name,
        deployment=single["deployment"].subject.name,
        model=admission.subject.name,
        model_digest=str(admission.subject.digest),
        origin=admission.body["origin"],
        licence=admission.body["licence"],
        format=admission.body["format"],
        scan=admission.body["scan"],
        suite=f"{evaluation.body['suite']['name']} {evaluation.body['suite']['version']}",
        scores=evaluation.body["scores"],
        approvals=_by_party(lists["approvals"]),
        deployment_approvals=_by_party(lists["deployment_approvals"]),
        batch=_index(single["batch"]),
        ledger_size=size,
        witnessed=witnessed,
        links=tuple(_link(row, keys) for row in sorted(rows, key=_index)),
    )


def _link(row: Evidence, keys: Mapping[str, PublicKey]) -> Link:
    signers = tuple(keys[ident].party or keys[ident].purpose.value for ident in row.signers)
    time_ms = row.body["last_ms"] if row.kind == "receipts/v1" else row.body["time_ms"]
    digest = str(row.subject.digest)
    return Link(row.kind, _index(row), row.subject.name, digest, signers, time_ms)


def _by_party(approvals: Iterable[Evidence]) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for row in approvals:
        party = row.body["party"]
        found[party] = (*found.get(party, ()), row.signers[0])
    return found


def _index(row: Evidence) -> int:
    assert row.entry is not None
    return row.entry


def _same(place: str, have: object, want: object, what: str) -> None:
    if str(have) != str(want):
        raise NotProven(f"{place}: {have} is not {what}, {want}")
