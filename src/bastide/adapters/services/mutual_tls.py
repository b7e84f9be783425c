# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Mutual TLS among our own services: 1.3 only, both ends with a certificate of our authority.

Who the other end is, its SPIFFE ID says, and nothing else: no host name, no address. It is checked
before the first byte is given to the protocol above. A silent network is noticed: what a peer does
not acknowledge for SERVICE_SILENT_S ends the connection.
"""

import asyncio
import os
import socket
import ssl
from collections.abc import Callable
from typing import Any, Final, TypeVar, cast

from bastide.core.errors import BastideError, Down, Misconfigured, NotProven
from bastide.core.limits import SERVICE_HANDSHAKE_S, SERVICE_SILENT_S
from bastide.core.service import Credential
from bastide.core.subject import Digest
from bastide.crypto.service_x509 import certificate_key

__all__ = ["connecting", "dial", "listening", "load", "patient", "peer_of"]

_P = TypeVar("_P", bound=asyncio.Protocol)
_SNI: Final = "bastide"  # says nothing about who is asked for


def listening(credential: Credential, name: str | None = None) -> ssl.SSLContext:
    """For the end that is connected to. Raises Misconfigured.

    name: what it must be asked for, if it tells services apart that show one certificate.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if name is not None:

        def asked(_: object, given: str | None, __: object) -> int | None:
            return None if given == name else ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME

        context.sni_callback = asked
    # A resumed session would not be asked again for its certificate.
    context.num_tickets = 0
    return _prepared(context, credential)


def connecting(credential: Credential) -> ssl.SSLContext:
    """For the end that connects. Raises Misconfigured."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False  # `dial` checks the SPIFFE ID
    return _prepared(context, credential)


def load(context: ssl.SSLContext, credential: Credential) -> None:
    """Show this certificate from the next connection on. Raises Misconfigured."""
    # `ssl` reads certificates and keys from files only; this one is in memory and has no name.
    descriptor = os.memfd_create("service", os.MFD_CLOEXEC)
    try:
        os.write(descriptor, (credential.certificate + "\n" + credential.key).encode())
        context.load_cert_chain(f"/proc/self/fd/{descriptor}")
    except ssl.SSLError as error:
        raise Misconfigured(f"the certificate to show cannot be read: {error.reason}") from error
    finally:
        os.close(descriptor)


def patient(bound: socket.socket) -> None:
    """Let connections of a socket, or of those that it accepts, end when the network is silent."""
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 2)
    bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 1)
    bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)
    bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(SERVICE_SILENT_S * 1000))
    bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def peer_of(transport: asyncio.BaseTransport) -> tuple[str, Digest]:
    """The SPIFFE ID and the key of the other end's certificate. Raises NotProven."""
    found: dict[str, Any] = transport.get_extra_info("peercert") or {}
    names = [value for kind, value in found.get("subjectAltName", ()) if kind == "URI"]
    held = transport.get_extra_info("ssl_object")
    if len(names) != 1 or held is None:  # SPIFFE X.509-SVID, 2: it names nobody
        raise NotProven("the other end has no certificate of a service")
    return names[0], certificate_key(held.getpeercert(True))


async def dial(
    make: Callable[[], _P],
    host: str,
    port: int,
    context: ssl.SSLContext,
    expected: str,
    name: str = _SNI,
) -> _P:
    """Connect to a service that must have the SPIFFE ID `expected`; the protocol over it.

    name: which one it must be of those that show this ID, if it tells them apart.
    Raises Down if nobody answers, NotProven if the other end is not who it must be.
    """
    loop = asyncio.get_running_loop()
    where = f"{host}:{port}"
    try:
        async with asyncio.timeout(SERVICE_HANDSHAKE_S):
            connected = await _connected(loop, host, port)
            _, guard = await loop.create_connection(
                lambda: _Guard(make, expected, where),
                sock=connected,
                ssl=context,
                server_hostname=name,
            )
    except ssl.SSLCertVerificationError as error:
        raise NotProven(f"{where} is not of this environment: {error.verify_message}") from error
    except ssl.SSLError as error:
        raise NotProven(f"{where} speaks no TLS of ours: {error.reason}") from error
    except OSError as error:
        raise Down(f"nobody answers at {where}") from error
    if guard.error is not None:
        raise guard.error
    return cast(_P, guard.inner)


class _Guard(asyncio.Protocol):
    """Checks who the other end is, and then gives the connection to the protocol itself."""

    def __init__(self, make: Callable[[], asyncio.Protocol], expected: str, where: str) -> None:
        self._make, self._expected, self._where = make, expected, where
        self.inner: asyncio.Protocol | None = None
        self.error: BastideError | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The handshake has ended."""
        held = cast(asyncio.Transport, transport)
        try:
            found, _ = peer_of(transport)
            if found != self._expected:
                raise NotProven(f"{self._where} is {found}, not {self._expected}")
        except BastideError as error:
            self.error = error
            held.abort()
            return
        self.inner = self._make()
        held.set_protocol(self.inner)
        self.inner.connection_made(transport)


async def _connected(loop: asyncio.AbstractEventLoop, host: str, port: int) -> socket.socket:
    failed: OSError | None = None
    for family, kind, protocol, _, address in await loop.getaddrinfo(
        host, port, type=socket.SOCK_STREAM
    ):
        made = socket.socket(family, kind, protocol)
        try:
            made.setblocking(False)
            patient(made)
            await loop.sock_connect(made, address)
        except BaseException as error:
            made.close()
            if not isinstance(error, OSError):
                raise
            failed = error
        else:
            return made
    raise failed or OSError(f"{host} has no address")


def _prepared(context: ssl.SSLContext, credential: Credential) -> ssl.SSLContext:
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_mode = ssl.CERT_REQUIRED
    try:
        context.load_verify_locations(cadata=credential.authority)
    except ssl.SSLError as error:
        raise Misconfigured(f"the services' authority cannot be read: {error.reason}") from error
    load(context, credential)
    return context
