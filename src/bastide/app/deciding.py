# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What a party decides and a service writes down: signed here with its key, or carried over signed.

The statement names what it takes the place of, so one that was signed and kept is never put in
force later. Which parties must sign is for the charter's policy to say (ledger/decided.py).
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection

from bastide.app.enrolment import parties_that_signed, read_draft
from bastide.app.environment import Environment
from bastide.app.orders import verify_alive
from bastide.core.act import name_actor
from bastide.core.errors import Misconfigured, NotAllowed
from bastide.core.evidence import Evidence, Statement
from bastide.core.key import Purpose
from bastide.core.party import Party
from bastide.core.subject import Subject
from bastide.crypto import dsse
from bastide.crypto.dsse import Envelope, Signer
from bastide.ledger.decided import DECIDED
from bastide.ledger.statements import check_shape

Also = Callable[[Connection, range], None]

__all__ = ["acting", "carry", "decide", "draft", "read_signed_draft"]


def acting(env: Environment, signed: Envelope | None = None) -> Environment:
    """Who decides: also the party whose key was given, or the parties that signed the envelope.

    A given key is asked for no challenge: it signs the statement itself, without which the
    ledger does not take it. Raises NotProven for a signature that does not hold.
    """
    principal = env.principal
    if signed is not None:
        parties = principal.parties | parties_that_signed(env, signed)
        principal = replace(principal, parties=parties)
    elif env.claim is not None:
        principal = env.claim.joined(principal)
    return replace(env, principal=principal, claim=None)


def draft(
    env: Environment, kind: str, subject: Subject, said: Mapping[str, Any], emergency: str | None
) -> Statement:
    """The statement, which follows what is in force about the subject if its kind is chained."""
    body = {**said, "time_ms": env.clock.now_ms()}
    if DECIDED[kind].chained:
        before = env.ledger.decided_before(kind, subject.name)
        body |= {"previous": before, "emergency": emergency}
    statement = Statement(kind, (subject,), body)
    check_shape(statement)
    return statement


def decide(
    env: Environment,
    kind: str,
    subject: Subject,
    said: Mapping[str, Any],
    also: Also | None = None,
) -> Evidence:
    """Sign with the given key, or under `solo` with the held one, and append.

    also: writes in the same transaction, as the ledger's `append` says. In an emergency the party
    that opened it may decide. Raises NotAllowed if no key is at hand
    that may sign it.
    """
    (party,) = DECIDED[kind].usual
    signer = _signer(env, party)
    emergency = None
    if signer.public.party != party:
        opened = env.access.emergency()
        may = opened is not None and opened.body["party"] == signer.public.party
        if opened is None or not may or not DECIDED[kind].urgent:
            raise _elsewhere(kind, party)
        emergency = str(opened.digest)
    statement = name_actor(draft(env, kind, subject, said, emergency), env.ledger.login)
    return carry(env, dsse.sign(statement.payload(), [signer]), also)


def carry(env: Environment, signed: Envelope, also: Also | None = None) -> Evidence:
    """Append what was signed elsewhere, with the services' signature.

    Raises NotProven if a party's signature is missing, Refused if it does not follow what is in
    force now.
    """
    own = dsse.sign(signed.payload, [env.signer(Purpose.EVIDENCE)])
    whole = Envelope(signed.payload, (*own.signatures, *signed.signatures))
    env.ledger.append([whole], also)
    return env.ledger.by_digest(whole.digest)


def read_signed_draft(env: Environment, text: str, kind: str) -> tuple[Envelope, Statement]:
    """A statement of a kind that was carried over.

    Raises Misconfigured for another file, Refused for one whose days are over: who signed it and
    did not use it may think otherwise by now.
    """
    envelope, statement = read_draft(text)
    if statement.kind != kind:
        raise Misconfigured(f"not a {kind} but a {statement.kind}", fix="give another file")
    check_shape(statement)
    verify_alive(env, statement)
    return envelope, statement


def _signer(env: Environment, party: Party) -> Signer:
    if env.claim is not None:
        return env.claim.signer
    held = env.party_signers().get(party)
    if held is None:
        raise _elsewhere("statement", party)
    return held


def _elsewhere(kind: str, party: Party) -> NotAllowed:
    return NotAllowed(
        f"a {kind} needs the signature of the {party}",
        fix=f"give the {party}'s key (--key FILE), or write it (--out FILE), have it signed"
        " elsewhere (`bastide sign FILE --key KEY`) and bring it back (--signed FILE)",
    )
