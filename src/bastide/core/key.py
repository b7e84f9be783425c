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

_POINT_BYTES = 65  # an uncompressed point of P-256 (SEC 1, 2.3.3)
# Ed25519 points of small order, in all their encodings but for the sign bit (libsodium's list,
# ge25519_has_small_order). Under such a key anybody makes signatures that hold.
_WEAK = frozenset(
    bytes.fromhex(head) + bytes.fromhex(filling) * (31 - len(head) // 2) + bytes.fromhex(last)
    for head, filling, last in (
        ("00", "00", "00"),
        ("01", "00", "00"),
        ("ec", "ff", "7f"),
        ("ed", "ff", "7f"),
        ("ee", "ff", "7f"),
        ("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc", "", "05"),
        ("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03", "", "7a"),
    )
)


def is_weak(raw: bytes) -> bool:
    """True for 32 bytes of an Ed25519 key under which signatures hold that nobody made."""
    return len(raw) == 32 and raw[:31] + bytes((raw[31] & 0x7F,)) in _WEAK


class Scheme(StrEnum):
    """How signatures of a key are made.

    `ED25519` signs the DSSE pre-authentication bytes directly; `SSHSIG` signs them in an
    OpenSSH signature (PROTOCOL.sshsig) under the namespace ``approval@bastide.eu``.
    `ECDSA_P256` signs them in DER: model-signing bundles, because their public verifier reads no
    other kind of key, and what a party's key in an HSM signs. `WEBAUTHN` signs their SHA-256 as
    the challenge of a WebAuthn assertion (a passkey, or a FIDO2 device in a browser).
    """

    ED25519 = "ed25519"
    SSHSIG = "sshsig"
    ECDSA_P256 = "ecdsa-p256"
    WEBAUTHN = "webauthn"


# What a party may sign with. Each is checked by public tools of its own.
PARTY_SCHEMES = frozenset({Scheme.SSHSIG, Scheme.ECDSA_P256, Scheme.WEBAUTHN})


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
class Fido:
    """What a key in a FIDO2 authenticator is bound to, and signs for nothing else.

    application: OpenSSH's application (``ssh:``), or a passkey's relying party id.
    origin, credential: a passkey's: the page that asks for signatures, and its id.
    """

    application: str
    origin: str | None = None
    credential: bytes | None = None

    def to_json(self) -> dict[str, str]:
        """The binding as plain JSON values."""
        row = {"application": self.application}
        if self.origin is not None and self.credential is not None:
            row["origin"] = self.origin
            row["credential"] = base64.b64encode(self.credential).decode()
        return row

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> "Fido":
        """Read what `to_json` wrote. Raises ValueError, KeyError or TypeError."""
        if set(row) == {"application"}:
            made = cls(row["application"])
        else:
            credential = base64.b64decode(row["credential"], validate=True)
            made = cls(row["application"], row["origin"], credential)
        if made.to_json() != row or not all(isinstance(text, str) for text in row.values()):
            raise ValueError("not a binding of a FIDO key")
        return made


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A public key with its purpose, and its party if it has one.

    `raw` is the Ed25519 key (32 bytes) or the uncompressed P-256 point (65 bytes). `fido` is there
    if an authenticator holds the private key.
    """

    raw: bytes
    purpose: Purpose
    scheme: Scheme = Scheme.ED25519
    party: str | None = None
    fido: Fido | None = None

    @property
    def wire(self) -> bytes:
        """The OpenSSH wire form (RFC 4253, RFC 5656; PROTOCOL.u2f for FIDO keys)."""
        fields = [b"nistp256", self.raw] if len(self.raw) == _POINT_BYTES else [self.raw]
        kind = b"ecdsa-sha2-nistp256" if len(fields) > 1 else b"ssh-ed25519"
        if self.fido is not None:
            kind = b"sk-" + kind + b"@openssh.com"
            fields.append(self.fido.application.encode())
        return b"".join(len(field).to_bytes(4) + field for field in (kind, *fields))

    @property
    def ident(self) -> str:
        """``SHA256:<unpadded base64>`` of the OpenSSH wire form, as ``ssh-keygen -l`` prints."""
        digest = base64.b64encode(hashlib.sha256(self.wire).digest()).decode()
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
        if self.fido is not None:
            row["fido"] = self.fido.to_json()
        return row

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> "PublicKey":
        """Read what `to_json` wrote. Raises Misconfigured if the id does not fit the key."""
        try:
            raw = base64.b64decode(row["public"], validate=True)
            fido = Fido.from_json(row["fido"]) if "fido" in row else None
            scheme = Scheme(row["scheme"])
            key = cls(raw, Purpose(row["purpose"]), scheme, row.get("party"), fido)
            matches = key.ident == row["id"] and key._is_whole()
        except (KeyError, ValueError, TypeError, AttributeError) as error:
            raise Misconfigured(f"not a public key: {error!r}") from error
        if not matches:
            raise Misconfigured(f"the key {row['id']} does not match its public bytes")
        if is_weak(raw):
            raise Misconfigured(f"the key {row['id']} is none: anybody could sign with it")
        return key

    def _is_whole(self) -> bool:
        """True if the length of a key and its binding are those of its scheme."""
        length, fido = len(self.raw), self.fido
        if self.scheme is Scheme.WEBAUTHN:
            return length in (32, _POINT_BYTES) and fido is not None and fido.origin is not None
        if self.scheme is Scheme.SSHSIG and fido is not None:
            return length in (32, _POINT_BYTES) and fido.origin is None
        return length == (_POINT_BYTES if self.scheme is Scheme.ECDSA_P256 else 32) and not fido
