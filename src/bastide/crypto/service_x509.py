# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Certificates of our own services: X.509-SVIDs (SPIFFE) with NIST P-256 keys.

Their authority is not the one that clients of the gateway trust (x509.py): its key is derived from
that one's, and no program trusts it but our services. A service makes its key itself and shows a
certificate request (PKCS #10), which proves that it has the key; what the request says besides is
not read. Nothing here reads a clock or a generator.
"""

from datetime import timedelta
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_public_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID

from bastide.core.errors import Misconfigured, NotProven
from bastide.core.limits import REQUEST_BYTES_MAX, SERVICE_CERTIFICATE_DAYS, TLS_CA_DAYS
from bastide.core.spiffe import trust_domain, verify_spiffe_id
from bastide.core.subject import Digest
from bastide.crypto import p256
from bastide.crypto.x509 import (
    AUTHORITY,
    NO_AUTHORITY,
    common_name,
    private_key,
    signed_certificate,
)

__all__ = [
    "authority_secret",
    "certificate_key",
    "issue_service",
    "key_of",
    "private_pem",
    "public_of",
    "read_request",
    "request_for",
    "services_authority",
]

_INFO: Final = b"bastide services ca v1"
_CONNECTS: Final = ExtendedKeyUsageOID.CLIENT_AUTH
_LISTENS: Final = ExtendedKeyUsageOID.SERVER_AUTH


def authority_secret(tls_ca: bytes) -> bytes:
    """The private scalar of the services' authority (HKDF-SHA-256 of the gateway's)."""
    return p256.secret_from(HKDF(hashes.SHA256(), 48, None, _INFO).derive(tls_ca))


def services_authority(secret: bytes, environment: str, serial: bytes, now_ms: int) -> bytes:
    """The authority's certificate, in PEM."""
    key, name = private_key(secret), _authority_name(environment)
    return signed_certificate(
        key,
        name,
        name,
        key.public_key(),
        serial,
        now_ms,
        timedelta(days=TLS_CA_DAYS),
        *AUTHORITY,
        (x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False),
    )


def issue_service(
    secret: bytes,
    environment: str,
    spiffe_id: str,
    public: bytes,
    serial: bytes,
    now_ms: int,
    *,
    listens: bool = False,
    connects: bool = False,
    valid_s: float = SERVICE_CERTIFICATE_DAYS * 86_400,
) -> bytes:
    """A certificate in PEM for a service's public key (DER, as `read_request` gives it).

    Its one name is its SPIFFE ID. listens, connects: at which ends of connections it stands.
    """
    verify_spiffe_id(spiffe_id)
    authority = private_key(secret)
    key = _public(public)
    usages = [*([_LISTENS] if listens else []), *([_CONNECTS] if connects else [])]
    names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(spiffe_id)])
    by = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.public_key())
    return signed_certificate(
        authority,
        _authority_name(environment),
        common_name("bastide service"),
        key,
        serial,
        now_ms,
        timedelta(seconds=valid_s),
        *NO_AUTHORITY,
        (x509.ExtendedKeyUsage(usages), False),
        (names, False),
        (by, False),
    )


def private_pem(secret: bytes) -> bytes:
    """A service's private key in PEM. It is secret."""
    return private_key(secret).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def request_for(secret: bytes) -> str:
    """A request for a certificate, in PEM, signed with the key that it is about."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    made = builder.sign(private_key(secret), hashes.SHA256(), ecdsa_deterministic=True)
    return made.public_bytes(Encoding.PEM).decode()


def read_request(text: str) -> bytes:
    """The public key of a request, in DER. Raises Misconfigured, or NotProven if who asks has not
    its private key."""
    try:
        if len(text) > REQUEST_BYTES_MAX:
            raise ValueError("too long")
        request = x509.load_pem_x509_csr(text.encode())
        holds = request.is_signature_valid
        public = _der(request.public_key())
    except (ValueError, UnsupportedAlgorithm, InvalidSignature, x509.InvalidVersion) as error:
        raise Misconfigured(f"not a request for a certificate: {error}") from error
    if not holds:
        raise NotProven("the request for a certificate is not signed with its key")
    return public


def key_of(public: bytes) -> Digest:
    """What the ledger calls a service's key: the digest of its DER."""
    return Digest.of(public)


def certificate_key(certificate: bytes) -> Digest:
    """The key of a certificate in DER, which TLS has verified."""
    return key_of(_der(x509.load_der_x509_certificate(certificate).public_key()))


def public_of(secret: bytes) -> bytes:
    """The public key of a private scalar, in DER."""
    return _der(private_key(secret).public_key())


def _authority_name(environment: str) -> x509.Name:
    return common_name(f"Bastide services {trust_domain(environment)}"[:64])


def _der(key: object) -> bytes:
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise ValueError("not a P-256 key")
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _public(der: bytes) -> ec.EllipticCurvePublicKey:
    key = load_der_public_key(der)
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise ValueError("not a P-256 key")
    return key
