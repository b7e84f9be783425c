# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Use cases about parties' keys that come later, and about statements that travel to be signed.

An enrolment is a file. The new key signs it, and keys of two parties do, each on a machine of its
own; then the ledger takes it. A key that no program of ours can use (in an HSM, on a machine
without Bastide) signs the bytes that `bytes_to_sign` gives, and its signature is attached.
"""

import json
from collections.abc import Mapping
from typing import Any

from bastide.app.environment import Environment
from bastide.core.canonical import canonical
from bastide.core.errors import Misconfigured, NotProven
from bastide.core.evidence import PAYLOAD_TYPE, Evidence, Statement
from bastide.core.key import PublicKey
from bastide.core.party import Party
from bastide.core.register import KEY_KINDS, KeyState, Register
from bastide.core.subject import Digest, Subject
from bastide.crypto import dsse, sshsig
from bastide.crypto.dsse import Envelope, Signer
from bastide.ledger import statements
from bastide.ports import Clock

__all__ = [
    "add_signature",
    "attach",
    "bytes_to_sign",
    "enrolment",
    "key_statements",
    "key_subject",
    "parties_that_signed",
    "read_draft",
    "register_of",
]


def enrolment(
    key: PublicKey,
    holder: str,
    replaces: str | None,
    reason: str,
    clock: Clock,
    compromised: bool = False,
    trusted_before: int | None = None,
) -> Envelope:
    """The statement that makes a key count, with no signature yet. `holder`: an office or device.

    replaces: id of the key that it takes the place of, which is deactivated then, or `compromised`
    and trusted only before an entry.
    """
    gone = None
    if replaces is not None:
        state = KeyState.COMPROMISED if compromised else KeyState.DEACTIVATED
        gone = {"key": replaces, "state": state.value, "trusted_before": trusted_before}
    body = {
        "key": key.to_json(),
        "holder": holder,
        "state": KeyState.ACTIVE.value,
        "replaces": gone,
        "reason": reason,
        "time_ms": clock.now_ms(),
    }
    return Envelope(Statement("key-enrolment/v1", (key_subject(key.ident),), body).payload(), ())


def key_subject(ident: str) -> Subject:
    """The subject of every statement about a signing key."""
    return Subject(ident, Digest.of(canonical({"signing-key": ident})))


def read_draft(text: str) -> tuple[Envelope, Statement]:
    """A statement that travels, and what it says. Raises Misconfigured."""
    try:
        envelope = Envelope.from_json(json.loads(text))
        statement = Statement.from_json(json.loads(envelope.payload))
    except (ValueError, RecursionError) as error:
        raise Misconfigured(f"not a statement to sign: {error}") from error
    if statement.payload() != envelope.payload:
        raise Misconfigured("the statement is not canonical JSON (RFC 8785)")
    return envelope, statement


def add_signature(envelope: Envelope, signer: Signer) -> Envelope:
    """The statement with one signature more."""
    made = dsse.sign(envelope.payload, [signer])
    return attach(envelope, *made.signatures[0])


def parties_that_signed(env: Environment, envelope: Envelope) -> frozenset[Party]:
    """Whose keys signed. Raises NotProven for a signature that does not hold."""
    keys = env.ledger.keys()
    if envelope.signatures:
        dsse.verify_envelope(envelope, keys)
    parties = (keys[ident].party for ident, _ in envelope.signatures)
    return frozenset(Party(party) for party in parties if party)


def bytes_to_sign(envelope: Envelope) -> bytes:
    """What a key signs: the DSSE pre-authentication encoding."""
    return dsse.pae(PAYLOAD_TYPE, envelope.payload)


def attach(envelope: Envelope, ident: str, signature: bytes) -> Envelope:
    """The statement with a signature that was made elsewhere: ECDSA in DER, or an OpenSSH one.

    Raises NotProven if that key's signature is there already. The ledger checks what it is.
    """
    if signature.startswith(b"-----BEGIN SSH SIGNATURE"):
        signature = sshsig.dearmor(signature.decode("ascii", "replace"))
    if ident in dict(envelope.signatures):
        raise NotProven(f"the key {ident} has signed this already")
    return Envelope(envelope.payload, (*envelope.signatures, (ident, signature)))


def key_statements(env: Environment) -> list[dict[str, Any]]:
    """All key statements with their entries, for who checks a request offline."""
    rows = [row for kind in KEY_KINDS for row in env.ledger.find(kind)]
    return [
        {"entry": entry, "envelope": env.ledger.envelope(entry).to_json()}
        for entry in sorted(row.entry or 0 for row in rows)
    ]


def register_of(charter: Evidence, rows: list[Mapping[str, Any]]) -> Register:
    """The register of a request: its charter's, and what its key statements made of it.

    Raises NotProven or Refused for a statement that the ledger could not have taken.
    """
    register, last = statements.read_register(charter), 0
    for row in rows:
        if type(row["entry"]) is not int or row["entry"] <= last:
            raise NotProven("the request's key statements are not in order")
        last = row["entry"]
        register = statements.learn(register, Envelope.from_json(row["envelope"]), last)
    return register
