# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""A release leaves for another key when the firm has signed that, and the ledger says so first.

Broken once to prove the tests: without `release-push/v1` in `DECIDED`, without the check of
revocations, and without pushes in an order to shred, they fail.
"""

import json
from dataclasses import replace
from types import SimpleNamespace

import pytest

from bastide.app import shredding, store_keys
from bastide.app.duties import require
from bastide.app.enrolment import add_signature
from bastide.app.environment import Environment, open_environment, read_passphrase
from bastide.app.presence import Claim
from bastide.app.pushes import allow_push, draft_push, list_pushes, recipient_digest
from bastide.app.release_push import push_release
from bastide.app.revocations import find_revocable, revocation, revoke_here
from bastide.app.store_key_entries import list_store_keys
from bastide.core.errors import NotAllowed, NotProven, Refused
from bastide.core.evidence import Statement
from bastide.core.key import Purpose
from bastide.core.party import Party, Principal
from bastide.core.revocation import Revocable
from bastide.crypto import dsse
from bastide.crypto.age.x25519 import X25519Identity
from bastide.formats.modelpack import Reference
from paths.loading_rig import Served, insert

ALICE, BOB = (str(X25519Identity(bytes([number] * 32)).recipient()) for number in (1, 2))
KIND = "release-push/v1"


def operator(env: Environment) -> Environment:
    """With the operator's key alone, and the services' keys."""
    signer = env.party_signers()[Party.OPERATOR]
    claim = Claim(signer, Party.OPERATOR, "here", env.clock, env.entropy)
    alone = Principal("the operator", frozenset({Party.OPERATOR}))
    return replace(env, principal=alone, claim=claim)


@pytest.mark.attacks("C272")
def test_the_operator_alone_pushes_nothing(broken: Served) -> None:
    env, size = broken.env, broken.env.ledger.size
    with pytest.raises(NotAllowed, match="needs the signature of the firm"):
        push_release(operator(env), "tiny", Reference.parse("here/models/tiny:1"), None, ALICE)
    written = draft_push(env, "tiny", ALICE, "a test")
    for parties in ((), (Party.OPERATOR,), (Party.OPERATOR, Party.GUARDIAN)):
        signed = written
        for party in parties:
            signed = add_signature(signed, env.party_signers()[party])
        with pytest.raises(NotProven, match="needs the signature of the firm"):
            allow_push(operator(env), "tiny", ALICE, "", text(signed))
    assert env.ledger.size == size


def stolen(env: Environment) -> Claim:
    """The firm's public key, with a signature of the operator's: what who has its file can make."""
    firm, other = (env.party_signers()[party] for party in (Party.FIRM, Party.OPERATOR))
    signer = SimpleNamespace(public=firm.public, sign=other.sign)
    return Claim(signer, Party.FIRM, "here", env.clock, env.entropy)


def text(envelope: dsse.Envelope) -> str:
    return json.dumps(envelope.to_json())


@pytest.mark.attacks("C272")
def test_the_firm_signs_whom_a_release_goes_to(broken: Served) -> None:
    env = broken.env
    firm = env.party_signers()[Party.FIRM]
    signed = text(add_signature(draft_push(env, "tiny", ALICE, "for the audit"), firm))
    with pytest.raises(NotProven, match="another release or recipient"):
        allow_push(operator(env), "tiny", BOB, "", signed)
    row = allow_push(operator(env), "tiny", ALICE, "", signed)
    assert row.body["recipient"] == str(recipient_digest(ALICE))
    assert ALICE not in env.ledger.envelope(row.entry or 0).payload.decode()
    # The same recipient again takes no signature; another one does.
    assert allow_push(operator(env), "tiny", ALICE, "").digest == row.digest
    # But a party's key that was given proves that it is held, though it signs nothing else.
    nobody = Principal("nobody", frozenset())
    with pytest.raises(NotAllowed):
        allow_push(replace(operator(env), principal=nobody, claim=stolen(env)), "tiny", ALICE, "")
    with pytest.raises(NotAllowed):
        allow_push(operator(env), "tiny", BOB, "")
    (told,) = list_pushes(env, "tiny")
    assert (told["reason"], told["entry"]) == ("for the audit", row.entry)
    env.ledger.audit()


@pytest.mark.attacks("C272")
def test_a_statement_that_the_firm_did_not_sign_lets_nothing_out(broken: Served) -> None:
    env = broken.env
    body = json.loads(draft_push(env, "tiny", ALICE, "planted").payload)
    statement = Statement.from_json(body)
    insert(env, dsse.sign(statement.payload(), [env.signer(Purpose.EVIDENCE)]))
    with pytest.raises(NotProven, match="needs the signature of the firm"):
        allow_push(operator(env), "tiny", ALICE, "")
    with pytest.raises(NotProven, match="needs the signature of the firm"):
        env.ledger.audit()


@pytest.mark.attacks("C272")
def test_a_revoked_release_goes_nowhere(broken: Served) -> None:
    env = broken.env
    allow_push(env, "tiny", ALICE, "")
    subject, party = find_revocable(env, Revocable.RELEASE, "tiny")
    revoke_here(env, revocation(Revocable.RELEASE, subject, party, "poisoned", env.clock), None)
    with pytest.raises(Refused, match="nowhere any more"):
        allow_push(env, "tiny", ALICE, "")
    with pytest.raises(Refused, match="nowhere any more"):
        draft_push(env, "tiny", BOB, "")


def test_who_may_is_an_action_of_its_own(broken: Served) -> None:
    guardian = Principal("the guardian", frozenset({Party.GUARDIAN}))
    reading = replace(broken.env, principal=guardian)
    require(reading, "read")
    with pytest.raises(NotAllowed):
        allow_push(reading, "tiny", ALICE, "")


@pytest.mark.attacks("C273")
def test_an_order_to_shred_says_who_still_opens_these_bodies(broken: Served) -> None:
    allow_push(broken.env, "tiny", ALICE, "")
    home = broken.env.home
    store_keys.rotate(home, read_passphrase(home), "file", False, lambda *_: None)
    with open_environment(home, read_passphrase(home)) as env:
        old = next(r["key"] for r in list_store_keys(env) if r["state"] == "deactivated")
        order = shredding.draft_order(env, old, "its epoch is over")
        leaves = "; ".join(json.loads(order.payload)["predicate"]["leaves"])
        assert f"tiny to {recipient_digest(ALICE)}" in leaves
        assert f"the headers of {len(env.store.names())} objects now" in leaves
        signed = shredding.sign_order(env, order, [])
        allow_push(env, "tiny", BOB, "")
        with pytest.raises(NotProven, match="releases left for other keys"):
            shredding.settle_order(env, signed)
        again = shredding.sign_order(env, shredding.draft_order(env, old, "again"), [])
        assert shredding.settle_order(env, again)["key"] == old
        env.ledger.audit()
