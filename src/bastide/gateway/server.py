# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The listening side: connections, their number, and a stop that lets answers end."""

import asyncio
import socket
import ssl
import traceback
from collections.abc import Callable
from typing import Any

from bastide.core.limits import CONNECTIONS_MAX, STOP_GRACE_S, TLS_HANDSHAKE_TIMEOUT_S
from bastide.gateway.entrance import Entrance
from bastide.gateway.host import Guest, Patience
from bastide.gateway.inbound import Bodies
from bastide.gateway.reply import Pen
from bastide.gateway.routes import Routes

__all__ = ["Server"]

_BACKLOG = 1_024
_INTERRUPTED_S = 1.5  # for the receipts of answers that were cut off


class Server:
    """Accepts connections, plain and over TLS, and serves `routes` on them."""

    def __init__(
        self,
        routes: Routes,
        now_ms: Callable[[], int],
        log: Callable[..., None],
        patience: Patience | None = None,
        connections_max: int = CONNECTIONS_MAX,
    ) -> None:
        self.routes = routes
        self.pen = Pen(now_ms)
        self.bodies = Bodies()
        self.now_ms = now_ms
        self._log = log
        self._patience = patience or Patience()
        self._connections_max = connections_max
        self._connections: set[Guest] = set()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._listeners: list[asyncio.Server] = []
        self._tls_socket: socket.socket | None = None
        self._tls_listener: asyncio.Server | None = None

    async def start(self, listening: socket.socket) -> None:
        """Accept connections on a bound socket."""
        self._listeners.append(await self._listen(listening))

    async def start_tls(self, listening: socket.socket, context: ssl.SSLContext) -> None:
        """Accept connections over TLS on another bound socket."""
        self._tls_socket = listening
        await self.renew_tls(context)

    async def renew_tls(self, context: ssl.SSLContext) -> None:
        """Let the next connections have another certificate; those that are open go on."""
        assert self._tls_socket is not None
        old = self._tls_listener
        # A listener owns its socket; ours is kept, so that no connection is refused in between.
        self._tls_listener = await self._listen(self._tls_socket.dup(), context)
        if old is not None:
            old.close()

    async def _listen(
        self, listening: socket.socket, context: ssl.SSLContext | None = None
    ) -> asyncio.Server:
        return await asyncio.get_running_loop().create_server(
            lambda: Entrance(self, self._patience),
            sock=listening,
            backlog=_BACKLOG,
            ssl=context,
            ssl_handshake_timeout=None if context is None else TLS_HANDSHAKE_TIMEOUT_S,
            ssl_shutdown_timeout=None if context is None else self._patience.linger_s,
        )

    async def stop(self, grace_s: float = STOP_GRACE_S) -> None:
        """Accept nothing more, let running answers end within `grace_s`, then cut them off.

        An answer that is cut off ends with an error event, and has a receipt that says so.
        """
        for listener in self._listeners:
            listener.close()
        if self._tls_listener is not None and self._tls_socket is not None:
            self._tls_listener.close()
            self._tls_socket.close()
        for connection in list(self._connections):
            connection.close()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=grace_s)
        for connection in list(self._connections):
            connection.interrupt()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_INTERRUPTED_S)
        for connection in list(self._connections):
            connection.close()

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._connections)

    def enter(self, connection: Guest) -> bool:
        """Count a connection in. False if there are too many."""
        if len(self._connections) >= self._connections_max:
            return False
        self._connections.add(connection)
        return True

    def leave(self, connection: Guest) -> None:
        """Count a connection out."""
        self._connections.discard(connection)

    def track(self, task: asyncio.Task[Any]) -> None:
        """Remember a running answer, so that a stop can wait for it."""
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def report(self, error: BaseException) -> None:
        """Log where our own code failed; never the message, which could hold what users wrote."""
        frames = traceback.extract_tb(error.__traceback__)
        place = f"{frames[-1].name}:{frames[-1].lineno}" if frames else "?"
        self._log("bug", error=type(error).__name__, place=place)
