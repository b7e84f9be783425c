# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Use cases about attested nodes: reference values, who is allowed, which quotes are in force."""

import json
from collections.abc import Mapping
from typing import Any

from bastide.app.duties import require
from bastide.app.enrolment import read_draft
from bastide.app.environment import Environment
from bastide.core.canonical import canonical
from bastide.core.errors import Misconfigured, NotAllowed, NotFound, NotProven
from bastide.core.evidence import Evidence, Statement
from bastide.core.party import Party
from bastide.core.reference import Reference
from bastide.core.revocation import Revocable
from bastide.core.subject import Digest, Subject
from bastide.crypto import dsse
from bastide.crypto.attestation import verify_evidence
from bastide.crypto.dsse import Envelope, Signer
from bastide.ledger import Ledger
from bastide.ledger.reference_values import reference_values
from bastide.ports import Clock

__all__ = [
    "find_node",
    "import_reference",
    "in_force",
    "list_nodes",
    "node_subject",
    "read_reference",
    "reasons_against",
    "reference",
    "revoked",
    "show_node",
    "sign_reference",
    "sign_reference_here",
    "verify_attested",
]


def reasons_against(ledger: Ledger, body: Mapping[str, Any], row: Evidence) -> list[str]:
    """Every reason of one statement of reference values, and of revocations, against a node."""
    found = Reference.from_json(row.body).judge(body)
    return [*revoked(ledger, body), *found]


def revoked(ledger: Ledger, body: Mapping[str, Any]) -> list[str]:
    """Why the machine of a node was revoked; empty if it was not."""
    return ledger.revocations().reasons(Revocable.NODE, node_subject(body).digest)


def node_subject(body: Mapping[str, Any]) -> Subject:
    """The subject of a `node/v1`: the machine, by its hardware's own key."""
    identity = body["attestation"]["identity"]
    return Subject(body["node"], Digest.of(canonical({"node": identity})))


def in_force(ledger: Ledger, now_ms: int) -> dict[tuple[str, int], Evidence]:
    """The newest `node/v1` of each deployment and replica, if it may be relied on now.

    Not if it has expired, if its machine was revoked, or if the reference values of now are others
    and do not allow it.
    """
    newest = {(row.body["deployment"], row.body["replica"]): row for row in ledger.find("node/v1")}
    known = reference_values(ledger)
    return {key: row for key, row in newest.items() if not _standing(ledger, row, known, now_ms)}


def verify_attested(ledger: Ledger, body: Mapping[str, Any], now_ms: int) -> None:
    """Check that a load names the statement of a node in force. Raises NotProven."""
    rows = in_force(ledger, now_ms).values()
    named = [row for row in rows if str(row.digest) == body.get("attestation")]
    if not named or named[0].body["deployment"] != body.get("deployment"):
        raise NotProven(f"the runner's attestation {body.get('attestation')} is not in force")


def _standing(
    ledger: Ledger, row: Evidence, known: Mapping[str, Evidence], now_ms: int
) -> list[str]:
    """Why a node's statement may not be relied on; empty if it may."""
    body = row.body
    if body["expires_ms"] <= now_ms:
        return ["its quote has expired"]
    try:
        name = ledger.by_digest(Digest.parse(body["attestation"]["reference"])).body["name"]
    except NotFound as error:
        return [error.message]
    if name not in known:
        return [f"the reference values {name} count no more"]
    return reasons_against(ledger, body, known[name])


def find_node(ledger: Ledger, name: str) -> Evidence:
    """The newest statement of a node, by its name, or by the digest of its machine or statement.

    Raises NotFound.
    """
    for row in reversed(ledger.find("node/v1")):
        if name in (row.body["node"], str(row.subject.digest), str(row.digest)):
            return row
    raise NotFound(f"no node {name!r} has ever joined", fix="bastide node ls")


# Reference values


def list_nodes(env: Environment) -> list[Evidence]:
    """The statements in force: one for each deployment and replica."""
    require(env, "read")
    return list(in_force(env.ledger, env.clock.now_ms()).values())


def show_node(env: Environment, name: str) -> tuple[Evidence, bool]:
    """The newest statement of a node, and whether it is in force; its quote is checked again.

    Raises NotFound, NotProven.
    """
    require(env, "read")
    row = find_node(env.ledger, name)
    verify_evidence(row.body)
    standing = in_force(env.ledger, env.clock.now_ms()).values()
    return row, row.digest in {one.digest for one in standing}


def read_reference(text: str) -> Reference:
    """Reference values from a file of JSON. Raises Misconfigured."""
    try:
        return Reference.from_json(json.loads(text))
    except (ValueError, RecursionError) as error:
        raise Misconfigured(f"the reference values are not JSON: {error}") from error


def reference(values: Reference, clock: Clock) -> Statement:
    """The statement whose signature lets nodes in that measure these values."""
    subject = Subject(values.name, Digest.of(canonical({"node-reference": values.name})))
    return Statement(
        "node-reference/v1", (subject,), values.to_json() | {"time_ms": clock.now_ms()}
    )


def sign_reference(statement: Statement, signer: Signer) -> Envelope:
    """Sign on a machine of the guardian's own. The ledger takes no other party's signature."""
    return dsse.sign(statement.payload(), [signer])


def sign_reference_here(env: Environment, statement: Statement, signer: Signer | None) -> Evidence:
    """Sign with the guardian's key, or under `solo` with the one that is held, and append.

    Raises NotAllowed if it is not at hand.
    """
    require(env, "node-reference")
    held = env.parties_at_hand(signer).get(Party.GUARDIAN)
    if held is None:
        raise NotAllowed(
            "reference values are signed by the guardian", fix="give its key: --key FILE"
        )
    return _append(env.ledger, sign_reference(statement, held))


def import_reference(env: Environment, text: str) -> Evidence:
    """Append reference values that were signed elsewhere. Raises Misconfigured or NotProven."""
    require(env, "node-reference")
    envelope, statement = read_draft(text)
    if statement.kind != "node-reference/v1":
        raise Misconfigured(f"not reference values but {statement.kind}")
    return _append(env.ledger, envelope)


def _append(ledger: Ledger, envelope: Envelope) -> Evidence:
    ledger.append([envelope])
    return ledger.by_digest(envelope.digest)
