# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""A FIDO2 authenticator in software, and the browser or OpenSSH around it, for tests.

The bytes of WebAuthn are made by python-fido2, which knows nothing of Bastide. Those of OpenSSH's
FIDO keys are made here after PROTOCOL.u2f, and `ssh-keygen -Y verify` is asked about them.
"""

import base64
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from fido2.webauthn import AuthenticatorData, CollectedClientData

from bastide.core.key import Fido, PublicKey, Purpose, Scheme
from bastide.core.party import Party
from bastide.crypto.signer import Signer

ORIGIN, SITE, SSH = "http://localhost:8475", "localhost", "ssh:"
SPACE = b"approval@bastide.eu"
PRESENT, VERIFIED = AuthenticatorData.FLAG.UP, AuthenticatorData.FLAG.UV

Private = Ed25519PrivateKey | ec.EllipticCurvePrivateKey


def private_key(seed: str, curve: str) -> Private:
    """A private key from a seed: `ed25519` or `p256`."""
    secret = hashlib.sha256(seed.encode()).digest()
    if curve == "ed25519":
        return Ed25519PrivateKey.from_private_bytes(secret)
    return ec.derive_private_key(int.from_bytes(secret), ec.SECP256R1())


def raw_sign(key: Private, message: bytes) -> bytes:
    if isinstance(key, Ed25519PrivateKey):
        return key.sign(message)
    return key.sign(message, ec.ECDSA(hashes.SHA256(), deterministic_signing=True))


def raw_public(key: Private) -> bytes:
    if isinstance(key, Ed25519PrivateKey):
        return key.public_key().public_bytes_raw()
    return key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


@dataclass
class Passkey:
    """A credential. Its fields may be changed to make what an honest one would not."""

    seed: str
    curve: str = "p256"
    flags: Any = PRESENT | VERIFIED
    site: str = SITE
    origin: str = ORIGIN
    kind: str = "webauthn.get"
    counter: int = 0
    extensions: Any = None
    challenge: Callable[[bytes], bytes] = lambda message: hashlib.sha256(message).digest()
    client: Any = None  # more members of clientDataJSON

    @property
    def credential(self) -> bytes:
        return hashlib.sha256(b"credential" + self.seed.encode()).digest()[:16]

    def public(self, party: Party) -> PublicKey:
        bound = Fido(SITE, ORIGIN, self.credential)
        raw = raw_public(private_key(self.seed, self.curve))
        return PublicKey(raw, Purpose.PARTY, Scheme.WEBAUTHN, party.value, bound)

    def answer(self, challenge: bytes) -> dict[str, bytes]:
        """What `navigator.credentials.get` gives for a challenge."""
        site = hashlib.sha256(self.site.encode()).digest()
        data = AuthenticatorData.create(site, self.flags, self.counter, extensions=self.extensions)
        client = CollectedClientData.create(
            self.kind, challenge, self.origin, **(self.client or {})
        )
        signature = raw_sign(private_key(self.seed, self.curve), data + client.hash)
        return {"authenticatorData": data, "clientDataJSON": client, "signature": signature}

    def sign(self, message: bytes) -> bytes:
        """The bytes for an envelope, as the specification of webauthn.py says, by hand."""
        rows = self.answer(self.challenge(message)).items()
        return b"{" + b",".join(b'"%s":"%s"' % (k.encode(), _b64(v)) for k, v in rows) + b"}"

    def signer(self, party: Party) -> Signer:
        return Signer(self.public(party), self.sign)


@dataclass
class Token:
    """An OpenSSH key in an authenticator (`ssh-keygen -t ed25519-sk -O verify-required`)."""

    seed: str
    curve: str = "ed25519"
    flags: int = 0x05
    application: str = SSH
    counter: int = 7
    space: bytes = SPACE

    def public(self, party: Party) -> PublicKey:
        raw = raw_public(private_key(self.seed, self.curve))
        return PublicKey(raw, Purpose.PARTY, Scheme.SSHSIG, party.value, Fido(SSH))

    def sign(self, message: bytes) -> bytes:
        """The binary SSHSIG blob over a message."""
        reserved = _string(self.space) + _string(b"") + _string(b"sha512")
        signed = b"SSHSIG" + reserved + _string(hashlib.sha512(message).digest())
        tail = bytes([self.flags]) + self.counter.to_bytes(4)
        site = hashlib.sha256(self.application.encode()).digest()
        key = private_key(self.seed, self.curve)
        signature = raw_sign(key, site + tail + hashlib.sha256(signed).digest())
        kind = b"sk-ssh-ed25519@openssh.com"
        if self.curve == "p256":
            kind = b"sk-ecdsa-sha2-nistp256@openssh.com"
            r, s = decode_dss_signature(signature)
            signature = _mpint(r) + _mpint(s)
        wire = _string(kind) + _string(signature) + tail
        head = b"SSHSIG" + (1).to_bytes(4) + _string(self.public(Party.FIRM).wire)
        return head + reserved + _string(wire)

    def public_line(self) -> str:
        """The key as `ssh-keygen` writes it to a `.pub` file."""
        wire = self.public(Party.FIRM).wire
        kind = wire[4 : 4 + int.from_bytes(wire[:4])].decode()
        return f"{kind} {base64.b64encode(wire).decode()}"

    def signer(self, party: Party) -> Signer:
        return Signer(self.public(party), self.sign)


def hsm_signer(seed: str, party: Party) -> Signer:
    """A party's plain P-256 key, as an HSM holds it."""
    key = private_key(seed, "p256")
    public = PublicKey(raw_public(key), Purpose.PARTY, Scheme.ECDSA_P256, party.value)
    return Signer(public, lambda message: raw_sign(key, message))


def _b64(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def _string(data: bytes) -> bytes:
    return len(data).to_bytes(4) + data


def _mpint(number: int) -> bytes:
    return _string(number.to_bytes(number.bit_length() // 8 + 1))
