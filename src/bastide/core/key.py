# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Names of keys, never keys."""

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from bastide.core.errors import Misconfigured


class Scheme(StrEnum):
    """How signatures of a key are made.

    `ED25519` signs the DSSE pre-authentication bytes directly; `SSHSIG` signs them in an
    OpenSSH signature (PROTOCOL.sshsig) under the namespace ``approval@bastide.eu``.
    `ECDSA_P256` signs model-signing bundles, because their public verifier reads no other kind
    of key, and such a key's own enrolment.
    """

    ED25519 = "ed25519"
    SSHSIG = "sshsig"
    ECDSA_P256 = "ecdsa-p256"


# What a party may sign with. Each is checked by public tools of its own.
PARTY_SCHEMES = frozenset({Scheme.SSHSIG})


class Purpose(StrEnum):
    """What a key is for. One key never serves two purposes."""

    LEDGER = "ledger"  # signs checkpoints
    EVIDENCE = "evidence"  # signs what the services state
    RELEASE = "release"  # signs releases
    MODEL_SIGNING = "model-signing"  # signs OpenSSF model-signing bundles; NIST P-256
    PARTY = "party"  # approvals; held by people, never by the server
    STORE = "store"  # age identity that opens sealed objects
    DATABASE = "database"  # seals every page of the database
    PEPPER = "pepper"  # keys the HMAC under which API keys are stored
    TLS_CA = "tls-ca"  # signs the gateway's own server certificates; NIST P-256


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A public key with its purpose, and its party if it has one.

    `raw` is the Ed25519 key (32 bytes) or the uncompressed P-256 point (65 bytes).
    """

    raw: bytes
    purpose: Purpose
    scheme: Scheme = Scheme.ED25519
    party: str | None = None

    @property
    def ident(self) -> str:
        """``SHA256:<unpadded base64>`` of the OpenSSH wire form, as ``ssh-keygen -l`` prints."""
        kind: tuple[bytes, ...] = (b"ssh-ed25519",)
        if self.scheme is Scheme.ECDSA_P256:
            kind = (b"ecdsa-sha2-nistp256", b"nistp256")
        wire = b"".join(len(field).to_bytes(4) + field for field in (*kind, self.raw))
        digest = base64.b64encode(hashlib.sha256(wire).digest()).decode()
        return "SHA256:" + digest.rstrip("=")

    def to_json(self) -> dict[str, Any]:
        """The key as plain JSON values."""
        row: dict[str, Any] = {
            "id": self.ident,
            "public": base64.b64encode(self.raw).decode(),
            "purpose": self.purpose.value,
            "scheme": self.scheme.value,
        }
        if self.party is not None:
            row["party"] = self.party
        return row

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> "PublicKey":
        """Read what `to_json` wrote. Raises Misconfigured if the id does not fit the key."""
        try:
            raw = base64.b64decode(row["public"], validate=True)
            key = cls(raw, Purpose(row["purpose"]), Scheme(row["scheme"]), row.get("party"))
            length = 65 if key.scheme is Scheme.ECDSA_P256 else 32
            matches = key.ident == row["id"] and len(raw) == length
        except (KeyError, ValueError, TypeError) as error:
            raise Misconfigured(f"not a public key: {error!r}") from error
        if not matches:
            raise Misconfigured(f"the key {row['id']} does not match its public bytes")
        return key
