# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""A runner's second socket, where gateways on control's machine reach it: mutual TLS.

Who comes must have a gateway's or the desk's certificate, which names its process: should it die,
control is asked about what it was handed (app/cut_reports.py).
"""

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable
from typing import Final

from bastide.app import wiring_services
from bastide.app.config import Settings
from bastide.app.listening import bind_address
from bastide.app.peers import peer_process
from bastide.app.setting_checks import read_port_range
from bastide.core.errors import BastideError, NotAllowed, Unavailable
from bastide.core.service import Credential
from bastide.core.spiffe import service_path

__all__ = ["FarSocket"]

_LOOK_S: Final = 60.0  # how soon a new certificate is shown
_ROLES: Final = ("gateway", "desk")
_WAITING_MAX: Final = 100  # connections that are not accepted yet

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class FarSocket:
    """A free port of `runner_listen`, ours when this is made. Raises Unavailable.

    `credential` reads the machine's certificate as it is now. `name` is what gateways must ask for
    in the handshake: all runners of a machine show one certificate, and a port that was another
    runner's before would answer with its model.
    """

    def __init__(self, settings: Settings, credential: Callable[[], Credential], name: str) -> None:
        self._environment, self._credential, self._name = settings.environment, credential, name
        host, ports = read_port_range(settings.runner_listen)
        self._bound = _bind(host, ports)
        wiring_services.patient(self._bound)
        port = self._bound.getsockname()[1]
        self.address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self._renewing: asyncio.Task[None] | None = None

    async def start(self, serve: Serve, crowded: Callable[[], None]) -> wiring_services.Door:
        """Answer from now on."""
        shown = self._credential()
        context = wiring_services.listening(shown, self._name)

        async def renew() -> None:
            last = shown
            while True:
                await asyncio.sleep(_LOOK_S)
                with contextlib.suppress(BastideError):  # the next look may find it readable
                    if (now := self._credential()) != last:
                        wiring_services.load(context, now)
                        last = now

        self._renewing = asyncio.create_task(renew())
        return wiring_services.let_in(self._bound, context, serve, crowded)

    def gateway(self, writer: asyncio.StreamWriter) -> int:
        """The process at the other end, which may be on this machine. Raises NotAllowed."""
        if writer.get_extra_info("ssl_object") is None:
            return peer_process(writer)
        identity, _ = wiring_services.peer_of(writer.transport)
        path = service_path(identity, self._environment)
        if len(path) != 2 or path[0] not in _ROLES or not path[1].isdigit():
            raise NotAllowed(f"{identity} is no gateway")
        return int(path[1])


def _bind(host: str, ports: range) -> socket.socket:
    why = ""
    for port in ports:
        try:
            bound = bind_address(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
        except Unavailable as error:
            why = error.message
            continue
        try:
            bound.listen(_WAITING_MAX)  # two may be bound to one port until one listens
        except OSError as error:
            bound.close()
            why = f"port {port}: {error.strerror}"
        else:
            return bound
    raise Unavailable(
        f"no port of {host}:{ports[0]}-{ports[-1]} can be had: {why}",
        fix="runner_listen: one port for each replica, and one more while they are replaced",
    )
