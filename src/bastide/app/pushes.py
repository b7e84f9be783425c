# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Whom releases were sealed to beside the store's own keys: the firm signs each, in the ledger.

The statement is there before a header is made. It names the recipient's digest only; whoever has
the recipient finds it.
"""

from collections.abc import Iterator
from typing import Any

from bastide.app.deciding import acting, carry, decide, draft, read_signed_draft
from bastide.app.duties import require
from bastide.app.environment import Environment
from bastide.app.releases import find_candidate, find_published
from bastide.core.errors import BastideError, NotProven, Refused
from bastide.core.evidence import Evidence
from bastide.core.revocation import Revocable
from bastide.core.subject import Digest, Subject
from bastide.crypto import age
from bastide.crypto.dsse import Envelope
from bastide.ledger import Ledger, statements
from bastide.ledger.decided import Decisions

__all__ = ["KIND", "allow_push", "draft_push", "list_pushes", "pushes", "recipient_digest"]

KIND = "release-push/v1"


def recipient_digest(recipient: str) -> Digest:
    """What the ledger calls a recipient. Raises Misconfigured if it is none."""
    return Digest.of(str(age.parse_recipient(recipient)).encode())


def allow_push(
    env: Environment, name: str, recipient: str, reason: str, signed: str | None = None
) -> Evidence:
    """The statement that a release may leave for a recipient: the one that counts, or a new one.

    signed: a statement that the firm signed elsewhere. Raises NotAllowed without the firm's key or
    statement, NotProven for a statement about something else, Refused for a revoked release.
    """
    carried = None if signed is None else read_signed_draft(env, signed, KIND)
    require(acting(env, None if carried is None else carried[0]), "release-push", name)
    subject, said = _told(env, name, recipient, reason)
    about = (subject, said["recipient"])
    if carried and (carried[1].subjects[0], carried[1].body["recipient"]) != about:
        raise NotProven(
            "the statement is about another release or recipient",
            fix="give the one that was written for this push",
        )
    for row in pushes(env.ledger, subject.digest):
        if row.body["recipient"] == said["recipient"]:
            if carried is None:  # nothing is signed below, so a given key proves itself here
                require(env, "release-push", name)
            return row
    if carried is None:
        return decide(env, KIND, subject, said)
    return carry(env, carried[0])


def draft_push(env: Environment, name: str, recipient: str, reason: str) -> Envelope:
    """The statement that the firm signs elsewhere. Raises NotFound, Refused, Misconfigured."""
    require(env, "read")
    return Envelope(draft(env, KIND, *_told(env, name, recipient, reason), None).payload(), ())


def pushes(
    ledger: Ledger, release: Digest | None = None, *, past: bool = False
) -> Iterator[Evidence]:
    """The statements that count, oldest first; of one release only if its digest is given.

    past: also those that count no more, since a key or a party was revoked: what they let out is
    out. Raises NotProven for one that was not signed as the ledger demands.
    """
    register, decisions = ledger.register(), Decisions(ledger.policy())
    for row in ledger.find(KIND, subject=release):
        entry = row.entry or 0
        try:
            statements.read_signed(ledger.envelope(entry), register.signing(entry))
            decisions.verify(row, register.known())
        except BastideError as error:
            raise NotProven(f"the push of entry {entry}: {error.message}") from error
        if past or register.counts(row):
            yield row


def list_pushes(env: Environment, name: str) -> list[dict[str, Any]]:
    """Whom a release was pushed to. Raises NotFound, NotProven."""
    require(env, "read")
    return [
        {name: row.body[name] for name in ("recipient", "reason", "time_ms")} | {"entry": row.entry}
        for row in pushes(env.ledger, find_candidate(env, name).subject.digest, past=True)
    ]


def _told(
    env: Environment, name: str, recipient: str, reason: str
) -> tuple[Subject, dict[str, Any]]:
    subject = find_published(env, name).release.subject
    if revoked := env.ledger.revocations().reasons(Revocable.RELEASE, subject.digest):
        raise Refused(f"{subject.name} goes nowhere any more", reasons=revoked)
    return subject, {"recipient": str(recipient_digest(recipient)), "reason": reason}
