# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""A small founded ledger for tests: keys, charter, sealed database, ledger.

`make_ledger(tmp_path)` is the way in. Keys are derived from fixed seeds, so that the same test
gives the same bytes.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Engine

from bastide.adapters.clock.fixed import FixedClock
from bastide.adapters.records.sql import open_records
from bastide.core.canonical import canonical
from bastide.core.evidence import Statement
from bastide.core.key import PublicKey, Purpose, Scheme
from bastide.core.party import Party
from bastide.core.subject import Digest, Subject
from bastide.crypto import dsse, p256
from bastide.crypto.dsse import Envelope, Signer
from bastide.ledger import Ledger

ORIGIN = "test.bastide.local/ledger"
DATABASE_KEY = hashlib.sha256(b"database").digest()
POLICY: dict[str, Any] = {
    "name": "test",
    "separate": False,
    "rules": {
        "admit": {
            "gates": {"format-safe": {}, "scan-clean": {}, "origin-stated": {}},
            "approvals": {},
        },
        "evaluate": {"gates": {"scan-clean": {}}, "approvals": {}},
        "release": {
            "gates": {
                "format-safe": {},
                "scan-clean": {},
                "origin-stated": {},
                "eval-floor": {"floors": {}},
                "approvals": {},
            },
            "approvals": {"firm": 1, "guardian": 1},
        },
        "deploy": {"gates": {"approvals": {}}, "approvals": {"operator": 1}},
    },
}


@dataclass
class World:
    """A founded environment: `signers` by purpose, `parties` by party."""

    path: Path
    records: Engine
    ledger: Ledger
    signers: dict[Purpose, Signer]
    parties: dict[Party, Signer]
    clock: FixedClock
    charter: Envelope
    extra: dict[str, Any] = field(default_factory=dict)

    def state(self, statement: Statement) -> Envelope:
        """Sign a statement with the evidence key."""
        return dsse.sign(statement.payload(), [self.signers[Purpose.EVIDENCE]])

    def reopen(self) -> Ledger:
        """The ledger as another process sees it."""
        records = open_records(self.path, DATABASE_KEY)
        return Ledger(records, self.signers[Purpose.LEDGER], self.clock)


def make_signer(
    seed: str,
    purpose: Purpose,
    scheme: Scheme = Scheme.ED25519,
    party: Party | None = None,
) -> Signer:
    """A signer whose Ed25519 key is derived from a seed."""
    key = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(seed.encode()).digest())
    raw = key.public_key().public_bytes_raw()
    name = party.value if party else None
    return Signer(PublicKey(raw, purpose, scheme, name), _signing(key))


def make_signers() -> dict[Purpose, Signer]:
    """The services' signers."""
    plain = (Purpose.LEDGER, Purpose.EVIDENCE, Purpose.RELEASE)
    signers = {purpose: make_signer(purpose.value, purpose) for purpose in plain}
    secret = p256.secret_from(hashlib.sha512(b"model-signing").digest())
    signers[Purpose.MODEL_SIGNING] = p256.signer_of(secret)
    return signers


def make_parties() -> dict[Party, Signer]:
    """The parties' signers."""
    return {
        party: make_signer("party/" + party.value, Purpose.PARTY, Scheme.SSHSIG, party)
        for party in Party
    }


def charter_body(
    signers: dict[Purpose, Signer], parties: dict[Party, Signer], time_ms: int, **changes: Any
) -> dict[str, Any]:
    """The body of a charter that enrols all signers."""
    publics = [signer.public for signer in (*signers.values(), *parties.values())]
    body = {
        "environment": ORIGIN,
        "origin": ORIGIN,
        "time_ms": time_ms,
        "policy": POLICY,
        "keys": [public.to_json() for public in publics],
        "exit_recipients": [],
    }
    return {**body, **changes}


def charter_statement(body: dict[str, Any]) -> Statement:
    """The statement of a charter."""
    subject = Subject(body["environment"], Digest.of(canonical(body)))
    return Statement("charter/v1", (subject,), body)


def make_ledger(
    tmp_path: Path,
    name: str = "ledger.db",
    given: Mapping[Party, Signer] | None = None,
    **changes: Any,
) -> World:
    """Found a ledger in `tmp_path`; `given` are parties' own keys, and `changes` replace fields of
    the charter's body.
    """
    signers, clock = make_signers(), FixedClock()
    parties = {**make_parties(), **(given or {})}
    body = charter_body(signers, parties, clock.now_ms(), **changes)
    by = [*parties.values(), signers[Purpose.EVIDENCE]]
    charter = dsse.sign(charter_statement(body).payload(), by)
    path = tmp_path / name
    records = open_records(path, DATABASE_KEY)
    ledger = Ledger(records, signers[Purpose.LEDGER], clock)
    ledger.append([charter])
    return World(path, records, ledger, signers, parties, clock, charter)


def refusal(number: int | str, time_ms: int = 1_700_000_000_000) -> Statement:
    """A small statement, different for each number."""
    subject = Subject(f"model-{number}", Digest.of(str(number).encode()))
    return Statement(
        "refusal/v1", (subject,), {"stage": "admit", "reasons": ["test"], "time_ms": time_ms}
    )


def tenant(name: str) -> Statement:
    """The enrolment of a tenant."""
    subject = Subject(name, Digest.of(canonical({"tenant": name})))
    return Statement("tenant/v1", (subject,), {"tenant": name, "time_ms": 1_700_000_000_000})


def _signing(key: Ed25519PrivateKey) -> Callable[[bytes], bytes]:
    return lambda message: key.sign(message)
