# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Use cases about signing keys: list, rotate, stop, activate and destroy them.

What changes a key is one signed statement (core/register.py). It travels as a DSSE envelope: a
request without signatures, or with some; each signer adds one (app/enrolment.py), and
`settle` appends as soon as they suffice. Services take a change up by themselves: control sees a
new key statement within POLL_S and judges every deployment again, and the supervisor hands a
successor over as soon as the keyring's file holds it.
"""

import json
from collections.abc import Iterable, Sequence
from typing import Any, Final

from bastide.app.alone import alone
from bastide.app.duties import require
from bastide.app.enrolment import add_signature, enrolment, key_subject
from bastide.app.environment import Environment
from bastide.app.orders import verify_alive
from bastide.core.canonical import canonical
from bastide.core.errors import Misconfigured, NotAllowed, Refused
from bastide.core.evidence import Evidence, Statement
from bastide.core.key import PublicKey, Purpose
from bastide.core.party import Party
from bastide.core.register import KEY_KINDS, KeyLife, KeyState
from bastide.core.subject import Digest, Subject
from bastide.crypto import dsse, note
from bastide.crypto.dsse import Envelope, Signer
from bastide.crypto.p256 import public_pem
from bastide.ledger.statements import check_shape
from bastide.ports import Clock, Keyring

__all__ = [
    "ROTATED",
    "change",
    "gather",
    "list_signing_keys",
    "log_key",
    "merge",
    "party_revocation",
    "read_request",
    "settle",
    "successor",
]

ROTATED: Final = (Purpose.EVIDENCE, Purpose.RELEASE, Purpose.MODEL_SIGNING, Purpose.LEDGER)
_OVER: Final = (KeyState.DEACTIVATED, KeyState.COMPROMISED, KeyState.DESTROYED)


def list_signing_keys(env: Environment, ended: bool) -> list[dict[str, Any]]:
    """The enrolled keys in the order of their enrolment.

    ended: those that were deactivated, compromised or destroyed, too.
    """
    require(env, "read")
    lives = env.ledger.register().lives.values()
    return [life.to_json() for life in lives if ended or life.state not in _OVER]


def change(
    ident: str, state: KeyState, trusted_before: int | None, reason: str, clock: Clock
) -> Statement:
    """The statement that changes a key's state."""
    body = {
        "key": ident,
        "state": state.value,
        "trusted_before": trusted_before,
        "reason": reason,
        "time_ms": clock.now_ms(),
    }
    return Statement("key-state/v1", (key_subject(ident),), body)


def party_revocation(
    env: Environment, party: Party, reason: str, trusted_before: int | None
) -> Envelope:
    """The statement that stops all keys of a party, with no signature yet.

    trusted_before: what the keys signed from this entry on counts no more; None: nothing ever did.
    Raises Refused if the party has no key to stop.
    """
    require(env, "read")
    keys = env.ledger.register().revocable(party)
    if not keys:
        raise Refused(f"all keys of the {party} are stopped already")
    body = {
        "party": party.value,
        "keys": keys,
        "trusted_before": trusted_before,
        "reason": reason,
        "time_ms": env.clock.now_ms(),
    }
    subject = Subject(party.value, Digest.of(canonical({"party": party.value})))
    return Envelope(Statement("party-revocation/v1", (subject,), body).payload(), ())


def successor(
    env: Environment, purpose: Purpose, reason: str, compromised: bool, trusted_before: int | None
) -> Envelope:
    """Make a service's next key and have it sign its own enrolment.

    The keyring's file holds it before the ledger knows it, and services that run are handed it, so
    that nothing waits when it comes into force. One that was made before and never enrolled is
    taken again. Raises Misconfigured for a purpose that no ledger key serves.
    """
    require(env, "service-key-rotate")
    if purpose not in ROTATED:
        raise Misconfigured(f"a {purpose} key signs nothing", fix=f"one of {', '.join(ROTATED)}")
    lives = env.ledger.register().lives
    with alone(env.home.root, lambda: None):
        held = env.reread_keyring()
        fresh = [row for row in held.signers(purpose) if row.public.ident not in lives]
        if not fresh:
            held = held.with_new(purpose, env.entropy)
            env.save_keyring(held)
            fresh = list(held.signers(purpose)[-1:])
    old = [row for row in lives.values() if _replaceable(row, purpose)]
    asked = enrolment(
        fresh[-1].public,
        purpose.value,
        old[-1].key.ident if old else None,
        reason,
        env.clock,
        compromised,
        trusted_before,
    )
    return add_signature(asked, fresh[-1])


def gather(env: Environment, envelope: Envelope, given: Sequence[Signer]) -> Envelope:
    """Sign here: with the given keys, else with those of parties that the keyring holds.

    Raises NotAllowed for a key that may not sign.
    """
    require(env, "signing-key-change")
    statement = read_request(envelope)
    keys = {**env.ledger.keys(), **_newcomer(statement)}
    held = [*given] or [*env.party_signers().values()]
    for signer in held:
        if signer.public.ident not in keys:
            raise NotAllowed(
                f"the key {signer.public.ident} may not sign in this environment",
                fix="use one that is enrolled and active: `bastide signing-key ls`",
            )
    for signer in held:
        envelope = add_signature(envelope, signer)
    return envelope


def read_request(envelope: Envelope) -> Statement:
    """What an envelope asks to be signed. Raises Misconfigured if it changes no key."""
    statement = Statement.from_json(json.loads(envelope.payload))
    if statement.kind not in KEY_KINDS:
        raise Misconfigured(f"a {statement.kind} changes no key", fix="give a request's file")
    check_shape(statement)
    return statement


def merge(envelopes: Iterable[Envelope]) -> Envelope:
    """One envelope with the signatures of all, in the order of the keys' ids.

    Raises Misconfigured if they are not over one statement.
    """
    first, *others = envelopes
    signatures = dict(first.signatures)
    for other in others:
        if (other.payload, other.payload_type) != (first.payload, first.payload_type):
            raise Misconfigured("the files are not about one request", fix="give those of one")
        signatures.update(other.signatures)
    return Envelope(first.payload, tuple(sorted(signatures.items())), first.payload_type)


def settle(env: Environment, envelope: Envelope) -> Evidence:
    """Append a key statement once its signatures suffice, and do what follows here.

    Raises Waiting, whose reasons say who is missing; Refused if the register's rules forbid it, or
    if it was made too long ago; NotProven if a signature does not hold.
    """
    require(env, "signing-key-change")
    statement = read_request(envelope)
    register = env.ledger.register()
    signers = tuple(ident for ident, _ in envelope.signatures)
    if signers:
        dsse.verify_envelope(envelope, {**env.ledger.keys(), **_newcomer(statement)})
    evidence = Evidence(statement, signers, envelope.digest, env.ledger.size)
    register.after(evidence)
    # A stop that was signed beforehand and kept in a safe counts on the day it is needed.
    if statement.body.get("state") in (KeyState.ACTIVE, KeyState.PRE_ACTIVE, KeyState.DESTROYED):
        verify_alive(env, statement)
    return _append(env, envelope)


def log_key(env: Environment, appended: Evidence) -> str | None:
    """The vkey of a new key of the ledger, which witnesses are told of; None of another key."""
    for key in _newcomer(appended.statement).values():
        if key.purpose is Purpose.LEDGER:
            return note.verifier_key(env.ledger.charter().body["origin"], key)
    return None


def _append(env: Environment, envelope: Envelope) -> Evidence:
    """Append, and do what follows here, by whichever command the statement came."""
    env.ledger.append([envelope])
    appended = env.ledger.by_digest(envelope.digest)
    _follow(env, appended)
    return appended


def _follow(env: Environment, appended: Evidence) -> None:
    """Publish the new key of model-signing bundles; erase a service's key that was destroyed."""
    body = appended.body
    if appended.kind == "key-enrolment/v1":
        key = PublicKey.from_json(body["key"])
        if key.purpose is Purpose.MODEL_SIGNING:
            draft = env.home.model_signing.with_suffix(".partial")
            draft.write_bytes(public_pem(key))
            draft.chmod(0o644)
            draft.replace(env.home.model_signing)
    elif appended.kind == "key-state/v1" and body["state"] == KeyState.DESTROYED:
        with alone(env.home.root, lambda: None):
            held: Keyring = env.reread_keyring()
            env.save_keyring(held.without(body["key"]))


def _replaceable(life: KeyLife, purpose: Purpose) -> bool:
    return life.key.purpose is purpose and life.state in (KeyState.ACTIVE, KeyState.SUSPENDED)


def _newcomer(statement: Statement) -> dict[str, PublicKey]:
    if statement.kind != "key-enrolment/v1":
        return {}
    key = PublicKey.from_json(statement.body["key"])
    return {key.ident: key}
