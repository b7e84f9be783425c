# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What makes a signed statement admissible: who may sign each kind, and what it must say.

`read_signed`, `core.register` and `decided` are the whole rule book of the ledger's door. They are
pure functions of the entries, so an auditor runs the same rules offline.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from bastide.core.act import ACTS, BY
from bastide.core.artifact import Artifact
from bastide.core.canonical import canonical
from bastide.core.errors import Misconfigured, NotProven, Refused
from bastide.core.evidence import Evidence, Statement
from bastide.core.guard import GuardPolicy
from bastide.core.key import PublicKey, Purpose
from bastide.core.limits import BREAK_GLASS_MINUTES_MAX, ENTRY_BYTES_MAX, ORDER_DAYS_MAX
from bastide.core.party import Party
from bastide.core.people import People
from bastide.core.policy import Policy
from bastide.core.reference import Reference
from bastide.core.register import KEY_KINDS, Register, verify_enrollable
from bastide.core.revocation import may_revoke
from bastide.core.subject import Digest
from bastide.crypto import dsse
from bastide.crypto.attestation import verify_evidence
from bastide.crypto.cosignature import read_cosigner
from bastide.crypto.dsse import Envelope
from bastide.gates.access.policy_set import PolicySet
from bastide.ledger import field_checks
from bastide.ledger.decided import DECIDED
from bastide.ledger.shapes import LATER, SHAPES

__all__ = [
    "Verified",
    "check_shape",
    "decode",
    "keys_of",
    "learn",
    "read_charter",
    "read_register",
    "read_signed",
]


# Signed by the release key, and about two things: the release, and what it releases.
_RELEASES = ("release/v1", "dataset-release/v1")


@dataclass(frozen=True, slots=True)
class Verified:
    """Evidence, and the bytes of its envelope: what the ledger appends."""

    evidence: Evidence
    data: bytes


def read_signed(envelope: Envelope, keys: Mapping[str, PublicKey]) -> Verified:
    """Check a signed statement against the keys that may sign, those of a `Register`.

    A new key's statement of its own enrolment is checked with it; whether it may be enrolled is
    for `Register.after`. Raises NotProven if a signature does not hold or is by the wrong key,
    Misconfigured if the statement is too large or does not say what its kind must say.
    """
    # 1. The envelope fits into an entry, and its payload is the canonical form of a statement.
    data = envelope.encode()
    if len(data) > ENTRY_BYTES_MAX:
        raise Misconfigured(f"the statement has {len(data)} bytes, over {ENTRY_BYTES_MAX}")
    statement = _read(envelope)
    if statement.payload() != envelope.payload:
        raise Misconfigured(f"the {statement.kind} is not canonical JSON (RFC 8785)")
    # 2. Every signature holds, by a key that may sign.
    if statement.kind == "charter/v1":
        return Verified(read_charter(envelope), data)
    if statement.kind == "key-enrolment/v1":
        keys = {**keys, **_newcomer(statement)}
    dsse.verify_envelope(envelope, keys)
    # 3. The right keys signed.
    signers = tuple(ident for ident, _ in envelope.signatures)
    _check_signers(statement, [keys[ident] for ident in signers])
    # 4. The body has the shape of its kind, and the subjects are what it speaks of.
    check_shape(statement)
    return Verified(Evidence(statement, signers, Digest.of(data)), data)


def read_charter(envelope: Envelope) -> Evidence:
    """Check a charter against the keys that it lists itself.

    Raises NotProven unless every party's key and the evidence key signed it, Misconfigured if a
    key is missing or doubled or the policy cannot be read, Refused if it is no charter.
    """
    statement = _read(envelope)
    if statement.kind != "charter/v1":
        raise Refused(f"there is no charter yet: {statement.kind} cannot be the first entry")
    check_shape(statement)
    body = statement.body
    keys = keys_of(body)
    signers = tuple(ident for ident, _ in envelope.signatures)
    dsse.verify_envelope(envelope, keys)
    for key in keys.values():
        if key.purpose in {Purpose.PARTY, Purpose.EVIDENCE} and key.ident not in signers:
            whose = key.party or key.purpose.value
            raise NotProven(f"the charter lacks the signature of the {whose} key {key.ident}")
    if any(keys[ident].purpose not in {Purpose.PARTY, Purpose.EVIDENCE} for ident in signers):
        raise NotProven("the charter is signed by parties and the evidence key only")
    return Evidence(statement, signers, envelope.digest)


def keys_of(charter: Mapping[str, Any]) -> dict[str, PublicKey]:
    """The enrolled keys by id, from a charter's body.

    Raises Misconfigured if an id is doubled, if a party or a service has no key, or if a service
    that signs has more than one.
    """
    rows = [PublicKey.from_json(row) for row in charter["keys"]]
    keys = {key.ident: key for key in rows}
    if len(keys) != len(rows):
        raise Misconfigured("the charter enrols one key twice")
    for purpose in (Purpose.LEDGER, Purpose.EVIDENCE, Purpose.RELEASE):
        if sum(key.purpose is purpose for key in rows) != 1:
            raise Misconfigured(f"the charter enrols not exactly one {purpose} key")
    for key in rows:
        verify_enrollable(key)
    if {key.party for key in rows} - {None} != {party.value for party in Party}:
        raise Misconfigured("the charter enrols no key of some party, or of an unknown one")
    return keys


def read_register(charter: Evidence) -> Register:
    """The register that a charter founds. Raises Misconfigured."""
    return Register.founded(keys_of(charter.body).values())


def learn(register: Register, envelope: Envelope, entry: int) -> Register:
    """What a key statement at an entry makes of a register; who checks offline follows them so.

    Raises NotProven or Refused for a statement that the ledger could not have taken there.
    """
    signed = read_signed(envelope, register.signing(entry)).evidence
    if signed.kind not in KEY_KINDS:
        raise NotProven(f"not a key statement but {signed.kind}")
    return register.after(replace(signed, entry=entry))


def decode(data: bytes, index: int | None = None) -> tuple[Envelope, Evidence]:
    """Read an entry that was verified when it was appended. Raises NotProven if it is none."""
    try:
        envelope = Envelope.from_json(json.loads(data))
        statement = _read(envelope)
    except (ValueError, RecursionError, Misconfigured) as error:
        raise NotProven(f"entry {index} is not a signed statement: {error}") from error
    signers = tuple(ident for ident, _ in envelope.signatures)
    return envelope, Evidence(statement, signers, Digest.of(data), index)


def _read(envelope: Envelope) -> Statement:
    try:
        return Statement.from_json(json.loads(envelope.payload))
    except (ValueError, RecursionError) as error:
        raise Misconfigured(f"the envelope's payload is not JSON: {error}") from error


def _check_signers(statement: Statement, signers: list[PublicKey]) -> None:
    purposes = [key.purpose for key in signers]
    kind = statement.kind
    if kind in ("approval/v1", "break-glass/v1", "denial/v1", "witness/v1"):
        right = purposes == [Purpose.PARTY] and signers[0].party == statement.body.get("party")
        wanted = "exactly one key of the party that it names"
    elif kind == "revocation/v1":
        right = purposes == [Purpose.PARTY] and signers[0].party in may_revoke(statement.body)
        wanted = "exactly one key of a party that may revoke it"
    elif kind == "node-reference/v1":
        right = purposes == [Purpose.PARTY] and signers[0].party == Party.GUARDIAN
        wanted = "exactly one key of the guardian"
    elif kind in ("access-policy/v1", "people/v1"):
        parties = {key.party for key in signers}
        right = set(purposes) == {Purpose.PARTY} and Party.GUARDIAN in parties and len(parties) > 1
        wanted = "keys of the guardian and of one party more"
    elif kind == "denial-end/v1":
        # Of which parties is for what they denied to say (ledger/denials.py).
        right = set(purposes) == {Purpose.PARTY}
        wanted = "parties' keys alone"
    elif kind in ("store-key-shred/v1", "store-key-move/v1"):
        right = set(purposes) == {Purpose.PARTY} and len({key.party for key in signers}) > 1
        wanted = "keys of two parties"
    elif kind in _RELEASES:
        right = purposes == [Purpose.RELEASE]
        wanted = "the release key alone"
    elif kind == "candidate/v1":
        right = sorted(purposes) in ([Purpose.EVIDENCE], [Purpose.EVIDENCE, Purpose.PARTY])
        idents = [key.ident for key in signers]
        right = right and statement.body.get("author") in idents
        wanted = "the evidence key and at most one party's key, one of them its author's"
    elif kind in DECIDED:
        # How many of which party is for the charter's policy to say (ledger/decided.py).
        right = purposes.count(Purpose.EVIDENCE) == 1
        right = right and set(purposes) <= {Purpose.EVIDENCE, Purpose.PARTY}
        wanted = "the evidence key, and keys of parties that decide it"
    elif kind in KEY_KINDS:
        new = _newcomer(statement) if kind == "key-enrolment/v1" else {}
        right = {key.purpose for key in signers if key.ident not in new} == {Purpose.PARTY}
        wanted = "parties' keys, and a new key itself"
    else:
        right = purposes == [Purpose.EVIDENCE]
        wanted = "the evidence key alone"
    if not right:
        had = ", ".join(f"{key.party or key.purpose}" for key in signers)
        raise NotProven(f"a {kind} is signed by {wanted}, not by {had}")


def _newcomer(statement: Statement) -> dict[str, PublicKey]:
    """The key that a statement enrols, by id. Raises Misconfigured."""
    row = statement.body.get("key")
    if not isinstance(row, dict):
        raise Misconfigured("key-enrolment/v1.key: not a public key")
    key = PublicKey.from_json(row)
    verify_enrollable(key)
    return {key.ident: key}


def check_shape(statement: Statement) -> None:
    """Check that a statement says what its kind must say, of the subjects that it speaks of.

    Raises Misconfigured.
    """
    kind, body = statement.kind, statement.body
    shape = SHAPES[kind]
    later = LATER.get(kind, frozenset()) - body.keys()
    acted = {BY} & body.keys() if kind in ACTS else set()
    if wrong := sorted((body.keys() ^ shape.keys()) - later - acted):
        raise Misconfigured(f"{kind}: unknown or missing fields: {', '.join(wrong)}")
    for field, holds in shape.items():
        if field not in later and not holds(body[field]):
            raise Misconfigured(f"{kind}.{field}: not a value of the right kind")
    if acted and not field_checks.digest(body[BY]):
        raise Misconfigured(f"{kind}.{BY}: not the digest of a login")
    subjects = [(subject.name, subject.digest.hex) for subject in statement.subjects]
    expected = _SUBJECTS.get(kind)
    if len(subjects) != (2 if kind in _RELEASES else 1):
        raise Misconfigured(f"{kind}: it has {len(subjects)} subjects")
    if expected is not None:
        for (name, digest), (want_name, want_digest) in zip(subjects, expected(body), strict=True):
            if want_name not in (None, name) or want_digest != digest:
                raise Misconfigured(f"{kind}: the subject {name} is not what the body speaks of")


# What the subjects of a kind must be: (name or None for any, hex digest), from the body.


def _charter(body: Mapping[str, Any]) -> list[tuple[str | None, str]]:
    Policy.from_json(body["policy"])
    return [(body["environment"], _hex(dict(body)))]


def _admission(body: Mapping[str, Any]) -> list[tuple[str | None, str]]:
    try:
        artifact = Artifact.from_manifest(body["artifact"])
    except (KeyError, TypeError) as error:
        raise Misconfigured(f"admission/v1.artifact: not a manifest: {error!r}") from error
    return [(body["model"], artifact.digest.hex)]


def _guard(body: Mapping[str, Any]) -> list[tuple[str | None, str]]:
    if body["policy"] is not None:
        GuardPolicy.from_json(body["policy"])
    return [(body["tenant"], _hex({"guard": body["tenant"]}))]


def _budget(body: Mapping[str, Any]) -> list[tuple[str | None, str]]:
    whose = [body[name] for name in ("tenant", "project", "key", "unit", "per")]
    return [("/".join(whose), _hex({"budget": whose}))]


def _witness(body: Mapping[str, Any]) -> list[tuple[str | None, str]]:
    read_cosigner(body["keys"])
    return [(body["party"], _hex({"witness": body["party"]}))]


def _access_policy(body: Mapping[str, Any]) -> list[tuple[str | None, str]]:
    # What the schema does not know is no policy: it would decide otherwise than it reads.
    policies = PolicySet(body["policies"], "access.cedar")
    return [("access-policy", policies.digest.hex)]


def _people(body: Mapping[str, Any]) -> list[tuple[str | None, str]]:
    told = {name: body[name] for name in ("provider", "person")}
    People.from_json(told)
    return [("people", _hex(told))]


def _break_glass(body: Mapping[str, Any]) -> list[tuple[str | None, str]]:
    if not 1 <= body["minutes"] <= BREAK_GLASS_MINUTES_MAX:
        raise Misconfigured(f"break-glass/v1.minutes: not 1 to {BREAK_GLASS_MINUTES_MAX}")
    return [("break-glass", _hex(dict(body)))]


def _order(body: Mapping[str, Any]) -> list[tuple[str | None, str]]:
    life = body.get("expires_ms", body["time_ms"] + 1) - body["time_ms"]
    if not 0 < life <= ORDER_DAYS_MAX * 86_400_000:
        raise Misconfigured(f"an order's expires_ms: not within {ORDER_DAYS_MAX} days")
    return [(body["key"], _hex({"store-key": body["key"]}))]


def _reference(body: Mapping[str, Any]) -> list[tuple[str | None, str]]:
    Reference.from_json(body)
    return [(body["name"], _hex({"node-reference": body["name"]}))]


def _node(body: Mapping[str, Any]) -> list[tuple[str | None, str]]:
    # The quote itself is in the statement: what its evidence does not say is no statement.
    verify_evidence(body)
    return [(body["node"], _hex({"node": body["attestation"]["identity"]}))]


def _machine(body: Mapping[str, Any]) -> list[tuple[str | None, str]]:
    return [(body["machine"], _hex({"machine": body["machine"]}))]


def _signing_key(ident: str) -> list[tuple[str | None, str]]:
    return [(ident, _hex({"signing-key": ident}))]


def _release(body: Mapping[str, Any]) -> list[tuple[str | None, str]]:
    release = body["release"]
    return [(release["name"], _hex(release)), (None, Digest.parse(release["model"]).hex)]


def _dataset_release(body: Mapping[str, Any]) -> list[tuple[str | None, str]]:
    release = body["release"]
    name = release["name"]
    return [(name, _hex(release)), (name, Digest.parse(release["dataset"]).hex)]


def _hex(value: Any) -> str:
    return Digest.of(canonical(value)).hex


_SUBJECTS: dict[str, Callable[[Mapping[str, Any]], list[tuple[str | None, str]]]] = {
    "charter/v1": _charter,
    "key-enrolment/v1": lambda body: _signing_key(body["key"]["id"]),
    "key-state/v1": lambda body: _signing_key(body["key"]),
    "party-revocation/v1": lambda body: [(body["party"], _hex({"party": body["party"]}))],
    "store-key/v1": lambda body: [(body["key"], _hex({"store-key": body["key"]}))],
    "store-key-shred/v1": _order,
    "store-key-move/v1": _order,
    "denial/v1": lambda body: [(body["name"], _hex({"denial": body["name"]}))],
    "denial-end/v1": lambda body: [(body["name"], _hex({"denial": body["name"]}))],
    "ceremony/v1": lambda body: [("ceremony", Digest.parse(body["record"]).hex)],
    "quorum/v1": lambda body: [("quorum", _hex({"quorum": body["set"]}))],
    "tenant/v1": lambda body: [(body["tenant"], _hex({"tenant": body["tenant"]}))],
    "api-key/v1": lambda body: [(body["key"], _hex({"key": body["key"]}))],
    "api-key/v2": lambda body: [(body["key"], _hex({"key": body["key"]}))],
    "api-key-expiry/v1": lambda body: [(body["key"], _hex({"key": body["key"]}))],
    "api-key-revocation/v1": lambda body: [(body["key"], _hex({"key": body["key"]}))],
    "project/v1": lambda body: [(body["project"], _hex({"project": body["project"]}))],
    "price/v1": lambda body: [(body["model"], _hex({"price": body["model"]}))],
    "budget/v1": _budget,
    "alias/v1": lambda body: [(body["alias"], _hex({"alias": body["alias"]}))],
    "guard/v1": _guard,
    "erasure/v1": lambda body: [("erasure", Digest.parse(body["list"]).hex)],
    "dataset/v1": lambda body: [(body["dataset"], Digest.parse(body["manifest"]).hex)],
    "dataset-release/v1": _dataset_release,
    "packing/v1": lambda body: [(body["name"], Digest.parse(body["manifest"]).hex)],
    "pseudonym-key-end/v1": lambda body: [(None, Digest.parse(body["dataset"]).hex)],
    "dataset-erasure/v1": lambda body: [("subject", body["subject"])],
    "admission/v1": _admission,
    "candidate/v1": lambda body: [(body["release"]["name"], _hex(body["release"]))],
    "release/v1": _release,
    "deployment/v1": lambda body: [(body["deployment"]["name"], _hex(body["deployment"]))],
    "deployment-end/v1": lambda body: [(None, Digest.parse(body["deployment"]).hex)],
    "access-policy/v1": _access_policy,
    "people/v1": _people,
    "break-glass/v1": _break_glass,
    "incident/v1": lambda body: [("incident", Digest.parse(body["about"]).hex)],
    "incident-end/v1": lambda body: [("incident", Digest.parse(body["about"]).hex)],
    "machine/v1": _machine,
    "machine-key/v1": _machine,
    "machine-end/v1": _machine,
    "node-reference/v1": _reference,
    "node/v1": _node,
    "load/v1": lambda body: [(None, Digest.parse(body["deployment"]).hex)],
    "share/v1": lambda body: [
        (
            f"{body['tenant']}/{body['deployment']}",
            _hex({"share": [body["tenant"], body["deployment"]]}),
        )
    ],
    "share-minute/v1": lambda body: [(None, Digest.parse(body["deployment"]).hex)],
    "witness/v1": _witness,
    "receipts/v1": lambda body: [("receipts", body["root"])],
}
