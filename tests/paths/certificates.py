# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Certificates for tests: a server's of our own authority, clients' of another one."""

import datetime
import secrets
import ssl
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from bastide.adapters.clock.system import SystemClock
from bastide.adapters.entropy.system import SystemEntropy
from bastide.crypto import p256
from bastide.crypto.x509 import Issued, authority_pem, issue_server

_ENTROPY = SystemEntropy()


@dataclass(frozen=True)
class Site:
    """Our own authority, as `bastide init` makes it."""

    secret: bytes
    authority: bytes

    @classmethod
    def make(cls, names: tuple[str, ...] = ()) -> "Site":
        secret = p256.secret_from(_ENTROPY.token(48))
        now_ms = SystemClock().now_ms()
        return cls(secret, authority_pem(secret, "test", names, _ENTROPY.token(16), now_ms))

    def issue(self, names: tuple[str, ...] = ()) -> Issued:
        key = p256.secret_from(_ENTROPY.token(48))
        now_ms = SystemClock().now_ms()
        return issue_server(self.secret, "test", names, key, _ENTROPY.token(16), now_ms)


class Authority:
    """An authority as others make one: it constrains no names, and may be for a trust domain.

    above: another one, which lets this one issue.
    """

    def __init__(
        self,
        name: str,
        domain: str = "",
        above: "Authority | None" = None,
        seconds: float = 86_400,
    ) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        signer = above or self
        builder = signer._builder(self._name, self._key, seconds).add_extension(
            x509.BasicConstraints(ca=True, path_length=1 if above is None else 0), critical=True
        )
        if domain:
            named = x509.SubjectAlternativeName(
                [x509.UniformResourceIdentifier(f"spiffe://{domain}")]
            )
            builder = builder.add_extension(named, critical=False)
        made = builder.sign(signer._key, hashes.SHA256())
        self.pem = made.public_bytes(Encoding.PEM).decode()

    def issue(
        self, subject: x509.Name, *names: x509.GeneralName, seconds: float = 86_400
    ) -> tuple[bytes, bytes]:
        """A certificate, which lasts so long, and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        builder = self._builder(subject, key, seconds)
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=True)
        made = builder.sign(self._key, hashes.SHA256())
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return made.public_bytes(Encoding.PEM), private

    def _builder(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, seconds: float
    ) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(minutes=5))
            .not_valid_after(now + datetime.timedelta(seconds=seconds))
        )


class Clients(Authority):
    """An authority of clients, with the certificates that it gives out."""

    def __init__(
        self,
        folder: Path,
        name: str = "clients",
        domain: str = "example.org",
        above: Authority | None = None,
        seconds: float = 86_400,
    ) -> None:
        """An authority of this name, for a trust domain, as SPIRE makes one; "" for none."""
        super().__init__(name, domain, above, seconds)
        self._folder = folder
        self._sent = b"" if above is None else self.pem.encode()  # a client shows it, too

    def give(self, subject: x509.Name | None = None, *uris: str, seconds: float = 86_400) -> Path:
        """A file with a certificate, which lasts so long, and its key."""
        names = (x509.UniformResourceIdentifier(uri) for uri in uris)
        path = self._folder / f"client-{secrets.token_hex(8)}.pem"
        made = self.issue(subject or x509.Name([]), *names, seconds=seconds)
        path.write_bytes(b"".join((*made, self._sent)))
        return path


def trusting(authority: bytes, *alpn: str, client: Path | None = None) -> ssl.SSLContext:
    """What a client has that trusts one authority, and perhaps has a certificate."""
    context = ssl.create_default_context(cadata=authority.decode())
    if alpn:
        context.set_alpn_protocols(list(alpn))
    if client is not None:
        context.load_cert_chain(client)
    return context
