# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The environment's own certificate authority: X.509 (RFC 5280) with NIST P-256 keys.

It signs server certificates of the gateway and nothing else. Its certificate has critical name
constraints: whoever trusts it trusts it for these names only, so a stolen key makes no
certificate for another site. Nothing here reads a clock or a generator.
"""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from bastide.core.errors import Misconfigured
from bastide.core.limits import TLS_BACKDATE_S, TLS_CA_DAYS, TLS_NAMES_MAX, TLS_SERVER_DAYS
from bastide.core.subject import Digest

__all__ = [
    "LOOPBACK_NAMES",
    "Issued",
    "authorities",
    "authority_pem",
    "begins_at",
    "certificates",
    "covers",
    "ends_ms",
    "issue_server",
    "issue_to_self",
    "key_usage",
    "private_key",
    "read_names",
    "serial_number",
]

LOOPBACK_NAMES: Final = ("localhost", "127.0.0.1", "::1")
_LOOPBACK_NETWORKS: Final = ("127.0.0.0/8", "::1/128")
_SPIFFE: Final = "spiffe://"
_COMMON_NAME_MAX: Final = 64  # RFC 5280, ub-common-name


@dataclass(frozen=True, slots=True, repr=False)
class Issued:
    """A server certificate in PEM with its private key, and when it ends. It is secret."""

    certificate: bytes
    key: bytes
    ends_ms: int


def authority_pem(
    secret: bytes, environment: str, names: Sequence[str], serial: bytes, now_ms: int
) -> bytes:
    """The certificate of the authority for loopback and `names`, in PEM."""
    key = private_key(secret)
    subject, begins = _authority_name(environment), begins_at(now_ms)
    networks: list[x509.GeneralName] = [
        x509.IPAddress(ipaddress.ip_network(text)) for text in _LOOPBACK_NETWORKS
    ]
    constraints = [x509.DNSName("localhost"), *networks, *_general(names, networks=True)]
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(serial_number(serial))
        .not_valid_before(begins)
        .not_valid_after(begins + timedelta(days=TLS_CA_DAYS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(key_usage(signs_certificates=True), critical=True)
        .add_extension(x509.NameConstraints(constraints, None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    made = builder.sign(key, hashes.SHA256(), ecdsa_deterministic=True)
    return made.public_bytes(Encoding.PEM)


def certificates(pem: str) -> list[Digest]:
    """The digests of the DER of a PEM's certificates. Raises Misconfigured if it has none."""
    return [Digest.of(found.public_bytes(Encoding.DER)) for found in _read(pem)]


def authorities(pem: str) -> dict[str, frozenset[str]]:
    """The trust domains that each authority of a PEM says that it is for, by its digest in hex.

    It says so by a URI of SPIFFE without a path (X.509-SVID, section 3). Raises Misconfigured.
    """
    found = {}
    for one in _read(pem):
        try:
            names = one.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        except x509.ExtensionNotFound:
            uris: list[str] = []
        else:
            uris = names.get_values_for_type(x509.UniformResourceIdentifier)
        domains = (uri.removeprefix(_SPIFFE) for uri in uris if uri.startswith(_SPIFFE))
        digest = Digest.of(one.public_bytes(Encoding.DER))
        found[digest.hex] = frozenset(name for name in domains if name and "/" not in name)
    return found


def _read(pem: str) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(pem.encode())
    except ValueError as error:
        raise Misconfigured("there is no certificate in it", fix="give PEM") from error


def covers(authority: bytes, secret: bytes, names: Sequence[str], now_ms: int) -> bool:
    """True if a certificate of the authority is of this key, lasts, and allows these names."""
    try:
        found = x509.load_pem_x509_certificate(authority)
        extension = found.extensions.get_extension_for_class(x509.NameConstraints)
    except (ValueError, x509.ExtensionNotFound):
        return False
    ends = found.not_valid_after_utc
    lasts = ends > _moment(now_ms) + timedelta(days=TLS_SERVER_DAYS)
    allowed = extension.value.permitted_subtrees or []
    wanted = _general(names, networks=True)
    return (
        found.public_key() == private_key(secret).public_key()
        and lasts
        and all(name in allowed for name in wanted)
    )


def ends_ms(certificate: bytes) -> int:
    """When a certificate ends. Raises ValueError for what is no PEM of one."""
    found = x509.load_pem_x509_certificate(certificate)
    return int(found.not_valid_after_utc.timestamp() * 1000)


def issue_server(
    secret: bytes,
    environment: str,
    names: Sequence[str],
    server_secret: bytes,
    serial: bytes,
    now_ms: int,
) -> Issued:
    """A certificate for loopback and `names`, valid for TLS_SERVER_DAYS.

    server_secret: the private scalar of the certificate's own key. Raises Misconfigured.
    """
    authority, key, begins = private_key(secret), private_key(server_secret), begins_at(now_ms)
    ends = begins + timedelta(days=TLS_SERVER_DAYS)
    unique = list(dict.fromkeys((*LOOPBACK_NAMES, *names)))
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "bastide gateway")]))
        .issuer_name(_authority_name(environment))
        .public_key(key.public_key())
        .serial_number(serial_number(serial))
        .not_valid_before(begins)
        .not_valid_after(ends)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(key_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(_general(unique)), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.public_key()),
            critical=False,
        )
    )
    made = builder.sign(authority, hashes.SHA256(), ecdsa_deterministic=True)
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return Issued(made.public_bytes(Encoding.PEM), private, int(ends.timestamp() * 1000))


def issue_to_self(secret: bytes, names: Sequence[str], serial: bytes, now_ms: int) -> Issued:
    """A certificate for both ends of connections among processes that all have its key.

    It is its own authority. Without constraints of names: BoringSSL refuses those of addresses.
    """
    key, begins = private_key(secret), begins_at(now_ms)
    ends = begins + timedelta(days=TLS_SERVER_DAYS)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "bastide compute")])
    usages = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(serial_number(serial))
        .not_valid_before(begins)
        .not_valid_after(ends)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        .add_extension(x509.SubjectAlternativeName(_general(names)), critical=False)
    )
    made = builder.sign(key, hashes.SHA256(), ecdsa_deterministic=True).public_bytes(Encoding.PEM)
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return Issued(made, private, int(ends.timestamp() * 1000))


def read_names(text: str) -> tuple[str, ...]:
    """Host names and addresses, separated by commas or spaces. Raises Misconfigured."""
    names = tuple(dict.fromkeys(text.replace(",", " ").split()))
    _general(names)
    return names


def _general(names: Sequence[str], *, networks: bool = False) -> list[x509.GeneralName]:
    """Names as X.509 has them; addresses as networks of one where constraints want networks."""
    if len(names) > TLS_NAMES_MAX:
        raise Misconfigured(f"more than {TLS_NAMES_MAX} names for one certificate")
    return [_general_name(name, networks) for name in names]


def _general_name(name: str, network: bool) -> x509.GeneralName:
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        labels = name.split(".")
        plain = name.isascii() and all(
            label and len(label) <= 63 and label.replace("-", "a").isalnum() for label in labels
        )
        # A name of one label is refused but for localhost: as a constraint `org` is half the world.
        if not plain or len(name) > 253 or (len(labels) == 1 and name != "localhost"):
            raise Misconfigured(
                f"{name!r} is no host name with a dot and no IP address", fix="gateway.example.org"
            ) from None
        return x509.DNSName(name.lower())
    return x509.IPAddress(ipaddress.ip_network(address) if network else address)


def private_key(secret: bytes) -> ec.EllipticCurvePrivateKey:
    """The P-256 key of a private scalar. Raises Misconfigured if it is none."""
    try:
        return ec.derive_private_key(int.from_bytes(secret), ec.SECP256R1())
    except ValueError as error:
        raise Misconfigured("not a P-256 private key") from error


def _authority_name(environment: str) -> x509.Name:
    text = f"Bastide CA {environment}"[:_COMMON_NAME_MAX]
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    """What an authority's key, or any other's, may be used for."""
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def serial_number(random: bytes) -> int:
    """A positive serial number of at most 20 octets (RFC 5280, 4.1.2.2) from 16 random bytes."""
    return int.from_bytes(random[:16]) | 1


def _moment(now_ms: int) -> datetime:
    return datetime.fromtimestamp(now_ms // 1000, UTC)


def begins_at(now_ms: int) -> datetime:
    """Since when a certificate of now holds: clocks differ."""
    return _moment(now_ms) - timedelta(seconds=TLS_BACKDATE_S)
