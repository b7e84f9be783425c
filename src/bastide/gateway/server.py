# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The listening side: connections, their number, and a stop that lets answers end."""

import asyncio
import socket
import ssl
import traceback
import weakref
from collections.abc import Callable
from typing import Any

from bastide.core.limits import CONNECTIONS_MAX, STOP_GRACE_S, TLS_HANDSHAKE_TIMEOUT_S
from bastide.gateway.doors import Doors
from bastide.gateway.entrance import Entrance
from bastide.gateway.host import Guest, Patience
from bastide.gateway.inbound import Bodies
from bastide.gateway.peers import Peers
from bastide.gateway.reply import Pen
from bastide.gateway.routes import Routes
from bastide.gateway.tls import shown_by

__all__ = ["Server"]

_INTERRUPTED_S = 1.5  # for the receipts of answers that were cut off


class Server:
    """Accepts connections, plain and over TLS, and serves `routes` on them."""

    def __init__(
        self,
        routes: Routes,
        now_ms: Callable[[], int],
        log: Callable[..., None],
        revoked: Callable[[], frozenset[str]],
        patience: Patience | None = None,
        connections_max: int = CONNECTIONS_MAX,
    ) -> None:
        """revoked: the certificates of clients that may be used no more, as `Snapshot` has them."""
        self.routes = routes
        self.pen = Pen(now_ms)
        self.bodies = Bodies()
        self.now_ms = now_ms
        self._log = log
        self._patience = patience or Patience()
        self._connections_max = connections_max
        self._connections: set[Guest] = set()
        self._peers = Peers(now_ms, revoked)
        self._left: set[asyncio.Task[Any]] = set()  # answers whose connections have gone
        # Accepted and not counted in yet: a handshake of TLS goes on. One that fails is forgotten.
        self._arriving: weakref.WeakSet[Guest] = weakref.WeakSet()
        self._doors = Doors(
            self._accept, self._has_room, TLS_HANDSHAKE_TIMEOUT_S, self._patience.linger_s
        )

    async def start(self, listening: socket.socket, context: ssl.SSLContext | None = None) -> None:
        """Accept connections on a bound socket; over TLS, if there is a context."""
        await self._doors.add(listening, context)

    async def renew_tls(self, context: ssl.SSLContext) -> None:
        """Let the next connections have another certificate; those that are open go on."""
        await self._doors.renew(context)

    async def stop(self, grace_s: float = STOP_GRACE_S) -> None:
        """Accept nothing more, let running answers end within `grace_s`, then cut them off.

        An answer that is cut off ends with an error event, and has a receipt that says so.
        """
        self._doors.close()
        for connection in list(self._connections):
            connection.close()
        if running := self.running:
            await asyncio.wait(running, timeout=grace_s)
        for task in [task for guest in self._connections for task in guest.tasks]:
            task.cancel()
        if running := self.running:
            await asyncio.wait(running, timeout=_INTERRUPTED_S)
        for connection in list(self._connections):
            connection.close()

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._connections)

    @property
    def running(self) -> list[asyncio.Task[Any]]:
        """The answers that run."""
        return [*self._left, *(task for guest in self._connections for task in guest.tasks)]

    def enter(self, connection: Guest, transport: asyncio.BaseTransport) -> bool:
        """Count a connection in. False if there are too many, before the doors were shut.

        Also if its client has shown a certificate that may not be used any more.
        """
        self._arriving.discard(connection)
        if self._inside >= self._connections_max:
            return False
        if not self._peers.admit(connection, shown_by(transport)):
            return False
        self._connections.add(connection)
        return True

    def succeed(self, connection: Guest, by: Guest) -> None:
        """Count another in the place of one that was counted in: it goes on with its transport."""
        self._connections.discard(connection)
        self._connections.add(by)
        self._peers.succeed(connection, by)

    def leave(self, connection: Guest) -> None:
        """Count a connection out."""
        self._connections.discard(connection)
        self._peers.forget(connection)

    def _accept(self) -> Entrance:
        entrance = Entrance(self, self._patience)
        self._arriving.add(entrance)
        if not self._has_room():
            self._doors.wait_for_room()
        return entrance

    @property
    def _inside(self) -> int:
        return len(self._connections) + len(self._arriving)

    def _has_room(self) -> bool:
        return self._inside < self._connections_max

    def track(self, task: asyncio.Task[Any]) -> None:
        """Remember an answer whose connection has gone, so that a stop can wait for its receipt."""
        self._left.add(task)
        task.add_done_callback(self._left.discard)

    def report(self, error: BaseException) -> None:
        """Log where our own code failed; never the message, which could hold what users wrote."""
        frames = traceback.extract_tb(error.__traceback__)
        place = f"{frames[-1].name}:{frames[-1].lineno}" if frames else "?"
        self._log("bug", error=type(error).__name__, place=place)
