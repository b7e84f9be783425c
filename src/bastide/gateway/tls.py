# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""TLS of the gateway: 1.3 only, with HTTP/2 and HTTP/1.1, and clients' certificates where asked.

A context is made once and never changed: a new certificate or other authorities make a new one,
which takes the next connections (server.py).
"""

import asyncio
import os
import ssl
from collections.abc import Sequence
from typing import Any, Final

from bastide.core.errors import Misconfigured

__all__ = ["ALPN_H2", "address_of", "peer_of", "server_context", "speaks_h2"]

ALPN_H2: Final = "h2"


def server_context(certificate: str, key: str, client_ca: str = "") -> ssl.SSLContext:
    """What the gateway shows its clients, in PEM, and whose certificates it asks of them.

    client_ca: PEM of authorities; with it, who has no certificate of theirs gets no connection.
    Raises Misconfigured.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.set_alpn_protocols([ALPN_H2, "http/1.1"])
    try:
        _load(context, (certificate + "\n" + key).encode())
        if client_ca:
            context.load_verify_locations(cadata=client_ca)
            context.verify_mode = ssl.CERT_REQUIRED
            # A resumed session would not be asked again for its certificate.
            context.num_tickets = 0
    except ssl.SSLError as error:
        raise Misconfigured(f"the TLS certificates cannot be read: {error.reason}") from error
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
    # A certificate with two SPIFFE IDs is no SVID (SPIFFE X.509-SVID, 2): it names nobody.
    if identities:
        return identities[0] if len(identities) == 1 else ""
    return ",".join(_relative(part) for part in found.get("subject", ()))


def _relative(part: Sequence[tuple[str, str]]) -> str:
    """One relative name of a subject; what would read as a separator is escaped (RFC 4514)."""
    return "+".join(f"{name}={_escaped(value)}" for name, value in part)


def _escaped(value: str) -> str:
    return "".join("\\" + sign if sign in ',+"\\<>;=' else sign for sign in value)


def _load(context: ssl.SSLContext, pem: bytes) -> None:
    """`ssl` reads certificates and keys from files only; this one is in memory and has no name."""
    descriptor = os.memfd_create("tls", os.MFD_CLOEXEC)
    try:
        os.write(descriptor, pem)
        context.load_cert_chain(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)
