# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Statements that two parties sign, each version of which follows the one before.

A proposal is a file that travels: `bastide sign` adds a party's signature to it anywhere.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from bastide.app.enrolment import add_signature, parties_that_signed, read_draft
from bastide.app.environment import Environment
from bastide.app.orders import verify_alive
from bastide.core.errors import Misconfigured, Refused, Waiting
from bastide.core.evidence import Evidence, Statement
from bastide.core.party import Party
from bastide.core.subject import Subject
from bastide.crypto.dsse import Envelope, Signer
from bastide.ledger.statements import check_shape

__all__ = ["apply_version", "propose_version"]


def propose_version(
    env: Environment,
    kind: str,
    now: Evidence | None,
    subject: Subject,
    said: Mapping[str, Any],
    given: Signer | None,
) -> Envelope:
    """What follows `now` as a statement, signed by the given key, or by those held under `solo`."""
    body = {
        "version": 1 if now is None else now.body["version"] + 1,
        "previous": None if now is None else str(now.digest),
        **said,
        "time_ms": env.clock.now_ms(),
    }
    statement = Statement(kind, (subject,), body)
    check_shape(statement)
    envelope = Envelope(statement.payload(), ())
    for signer in env.parties_at_hand(given).values():
        envelope = add_signature(envelope, signer)
    return envelope


def apply_version(
    env: Environment, text: str, kind: str, what: str, now: Evidence | None
) -> Evidence:
    """Put a signed proposal in force, in the place of `now`.

    Raises Waiting while a signature is missing, whose reasons say whose; Refused if it does not
    follow the version in force, or was proposed too long ago; NotProven if a signature does not
    hold.
    """
    envelope, statement = read_draft(text)
    if statement.kind != kind:
        raise Misconfigured(f"not {what} but {statement.kind}")
    check_shape(statement)
    signed = parties_that_signed(env, envelope)
    missing = [] if Party.GUARDIAN in signed else ["the guardian has not signed"]
    if not signed - {Party.GUARDIAN}:
        missing.append("no party beside the guardian has signed")
    if missing:
        raise Waiting(
            f"these {what} wait for signatures",
            reasons=missing,
            fix="each runs `bastide sign FILE --key KEY` on a machine of their own",
        )
    verify_alive(env, statement)
    version = 1 if now is None else now.body["version"] + 1
    previous = None if now is None else str(now.digest)
    if (statement.body["version"], statement.body["previous"]) != (version, previous):
        raise Refused(
            f"these are version {statement.body['version']}; the next is {version}, after"
            f" {previous or 'the defaults'}",
            fix="propose them again: who signs should see what they take the place of",
        )
    (entry,) = env.ledger.append([envelope])
    return replace(env.ledger.by_digest(envelope.digest), entry=entry)
