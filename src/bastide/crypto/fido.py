# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What a FIDO2 authenticator signs (W3C WebAuthn Level 3, section 6.1), from a browser or OpenSSH.

Rules:
* The authenticator data begin with the SHA-256 of what the key is bound to.
* The person was present and was verified (PIN, finger, face) for this one signature: who finds the
  device signs nothing.
* ES256 and Ed25519; nothing else.
"""

import hashlib
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from bastide.core.errors import NotProven
from bastide.core.key import PublicKey

__all__ = ["HEAD_BYTES", "counter_of", "verify_assertion"]

HEAD_BYTES: Final = 37  # SHA-256, flags, counter
PRESENT: Final = 0x01
VERIFIED: Final = 0x04
_ATTESTED, _EXTENDED = 0x40, 0x80


def verify_assertion(key: PublicKey, data: bytes, client_hash: bytes, signature: bytes) -> None:
    """Check a signature over authenticator data and the hash of what was asked for.

    `signature` is DER (P-256) or 64 bytes (Ed25519). Raises NotProven, saying what is missing.
    """
    assert key.fido is not None
    bound = hashlib.sha256(key.fido.application.encode()).digest()
    if len(data) < HEAD_BYTES or data[:32] != bound:
        raise NotProven(f"the signature of {key.ident} is not for {key.fido.application!r}")
    flags = data[32]
    if not flags & PRESENT:
        raise NotProven(f"the authenticator of {key.ident} saw nobody present")
    if not flags & VERIFIED:
        raise NotProven(
            f"the authenticator of {key.ident} did not verify its user",
            fix="sign with PIN, finger or face; OpenSSH keys: ssh-keygen -O verify-required",
        )
    if flags & _ATTESTED or bool(flags & _EXTENDED) != (len(data) > HEAD_BYTES):
        raise NotProven(f"the authenticator data of {key.ident} are not those of a signature")
    try:
        if len(key.raw) == 32:
            Ed25519PublicKey.from_public_bytes(key.raw).verify(signature, data + client_hash)
            return
        point = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), key.raw)
        point.verify(signature, data + client_hash, ec.ECDSA(hashes.SHA256()))
    except (InvalidSignature, ValueError) as error:
        raise NotProven(f"the signature of {key.ident} does not hold") from error


def counter_of(data: bytes) -> int:
    """The signature counter in authenticator data; 0 from an authenticator that keeps none."""
    return int.from_bytes(data[33:HEAD_BYTES])
