# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Use cases about witnesses: whose witness is whose, and which heads they have cosigned."""

from bastide.app.duties import require
from bastide.app.enrolment import read_draft
from bastide.app.environment import Environment
from bastide.core.canonical import canonical
from bastide.core.errors import Misconfigured, NotAllowed, NotProven
from bastide.core.evidence import Evidence, Statement
from bastide.core.subject import Digest, Subject
from bastide.crypto import dsse, merkle
from bastide.crypto.cosignature import Cosigner
from bastide.crypto.dsse import Envelope, Signer
from bastide.ledger import Ledger
from bastide.ledger.cosigned import (
    CosignedHeads,
    enrolled,
    witnesses_by_party,
)
from bastide.ledger.heads import open_head
from bastide.ports import Clock

__all__ = [
    "compare_head",
    "compare_heads",
    "enrol_witness",
    "enrolment",
    "import_witness",
    "sign_enrolment",
]


def enrolment(public: Cosigner, party: str, clock: Clock) -> Statement:
    """The statement that a party signs over its witness's keys."""
    subject = Subject(party, Digest.of(canonical({"witness": party})))
    body = {"party": party, "keys": public.vkeys(), "time_ms": clock.now_ms()}
    return Statement("witness/v1", (subject,), body)


def sign_enrolment(statement: Statement, signer: Signer) -> Envelope:
    """Sign on a machine of the party's own."""
    return dsse.sign(statement.payload(), [signer])


def enrol_witness(
    env: Environment, public: Cosigner, party: str, signer: Signer | None
) -> Evidence:
    """Enrol a party's witness, with its key or, under `solo`, the one that is held.

    Raises NotAllowed if no key of that party is at hand.
    """
    require(env, "witness-enrol")
    held = env.parties_at_hand(signer).items()
    mine = [one for known, one in held if known.value == party]
    if not mine:
        raise NotAllowed(f"a witness of the {party} is enrolled by its key", fix="give --key FILE")
    return _append(env.ledger, sign_enrolment(enrolment(public, party, env.clock), mine[0]))


def import_witness(env: Environment, text: str) -> Evidence:
    """Append an enrolment that was signed elsewhere. Raises Misconfigured or NotProven."""
    require(env, "witness-enrol")
    envelope, statement = read_draft(text)
    if statement.kind != "witness/v1":
        raise Misconfigured(f"not an enrolment but {statement.kind}")
    return _append(env.ledger, envelope)


def _append(ledger: Ledger, envelope: Envelope) -> Evidence:
    ledger.append([envelope])
    return ledger.by_digest(envelope.digest)


def compare_heads(ledger: Ledger, heads: CosignedHeads) -> int:
    """Check that every cosigned head that is kept is a head of this ledger; how many there are.

    Raises NotProven: then the ledger was changed after witnesses had seen it.
    """
    rows = enrolled(ledger)
    known = heads.all()
    for _, note in known:
        compare_head(ledger, note)
        witnesses_by_party(note, rows)
    return len(known)


def compare_head(ledger: Ledger, note: str) -> int:
    """Check that a head, from whoever kept it, is one of this ledger; its size.

    Raises NotProven if the ledger is shorter (it was rolled back) or has another root there (it was
    forked).
    """
    head = open_head(note, ledger.charter().body["origin"], ledger.register())
    if head.size > ledger.size:
        raise NotProven(
            f"a head of {head.size} entries was cosigned, and the ledger has {ledger.size}:"
            " it was rolled back"
        )
    now = open_head(ledger.checkpoint(), head.origin, ledger.register())
    try:
        proof = ledger.prove_consistency(head.size, now.size)
        merkle.verify_consistency(head.size, now.size, head.root, now.root, proof)
    except NotProven as error:
        raise NotProven(
            f"the head of {head.size} entries that was cosigned is none of this ledger:"
            " it was forked or changed"
        ) from error
    return head.size
