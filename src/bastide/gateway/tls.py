# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""TLS of the gateway: 1.3 only, with HTTP/2 and HTTP/1.1, and clients' certificates where asked.

A context is made once and never changed: a new certificate or other authorities make a new one,
which takes the next connections (server.py).
"""

import _ssl
import asyncio
import hashlib
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from bastide.app import wiring_services
from bastide.core.errors import Misconfigured
from bastide.core.service import Credential
from bastide.crypto.x509 import authorities, ends_ms

__all__ = [
    "ALPN_H2",
    "Context",
    "Shown",
    "address_of",
    "peer_of",
    "server_context",
    "shown_by",
    "speaks_h2",
]

ALPN_H2: Final = "h2"


class Context(ssl.SSLContext):
    """`trust`: the trust domains that each authority of clients is believed for, by its digest."""

    trust: Mapping[str, frozenset[str]]


@dataclass(frozen=True, slots=True)
class Shown:
    """What a client's connection stands on: its certificate, and each above it to the authority.

    digests: the SHA-256 of each one's DER, in hex; ends_ms: when the first of them ends.
    """

    digests: frozenset[str]
    ends_ms: int


def server_context(
    certificate: str, key: str, client_ca: Mapping[str, str] | None = None
) -> ssl.SSLContext:
    """What the gateway shows its clients, in PEM, and whose certificates it asks of them.

    client_ca: PEM of authorities by the trust domain that they are believed for, and under "" those
    that are believed for the domains which they name themselves; with it, who has no certificate of
    theirs gets no connection. Raises Misconfigured.
    """
    context = Context(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.set_alpn_protocols([ALPN_H2, "http/1.1"])
    try:
        context.trust = _trust(client_ca or {})
        wiring_services.load(context, Credential(certificate, key, authority=""))
        if client_ca:
            context.load_verify_locations(cadata="\n".join(client_ca.values()))
            context.verify_mode = ssl.CERT_REQUIRED
            # A resumed session would not be asked again for its certificate.
            context.num_tickets = 0
    except ssl.SSLError as error:
        raise Misconfigured(f"the authorities of clients cannot be read: {error.reason}") from error
    return context


def speaks_h2(transport: asyncio.BaseTransport) -> bool:
    """True if the client and we agreed on HTTP/2 in the handshake."""
    found = transport.get_extra_info("ssl_object")
    return found is not None and found.selected_alpn_protocol() == ALPN_H2


def address_of(transport: asyncio.BaseTransport) -> str:
    """The client's address, without its port; empty on a Unix socket."""
    found = transport.get_extra_info("peername")
    return found[0] if isinstance(found, tuple) else ""


def peer_of(transport: asyncio.BaseTransport) -> str:
    """Who the client's verified certificate names: its SPIFFE ID, else its subject, else empty."""
    found: dict[str, Any] | None = transport.get_extra_info("peercert")
    if not found:
        return ""
    identities = [
        value
        for kind, value in found.get("subjectAltName", ())
        if kind == "URI" and value.startswith("spiffe://")
    ]
    # A certificate with two SPIFFE IDs is no SVID (SPIFFE X.509-SVID, 2): it names nobody. Nor does
    # one whose authority is not believed for its trust domain.
    if identities:
        domain = identities[0].removeprefix("spiffe://").partition("/")[0]
        believed = len(identities) == 1 and domain in _domains(transport)
        return identities[0] if believed else ""
    return ",".join(_relative(part) for part in found.get("subject", ()))


def shown_by(transport: asyncio.BaseTransport) -> Shown | None:
    """The certificate that a client has shown; None if it was asked for none."""
    if not transport.get_extra_info("peercert"):
        return None
    chain = _chain(transport)
    digests = frozenset(hashlib.sha256(der).hexdigest() for der in chain)
    ends = (ends_ms(ssl.DER_cert_to_PEM_cert(der).encode()) for der in chain)
    return Shown(digests, min(ends))


def _trust(client_ca: Mapping[str, str]) -> dict[str, frozenset[str]]:
    """The trust domains of each authority; one that is listed for several has them all."""
    found: dict[str, frozenset[str]] = {}
    for domain, pem in client_ca.items():
        for digest, own in authorities(pem).items():
            named = frozenset({domain}) if domain else own
            found[digest] = found.get(digest, frozenset()) | named
    return found


def _domains(transport: asyncio.BaseTransport) -> frozenset[str]:
    """The trust domains of the authority at the end of the chain that was verified."""
    trust = transport.get_extra_info("ssl_object").context.trust
    return trust.get(hashlib.sha256(_chain(transport)[-1]).hexdigest(), frozenset())


def _chain(transport: asyncio.BaseTransport) -> list[bytes]:
    """The DER of a client's certificate, and of each above it, as TLS has verified them."""
    connected = transport.get_extra_info("ssl_object")
    public = getattr(connected, "get_verified_chain", None)  # since Python 3.13
    if public is not None:
        return public()
    found = connected._sslobj.get_verified_chain()
    return [one.public_bytes(_ssl.ENCODING_DER) for one in found]


def _relative(part: Sequence[tuple[str, str]]) -> str:
    """One relative name of a subject; what would read as a separator is escaped (RFC 4514)."""
    return "+".join(f"{name}={_escaped(value)}" for name, value in part)


def _escaped(value: str) -> str:
    return "".join("\\" + sign if sign in ',+"\\<>;=' else sign for sign in value)
