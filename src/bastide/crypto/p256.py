# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""ECDSA over NIST P-256 with SHA-256: model-signing bundles, and keys that an HSM holds.

Signatures are DER and deterministic (RFC 6979): the same bundle signed twice is the same file.
"""

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from bastide.core.errors import Misconfigured, NotProven
from bastide.core.key import PublicKey, Purpose, Scheme
from bastide.crypto.signer import Signer

__all__ = ["public_pem", "secret_from", "signer_of", "verify_signature"]

_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551  # SP 800-186, 3.2.1.3
_RANDOM_BYTES_MIN = 40  # FIPS 186-5, A.2.1: 64 bits more than the order, so that nothing is biased


def secret_from(random: bytes) -> bytes:
    """Turn random bytes (48 are right) into a private scalar (32 bytes)."""
    if len(random) < _RANDOM_BYTES_MIN:
        raise Misconfigured(f"a P-256 key is made from {_RANDOM_BYTES_MIN} random bytes or more")
    return (int.from_bytes(random) % (_ORDER - 1) + 1).to_bytes(32)


def signer_of(secret: bytes) -> Signer:
    """The model-signing signer of a private scalar. Raises Misconfigured if it is none."""
    try:
        key = ec.derive_private_key(int.from_bytes(secret), ec.SECP256R1())
    except ValueError as error:
        raise Misconfigured("not a P-256 private key") from error
    raw = key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    algorithm = ec.ECDSA(hashes.SHA256(), deterministic_signing=True)
    public = PublicKey(raw, Purpose.MODEL_SIGNING, Scheme.ECDSA_P256)
    return Signer(public, lambda message: key.sign(message, algorithm))


def public_pem(key: PublicKey) -> bytes:
    """The key as PEM, which public verifiers read. Raises Misconfigured for another kind of key."""
    return _open(key).public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def verify_signature(key: PublicKey, message: bytes, signature: bytes) -> None:
    """Check a DER signature. Raises NotProven."""
    try:
        _open(key).verify(signature, message, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature as error:
        raise NotProven(f"the signature of {key.ident} does not hold") from error


def _open(key: PublicKey) -> ec.EllipticCurvePublicKey:
    if key.scheme is not Scheme.ECDSA_P256:
        raise Misconfigured(f"the key {key.ident} is not a P-256 key")
    try:
        return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), key.raw)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise Misconfigured(f"the key {key.ident} is not a point of P-256") from error
