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
    """

    ED25519 = "ed25519"
    SSHSIG = "sshsig"


class Purpose(StrEnum):
    """What a key is for. One key never serves two purposes."""

    LEDGER = "ledger"  # signs checkpoints
    EVIDENCE = "evidence"  # signs what the services state
    RELEASE = "release"  # signs releases and model-signing bundles
    PARTY = "party"  # approvals; held by people, never by the server
    STORE = "store"  # age identity that opens sealed objects
    DATABASE = "database"  # seals every page of the database
    PEPPER = "pepper"  # keys the HMAC under which API keys are stored


@dataclass(frozen=True, slots=True)
class PublicKey:
    """An Ed25519 public key (32 bytes) with its purpose, and its party if it has one."""

    raw: bytes
    purpose: Purpose
    scheme: Scheme = Scheme.ED25519
    party: str | None = None

    @property
    def ident(self) -> str:
        """``SHA256:<unpadded base64>`` of the OpenSSH wire form, as ``ssh-keygen -l`` prints."""
        kind = b"ssh-ed25519"
        wire = len(kind).to_bytes(4) + kind + len(self.raw).to_bytes(4) + self.raw
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
            matches = key.ident == row["id"] and len(raw) == 32
        except (KeyError, ValueError, TypeError) as error:
            raise Misconfigured(f"not a public key: {error!r}") from error
        if not matches:
            raise Misconfigured(f"the key {row['id']} does not match its public bytes")
        return key
