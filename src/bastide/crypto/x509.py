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
    "AUTHORITY",
    "LOOPBACK_NAMES",
    "NO_AUTHORITY",
    "Issued",
    "authorities",
    "authority_pem",
    "common_name",
    "covers",
    "ends_ms",
    "issue_server",
    "issue_to_self",
    "only_certificate",
    "private_key",
    "read_names",
    "signed_certificate",
]

LOOPBACK_NAMES: Final = ("localhost", "127.0.0.1", "::1")
_LOOPBACK_NETWORKS: Final = ("127.0.0.0/8", "::1/128")
_SPIFFE: Final = "spiffe://"
_COMMON_NAME_MAX: Final = 64  # RFC 5280, ub-common-name


def _extensions(*, authority: bool) -> tuple[tuple[x509.ExtensionType, bool], ...]:
    """What a certificate's key may be used for, and whether it may sign certificates."""
    usage = x509.KeyUsage(
        digital_signature=not authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )
    signs = x509.BasicConstraints(ca=authority, path_length=0 if authority else None)
    return (signs, True), (usage, True)


# Of an authority without others below it, and of any other certificate.
AUTHORITY: Final = _extensions(authority=True)
NO_AUTHORITY: Final = _extensions(authority=False)


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
    subject = _authority_name(environment)
    networks: list[x509.GeneralName] = [
        x509.IPAddress(ipaddress.ip_network(text)) for text in _LOOPBACK_NETWORKS
    ]
    constraints = [x509.DNSName("localhost"), *networks, *_general(names, networks=True)]
    return signed_certificate(
        key,
        subject,
        subject,
        key.public_key(),
        serial,
        now_ms,
        timedelta(days=TLS_CA_DAYS),
        *AUTHORITY,
        (x509.NameConstraints(constraints, None), True),
        (x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False),
    )


def only_certificate(pem: str) -> Digest:
    """The digest of the DER of the one certificate that a PEM is about.

    That is the only one, or a client's before the authorities above it. Raises Misconfigured if
    there is none, or several of which none is meant more than the others.
    """
    found = {Digest.of(one.public_bytes(Encoding.DER)): one for one in _read(pem)}
    first, *others = found
    if others and (_may_sign(found[first]) or not all(_may_sign(found[one]) for one in others)):
        told = ", ".join(f"{one} ({found[one].subject.rfc4514_string()!r})" for one in found)
        raise Misconfigured(
            f"there are {len(found)} certificates in it: {told}",
            fix="give a file with one of them, and another for each other; or give its digest",
        )
    return first


def _may_sign(one: x509.Certificate) -> bool:
    try:
        return one.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False
    except ValueError as error:
        raise Misconfigured("a certificate in it cannot be read") from error


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
    authority, key = private_key(secret), private_key(server_secret)
    unique = list(dict.fromkeys((*LOOPBACK_NAMES, *names)))
    made = signed_certificate(
        authority,
        _authority_name(environment),
        common_name("bastide gateway"),
        key.public_key(),
        serial,
        now_ms,
        timedelta(days=TLS_SERVER_DAYS),
        *NO_AUTHORITY,
        (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False),
        (x509.SubjectAlternativeName(_general(unique)), False),
        (x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.public_key()), False),
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return Issued(made, private, ends_ms(made))


def issue_to_self(secret: bytes, names: Sequence[str], serial: bytes, now_ms: int) -> Issued:
    """A certificate for both ends of connections among processes that all have its key.

    It is its own authority. Without constraints of names: BoringSSL refuses those of addresses.
    """
    key = private_key(secret)
    name = common_name("bastide compute")
    usages = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    made = signed_certificate(
        key,
        name,
        name,
        key.public_key(),
        serial,
        now_ms,
        timedelta(days=TLS_SERVER_DAYS),
        (x509.BasicConstraints(ca=True, path_length=0), True),
        (x509.ExtendedKeyUsage(usages), False),
        (x509.SubjectAlternativeName(_general(names)), False),
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return Issued(made, private, ends_ms(made))


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
    return common_name(f"Bastide CA {environment}"[:_COMMON_NAME_MAX])


def common_name(text: str) -> x509.Name:
    """A name that is a common name only."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def signed_certificate(
    by: ec.EllipticCurvePrivateKey,
    issuer: x509.Name,
    subject: x509.Name,
    key: ec.EllipticCurvePublicKey,
    serial: bytes,
    now_ms: int,
    lasts: timedelta,
    *extensions: tuple[x509.ExtensionType, bool],
) -> bytes:
    """A certificate in PEM, of a little before now, because clocks differ.

    serial: 16 random bytes. extensions: each with whether it is critical.
    """
    begins = _moment(now_ms) - timedelta(seconds=TLS_BACKDATE_S)
    number = int.from_bytes(serial[:16]) | 1  # positive, 20 octets at most (RFC 5280, 4.1.2.2)
    builder = x509.CertificateBuilder(issuer, subject, key, number, begins, begins + lasts)
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    made = builder.sign(by, hashes.SHA256(), ecdsa_deterministic=True)
    return made.public_bytes(Encoding.PEM)


def _moment(now_ms: int) -> datetime:
    return datetime.fromtimestamp(now_ms // 1000, UTC)
