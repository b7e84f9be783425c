# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Wiring of connections among our services on different machines."""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from bastide.app.clients import ControlClient
from bastide.core.errors import BastideError
from bastide.core.service import Credential, read_far
from bastide.core.spiffe import service_id
from bastide.core.subject import Digest
from bastide.ports import Clock, Engine

__all__ = [
    "Door",
    "FarControl",
    "connecting",
    "far_control",
    "far_engine",
    "let_in",
    "listening",
    "load",
    "patient",
    "peer_of",
]


class FarControl(ControlClient, Protocol):
    """Control on another machine, which may refuse us."""

    @property
    def refused(self) -> BastideError | None:
        """Why control takes no connection of ours, if it said so."""
        ...


class Door(Protocol):
    """A listening socket, and the handshakes that go on there."""

    def close(self) -> None:
        """Accept nobody more; connections stay."""
        ...


def let_in(
    bound: socket.socket,
    context: ssl.SSLContext,
    admit: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
    crowded: Callable[[], None],
) -> Door:
    """Give on whoever proves a name on a bound socket; adapters/services/handshakes.py."""
    from bastide.adapters.services.handshakes import Handshakes

    return Handshakes(bound, context, admit, crowded)


def far_control(
    address: tuple[str, int],
    environment: str,
    credential: Callable[[], Credential],
    source: Clock,
) -> FarControl:
    """Control on another machine. `credential` is asked anew for each connection."""
    from bastide.adapters.control.link import ControlLink
    from bastide.adapters.services import mutual_tls

    expected = service_id(environment, "control")

    async def dial(make: Callable[[], Any]) -> Any:
        return await mutual_tls.dial(make, *address, mutual_tls.connecting(credential()), expected)

    return ControlLink(dial, source)


def far_engine(
    place: str,
    environment: str,
    context: Callable[[], Awaitable[ssl.SSLContext]],
    told: Callable[[str], None],
) -> Engine:
    """The engine behind a runner on another machine.

    `context` is asked for each connection; `told` hears why it is away, and "" when it is back.
    """
    from bastide.adapters.engine.remote import RemoteEngine
    from bastide.adapters.services import mutual_tls

    host, port, machine, name = read_far(place)
    expected = service_id(environment, "machine", machine)

    async def dial(make: Callable[[], Any]) -> Any:
        return await mutual_tls.dial(make, host, port, await context(), expected, name)

    return RemoteEngine(dial, told)


def connecting(credential: Credential) -> ssl.SSLContext:
    """For the end that connects. Raises Misconfigured."""
    from bastide.adapters.services import mutual_tls

    return mutual_tls.connecting(credential)


def listening(credential: Credential, name: str | None = None) -> ssl.SSLContext:
    """For the end that is connected to, by any name or by this one. Raises Misconfigured."""
    from bastide.adapters.services import mutual_tls

    return mutual_tls.listening(credential, name)


def load(context: ssl.SSLContext, credential: Credential) -> None:
    """Show this certificate from the next connection on. Raises Misconfigured."""
    from bastide.adapters.services import mutual_tls

    mutual_tls.load(context, credential)


def patient(bound: socket.socket) -> None:
    """Let connections that a socket accepts end when the network is silent."""
    from bastide.adapters.services import mutual_tls

    mutual_tls.patient(bound)


def peer_of(transport: asyncio.BaseTransport) -> tuple[str, Digest]:
    """The SPIFFE ID and the key of the other end's certificate. Raises NotProven."""
    from bastide.adapters.services import mutual_tls

    return mutual_tls.peer_of(transport)
