# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Verify a bundle of nodes with the anchors (`keys.json`): to whom may a prompt be sealed?

1. Read anchors and bundle; both have exactly their form.
2. Establish the charter and which keys could sign when, as `ledger/verify.py` does.
3. Open the head: signed by the ledger, cosigned by the witnesses of enough parties, not long ago.
4. The head continues the one that this client saw last: who shows it another history is refused.
5. Every entry is under that head, of the kind that its place demands, signed by who may.
6. Each deployment: its release, candidate, admission, evaluation and approvals belong together,
   stand in order, and their gates let them through when they are judged again. Neither release nor
   deployment is revoked, and no party denied the opening of what they serve.
7. Each node: its quote holds and binds the HPKE key; the newest reference values of their name,
   which the guardian signed, allow its hardware and its software; it has not expired; its machine
   is not revoked; it serves a deployment of 6.

1 to 5 refuse everything; 6 and 7 refuse what they are about, with the reason. A bundle cannot prove
what is absent: a revocation or a denial that is under the head and left out of the bundle is found
by who audits the whole log, and by no client.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from bastide.core.errors import BastideError, NotProven
from bastide.core.evidence import Evidence
from bastide.core.limits import SEALED_HEAD_AGE_S, SEALED_NODES_MAX
from bastide.core.policy import Policy
from bastide.core.reference import Reference
from bastide.core.register import Register
from bastide.core.revocation import Revocable, Revocations
from bastide.core.subject import Digest
from bastide.crypto import merkle
from bastide.crypto.attestation import Said, judge_node, said_of
from bastide.crypto.base64url import unb64url
from bastide.ledger import statements
from bastide.ledger.bundle_form import (
    APPROVALS_MAX,
    KEY_STATEMENTS_MAX,
    Entry,
    at,
    read_anchors,
    read_entry,
    read_hashes,
    read_list,
    read_object,
    read_text,
)
from bastide.ledger.denials import DENIAL_KINDS, DenialLog, Denials, objects_of
from bastide.ledger.heads import open_head
from bastide.ledger.node_bundle import NODES_TYPE
from bastide.ledger.verify import (
    check_gates,
    check_order,
    check_release,
    open_charter,
    open_entry,
    open_register,
    open_witnesses,
)

__all__ = ["Head", "KnownNode", "Nodes", "Trust", "trace_nodes"]

_FUTURE_S: Final = 300  # by which a witness's clock may be ahead of ours
_LISTS: Final = {
    "keys": ("keys", KEY_STATEMENTS_MAX),
    "witnesses": ("witnesses", APPROVALS_MAX),
    "references": ("node_references", SEALED_NODES_MAX),
    "revocations": ("revocations", KEY_STATEMENTS_MAX),
    "denials": ("", KEY_STATEMENTS_MAX),
    "nodes": ("nodes", SEALED_NODES_MAX),
}
_SINGLE: Final = ("admission", "evaluation", "candidate", "release", "deployment")
_APPROVALS: Final = ("approvals", "deployment_approvals")


@dataclass(frozen=True, slots=True)
class Trust:
    """What a client asks for: witnesses of so many parties, a cosignature of so late."""

    witnesses: int = 2
    head_age_s: int = SEALED_HEAD_AGE_S


@dataclass(frozen=True, slots=True)
class Head:
    """A head of the log that a client has verified."""

    origin: str
    size: int
    root: str


@dataclass(frozen=True, slots=True)
class KnownNode:
    """A node to which a prompt may be sealed, and what is known of it."""

    statement: str
    name: str
    replica: int
    hpke: bytes
    model: str
    deployment: str
    release: str
    expires_ms: int
    said: Said


@dataclass(frozen=True, slots=True)
class Nodes:
    """What a bundle proves; `refused` are reasons, by the digest of what they are about."""

    head: Head
    witnessed: Mapping[str, int]
    nodes: tuple[KnownNode, ...]
    refused: Mapping[str, tuple[str, ...]]


@dataclass(slots=True)
class _Given:
    checkpoint: str
    consistency: tuple[bytes, ...]
    charter: Entry
    lists: dict[str, tuple[Entry, ...]]
    deployments: list[dict[str, Any]] = field(default_factory=list)

    def all(self) -> Iterable[Entry]:
        yield self.charter
        for rows in self.lists.values():
            yield from rows
        for served in self.deployments:
            for value in served.values():
                yield from (value,) if isinstance(value, Entry) else value


def trace_nodes(
    bundle: Any, anchors: Mapping[str, Any], trust: Trust, seen: Head | None, now_ms: int
) -> Nodes:
    """Verify a bundle. Raises NotProven for what makes all of it worthless."""
    # 1.
    trusted, given = read_anchors(anchors), _read(bundle)
    # 2.
    charter = open_charter(given.charter, trusted)
    register = open_register(charter, given.lists["keys"])
    policy = Policy.from_json(charter.body["policy"])
    # 3.
    with at("checkpoint"):
        opened = open_head(given.checkpoint, trusted.origin, register)
    head = Head(trusted.origin, opened.size, opened.root.hex())
    # 4.
    _verify_continues(seen, head, given.consistency)
    # 5.
    for entry in given.all():
        with at(f"{entry.place}.proof"):
            leaf = merkle.leaf_hash(entry.envelope.encode())
            merkle.verify_inclusion(leaf, entry.index, opened.size, entry.proof, opened.root)
    witnessed = open_witnesses(given.checkpoint, given.lists["witnesses"], register)
    _verify_witnessed(witnessed, trust, now_ms)
    rows = {
        name: [open_entry(kind, entry, register) for entry in given.lists[name]]
        for name, (kind, _) in _LISTS.items()
        if name not in ("keys", "witnesses", "denials")
    }
    references = tuple(rows["references"])
    founded = open_entry("charter", given.charter, register)
    revoked = Revocations.of(row for row in rows["revocations"] if register.counts(row))
    denied = _denied(given.lists["denials"], register)
    # 6.
    refused: dict[str, tuple[str, ...]] = {}
    served: dict[str, Evidence] = {}
    for one in given.deployments:
        single, lists = _served(one, register)
        deployment = single["deployment"]
        digest = str(deployment.subject.digest)
        try:
            with at(deployment.subject.name):
                _judge_served(
                    {**single, "charter": founded}, lists, register, policy, references, revoked
                )
                _verify_not_denied(single, denied)
        except BastideError as error:
            refused[digest] = error.reasons or (error.message,)
        else:
            served[digest] = deployment
    # 7.
    found = []
    for row in rows["nodes"]:
        try:
            with at(row.subject.name):
                found.append(_known(row, references, register, revoked, served, now_ms))
        except BastideError as error:
            refused[str(row.digest)] = error.reasons or (error.message,)
    return Nodes(head, witnessed, tuple(found), refused)


def _read(value: Any) -> _Given:
    names = ("type", "checkpoint", "consistency", "charter", "deployments", *_LISTS)
    read_object(value, "the bundle", names)
    if value["type"] != NODES_TYPE:
        raise NotProven(f"type: not {NODES_TYPE}")
    lists = {name: _entries(value[name], name, most) for name, (_, most) in _LISTS.items()}
    made = _Given(
        read_text(value["checkpoint"], "checkpoint"),
        read_hashes(value["consistency"], "consistency"),
        read_entry(value["charter"], "charter"),
        lists,
    )
    rows = read_list(value["deployments"], "deployments", SEALED_NODES_MAX)
    for number, row in enumerate(rows):
        place = f"deployments[{number}]"
        read_object(row, place, (*_SINGLE, *_APPROVALS))
        one: dict[str, Any] = {name: read_entry(row[name], f"{place}.{name}") for name in _SINGLE}
        for name in _APPROVALS:
            one[name] = _entries(row[name], f"{place}.{name}", APPROVALS_MAX)
        made.deployments.append(one)
    return made


def _entries(value: Any, place: str, most: int) -> tuple[Entry, ...]:
    rows = read_list(value, place, most)
    return tuple(read_entry(row, f"{place}[{number}]") for number, row in enumerate(rows))


def _verify_continues(seen: Head | None, head: Head, proof: tuple[bytes, ...]) -> None:
    # 4.
    if seen is None:
        return
    with at("the head"):
        if seen.origin != head.origin:
            raise NotProven(f"of the log {head.origin}, and this client knows {seen.origin}")
        if head.size < seen.size:
            raise NotProven(
                f"the log has {head.size} entries, and had {seen.size}: it was rolled back"
            )
        old, new = bytes.fromhex(seen.root), bytes.fromhex(head.root)
        if head.size == seen.size and old != new:
            raise NotProven("the log shows another history than before: it was forked")
        if head.size > seen.size:
            try:
                merkle.verify_consistency(seen.size, head.size, old, new, proof)
            except NotProven as error:
                raise NotProven(
                    f"the log shows another history than before: it was forked ({error.message})"
                ) from error


def _verify_witnessed(witnessed: Mapping[str, int], trust: Trust, now_ms: int) -> None:
    # 3.
    oldest_s = now_ms // 1000 - trust.head_age_s
    late = {party for party, time_s in witnessed.items() if time_s < oldest_s}
    ahead = {party for party, when in witnessed.items() if when > now_ms // 1000 + _FUTURE_S}
    counting = set(witnessed) - late - ahead
    if len(counting) < trust.witnesses:
        raise NotProven(
            f"the witnesses of {len(counting)} parties cosigned the head within"
            f" {trust.head_age_s} s, not of {trust.witnesses}",
            reasons=[
                *(f"the witness of the {party} cosigned it too long ago" for party in sorted(late)),
                *(f"the witness of the {party} says a time to come" for party in sorted(ahead)),
            ],
            fix="set your clock; or the operator lets the witnesses see a newer head",
        )


def _served(
    one: Mapping[str, Any], register: Register
) -> tuple[dict[str, Evidence], dict[str, tuple[Evidence, ...]]]:
    single = {name: open_entry(name, one[name], register) for name in _SINGLE}
    lists = {
        name: tuple(open_entry(name, entry, register) for entry in one[name]) for name in _APPROVALS
    }
    return single, lists


def _judge_served(
    single: dict[str, Evidence],
    lists: dict[str, tuple[Evidence, ...]],
    register: Register,
    policy: Policy,
    references: tuple[Evidence, ...],
    revoked: Revocations,
) -> None:
    # 6.
    release, deployment = single["release"], single["deployment"]
    if deployment.body["deployment"]["release"] != str(release.subject.digest):
        raise NotProven("the deployment is of another release")
    check_release(single, lists)
    check_order(single, lists)
    check_gates(single, lists, register.known(), policy, references)
    reasons = [
        *revoked.reasons(Revocable.RELEASE, release.subject.digest),
        *revoked.reasons(Revocable.DEPLOYMENT, deployment.subject.digest),
    ]
    ended = [row for rows in lists.values() for row in rows if revoked.ended(row)]
    reasons += [f"an approval that it needs was revoked: {row.digest}" for row in ended]
    if reasons:
        raise NotProven(reasons[0], reasons=reasons)


def _denied(entries: tuple[Entry, ...], register: Register) -> Denials:
    """What is denied. A denial counts whatever became of its key, and an end as long as its do."""
    # 5.
    log = DenialLog()
    for entry in sorted(entries, key=lambda entry: entry.index):
        with at(entry.place):
            row = statements.read_signed(entry.envelope, register.known()).evidence
            if row.kind not in DENIAL_KINDS:
                raise NotProven(f"not of {', '.join(DENIAL_KINDS)} but {row.kind}")
            log.follow(replace(row, entry=entry.index))
    return log.now(register)


def _verify_not_denied(single: Mapping[str, Evidence], denied: Denials) -> None:
    # 6.
    def find(kind: str, digest: Digest) -> list[Evidence]:
        return [row for row in single.values() if (row.kind, row.subject.digest) == (kind, digest)]

    against = denied.against(objects_of(find, single["deployment"].subject.digest))
    if against:
        reasons = [
            f"the {row.body['party']} denied the opening of {row.body['name']} in entry {row.entry}"
            for row in against
        ]
        raise NotProven(reasons[0], reasons=reasons)


def _known(
    row: Evidence,
    references: tuple[Evidence, ...],
    register: Register,
    revoked: Revocations,
    served: Mapping[str, Evidence],
    now_ms: int,
) -> KnownNode:
    # 7.
    body = row.body
    named = {str(one.digest): one for one in references}.get(body["attestation"]["reference"])
    if named is None or not register.counts(named):
        raise NotProven("no reference values of the guardian's are there that allow it")
    newest = [one for one in references if one.body["name"] == named.body["name"]]
    reference = max(newest, key=lambda one: one.entry or 0)
    reasons = judge_node(body, reference.body)
    if not body["time_ms"] <= now_ms + _FUTURE_S * 1000 or body["expires_ms"] <= now_ms:
        reasons.append("its quote has expired, or is of a time to come")
    reasons += revoked.reasons(Revocable.NODE, row.subject.digest)
    deployment = served.get(body["deployment"])
    if deployment is None:
        reasons.append("what it serves is no deployment that was proven")
    if reasons or deployment is None:
        raise NotProven(reasons[0], reasons=reasons)
    plan = deployment.body["deployment"]
    return KnownNode(
        statement=str(row.digest),
        name=body["node"],
        replica=body["replica"],
        hpke=unb64url(body["keys"]["hpke"]),
        model=deployment.subject.name,
        deployment=str(Digest.parse(body["deployment"])),
        release=plan["release"],
        expires_ms=body["expires_ms"],
        said=said_of(Reference.from_json(reference.body)),
    )
