# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The ledger's door: who may state what, in which form; and the charter that says so."""

import dataclasses
import json

import pytest

from bastide.adapters.clock.fixed import FixedClock
from bastide.adapters.records.sql import open_records
from bastide.core.errors import BastideError, Misconfigured, NotProven, Refused, Unavailable
from bastide.core.evidence import KINDS, Statement
from bastide.core.key import PublicKey, Purpose, Scheme
from bastide.core.party import Party
from bastide.core.subject import Digest, Subject
from bastide.crypto import dsse
from bastide.crypto.dsse import Envelope
from bastide.ledger import Ledger, statements
from bastide.ledger.shapes import SHAPES
from unit.ledger_fixture import (
    DATABASE_KEY,
    charter_body,
    charter_statement,
    make_ledger,
    make_parties,
    make_signer,
    make_signers,
    refusal,
    tenant,
)

SIGNERS, PARTIES = make_signers(), make_parties()
EVIDENCE, RELEASE = SIGNERS[Purpose.EVIDENCE], SIGNERS[Purpose.RELEASE]
FIRM, GUARDIAN = PARTIES[Party.FIRM], PARTIES[Party.GUARDIAN]
KEYS = {key.ident: key for key in (s.public for s in (*SIGNERS.values(), *PARTIES.values()))}
BODY = charter_body(SIGNERS, PARTIES, 1_700_000_000_000)
RELEASE_BODY = {
    "name": "r1",
    "model": str(Digest.of(b"model")),
    "admission": str(Digest.of(b"admission")),
    "evaluation": str(Digest.of(b"evaluation")),
    "policy": str(Digest.of(b"policy")),
    "template": None,
}


def _digest(value: object) -> Digest:
    return Digest.of(json.dumps(value, separators=(",", ":"), sort_keys=True).encode())


def approval(party: str = "firm", **changes) -> Statement:
    body = {"party": party, "action": "release", "decision": "approve", "comment": ""}
    body = {**body, "time_ms": 1, **changes}
    return Statement("approval/v1", (Subject("r1", _digest(RELEASE_BODY)),), body)


def candidate(**changes) -> Statement:
    body = {"release": RELEASE_BODY, "author": EVIDENCE.public.ident, "time_ms": 1}
    body = {**body, **changes}
    return Statement("candidate/v1", (Subject("r1", _digest(RELEASE_BODY)),), body)


def release() -> Statement:
    body = {
        "release": RELEASE_BODY,
        "candidate": str(Digest.of(b"candidate")),
        "approvals": [],
        "verdicts": [],
        "model_signing": str(Digest.of(b"bundle")),
        "time_ms": 1,
    }
    model = Subject("m", Digest.of(b"model"))
    return Statement("release/v1", (Subject("r1", _digest(RELEASE_BODY)), model), body)


@pytest.mark.parametrize(
    ("statement", "signers"),
    [
        (refusal(1), [EVIDENCE]),
        (tenant("t"), [EVIDENCE]),
        (candidate(), [EVIDENCE]),
        (candidate(), [EVIDENCE, FIRM]),
        (candidate(author=FIRM.public.ident), [EVIDENCE, FIRM]),
        (approval(), [FIRM]),
        (approval("guardian"), [GUARDIAN]),
        (release(), [RELEASE]),
    ],
)
def test_the_right_keys_open_the_door(statement, signers):
    envelope = dsse.sign(statement.payload(), signers)
    verified = statements.read_signed(envelope, KEYS)
    assert verified.evidence.statement == statement
    assert verified.evidence.signers == tuple(signer.public.ident for signer in signers)
    assert verified.evidence.digest == envelope.digest
    assert verified.data == envelope.encode()


@pytest.mark.attacks("C1")
@pytest.mark.parametrize(
    ("statement", "signers"),
    [
        (refusal(1), []),
        (refusal(1), [EVIDENCE, EVIDENCE]),
        (refusal(1), [RELEASE]),
        (refusal(1), [SIGNERS[Purpose.LEDGER]]),
        (refusal(1), [FIRM]),
        (refusal(1), [EVIDENCE, FIRM]),
        (candidate(), [FIRM]),
        (candidate(author=FIRM.public.ident), [EVIDENCE]),
        (candidate(author=GUARDIAN.public.ident), [EVIDENCE, FIRM]),
        (candidate(), [EVIDENCE, FIRM, GUARDIAN]),
        (candidate(), [EVIDENCE, RELEASE]),
        (approval(), [EVIDENCE]),
        (approval(), [GUARDIAN]),
        (approval(), [FIRM, GUARDIAN]),
        (approval(), [FIRM, EVIDENCE]),
        (release(), [EVIDENCE]),
        (release(), [RELEASE, EVIDENCE]),
        (refusal(1), [make_signer("stranger", Purpose.EVIDENCE)]),
    ],
)
def test_other_keys_do_not(statement, signers):
    with pytest.raises(NotProven):
        statements.read_signed(dsse.sign(statement.payload(), signers), KEYS)


@pytest.mark.attacks("C1")
def test_a_signature_over_something_else_does_not_hold():
    envelope = dsse.sign(refusal(1).payload(), [EVIDENCE])
    other = dataclasses.replace(envelope, payload=refusal(2).payload())
    with pytest.raises(NotProven, match="does not hold"):
        statements.read_signed(other, KEYS)


def _changed(statement: Statement, **changes) -> Statement:
    return dataclasses.replace(statement, body={**statement.body, **changes})


@pytest.mark.parametrize(
    "statement",
    [
        _changed(refusal(1), note="more"),
        dataclasses.replace(refusal(1), body={"stage": "admit", "reasons": []}),
        _changed(refusal(1), reasons="all"),
        _changed(refusal(1), time_ms=True),
        _changed(refusal(1), time_ms=-1),
        _changed(refusal(1), time_ms="now"),
        dataclasses.replace(refusal(1), subjects=refusal(1).subjects * 2),
        dataclasses.replace(tenant("t"), subjects=tenant("u").subjects),
        dataclasses.replace(tenant("t"), subjects=refusal(1).subjects),
        candidate(release={**RELEASE_BODY, "name": "r2"}),
        candidate(release={**RELEASE_BODY, "template": "none"}),
        Statement(
            "receipts/v1",
            (Subject("receipts", Digest.of(b"1")),),
            {"count": 1, "root": Digest.of(b"2").hex, "first_ms": 1, "last_ms": 1},
        ),
        Statement(
            "receipts/v1",
            (Subject("receipts", Digest.of(b"1")),),
            {"count": 0, "root": Digest.of(b"1").hex, "first_ms": 1, "last_ms": 1},
        ),
    ],
)
def test_a_body_has_the_shape_of_its_kind(statement):
    with pytest.raises(Misconfigured):
        statements.read_signed(dsse.sign(statement.payload(), [EVIDENCE]), KEYS)


@pytest.mark.parametrize("decision", ["refuse", "", None, 1])
def test_the_only_decision_is_approve(decision):
    with pytest.raises(Misconfigured, match="decision"):
        envelope = dsse.sign(approval(decision=decision).payload(), [FIRM])
        statements.read_signed(envelope, KEYS)


def test_every_kind_has_a_shape():
    assert set(SHAPES) == set(KINDS)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"{}",
        b"[" * 40_000,
        json.dumps(refusal(1).to_json()).encode(),  # white space: not canonical
        refusal(1).payload().replace(b'"stage"', b'"stage":"x","stage"'),  # a doubled key
        refusal(1).payload().replace(b"refusal/v1", b"refusal/v9"),
    ],
)
def test_the_payload_is_a_canonical_statement(payload):
    with pytest.raises(Misconfigured):
        statements.read_signed(dsse.sign(payload, [EVIDENCE]), KEYS)


def test_an_entry_has_a_largest_size():
    reasons = ["x" * 4_000] * 12
    envelope = dsse.sign(_changed(refusal(1), reasons=reasons).payload(), [EVIDENCE])
    assert len(envelope.encode()) > 60_000
    statements.read_signed(envelope, KEYS)
    too_long = dsse.sign(_changed(refusal(1), reasons=reasons * 2).payload(), [EVIDENCE])
    with pytest.raises(Misconfigured, match="65535"):
        statements.read_signed(too_long, KEYS)


# The charter


def _charter(body: dict, signers: list) -> Envelope:
    return dsse.sign(charter_statement(body).payload(), signers)


ALL = [*PARTIES.values(), EVIDENCE]


@pytest.mark.attacks("C3")
def test_a_charter_is_signed_by_every_party_and_the_evidence_key():
    evidence = statements.read_charter(_charter(BODY, ALL))
    assert statements.keys_of(evidence.body) == KEYS
    for missing in ALL:
        with pytest.raises(NotProven, match="lacks the signature"):
            statements.read_charter(_charter(BODY, [one for one in ALL if one is not missing]))
    with pytest.raises(NotProven):
        statements.read_charter(_charter(BODY, [*ALL, RELEASE]))
    with pytest.raises(NotProven):
        stranger = make_signer("stranger", Purpose.EVIDENCE)
        statements.read_charter(_charter(BODY, [*ALL, stranger]))


def _without(*purposes_or_parties) -> dict:
    keys = [
        row
        for row in BODY["keys"]
        if row["purpose"] not in purposes_or_parties and row.get("party") not in purposes_or_parties
    ]
    return {**BODY, "keys": keys}


def _with(*keys: PublicKey) -> dict:
    return {**BODY, "keys": [*BODY["keys"], *(key.to_json() for key in keys)]}


@pytest.mark.parametrize(
    "body",
    [
        _without("ledger"),
        _without("release"),
        _without("evidence"),
        _without("guardian"),
        _with(make_signer("second", Purpose.LEDGER).public),
        _with(make_signer("second", Purpose.EVIDENCE).public),
        _with(EVIDENCE.public),
        _with(make_signer("store", Purpose.STORE).public),
        _with(make_signer("x", Purpose.PARTY, Scheme.SSHSIG).public),
        _with(make_signer("x", Purpose.PARTY, Scheme.ED25519, Party.FIRM).public),
        {**BODY, "policy": {}},
        {**BODY, "keys": "none"},
        {**BODY, "more": 1},
    ],
)
def test_a_charter_enrols_each_key_once_and_no_other(body):
    with pytest.raises(BastideError) as caught:
        statements.read_charter(_charter(body, ALL))
    assert isinstance(caught.value, (Misconfigured, NotProven))


def test_a_charter_is_the_first_entry_and_only_the_first(tmp_path):
    world = make_ledger(tmp_path)
    second = _charter({**BODY, "time_ms": 1}, ALL)
    with pytest.raises(Refused, match="only the first"):
        world.ledger.append([second])
    empty = make_ledger(tmp_path, "other.db").records
    assert Ledger(empty, SIGNERS[Purpose.LEDGER], world.clock).charter().entry == 0
    assert world.ledger.size == 1


def test_nothing_comes_before_the_charter(tmp_path, unfounded):
    with pytest.raises(Refused, match="no charter yet"):
        unfounded.append([dsse.sign(refusal(1).payload(), [EVIDENCE])])
    assert unfounded.size == 0
    unfounded.append([_charter(BODY, ALL), dsse.sign(refusal(1).payload(), [EVIDENCE])])
    assert unfounded.size == 2


def test_a_charter_that_was_not_written_enrols_nobody(unfounded):
    charter = _charter(BODY, ALL)
    with pytest.raises(RuntimeError):
        unfounded.append([charter], also=_fail)
    with pytest.raises(Refused, match="no charter yet"):
        unfounded.append([dsse.sign(refusal(1).payload(), [EVIDENCE])])
    assert unfounded.append([charter]) == range(1)


def _fail(*_: object) -> None:
    raise RuntimeError("a failing companion")


@pytest.fixture
def unfounded(tmp_path):
    records = open_records(tmp_path / "unfounded.db", DATABASE_KEY)
    return Ledger(records, SIGNERS[Purpose.LEDGER], FixedClock())


def test_the_checkpoints_are_signed_by_the_key_that_the_charter_enrols(tmp_path, unfounded):
    stranger = make_signer("stranger", Purpose.LEDGER)
    ledger = Ledger(unfounded._records, stranger, unfounded._clock)
    with pytest.raises(Unavailable, match="ledger key"):
        ledger.append([_charter(BODY, ALL)])
    unfounded.append([_charter(BODY, ALL)])
    with pytest.raises(Unavailable, match="ledger key"):
        ledger.append([dsse.sign(refusal(1).payload(), [EVIDENCE])])
    assert unfounded.size == 1
