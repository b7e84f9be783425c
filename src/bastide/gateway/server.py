# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The listening side: connections, their number, and a stop that lets answers end."""

import asyncio
import socket
import traceback
from collections.abc import Callable
from typing import Any

from bastide.core.limits import CONNECTIONS_MAX, STOP_GRACE_S
from bastide.gateway.connection import Connection, Patience
from bastide.gateway.reply import Pen
from bastide.gateway.routes import Routes

__all__ = ["Server"]

_INTERRUPTED_S = 1.5  # for the receipts of answers that were cut off


class Server:
    """Accepts connections on one socket and serves `routes` on them."""

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
        self._log = log
        self._patience = patience or Patience()
        self._connections_max = connections_max
        self._connections: set[Connection] = set()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._listener: asyncio.Server | None = None

    async def start(self, listening: socket.socket) -> None:
        """Accept connections on a bound socket."""
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(
            lambda: Connection(self, self._patience), sock=listening, backlog=1024
        )

    async def stop(self, grace_s: float = STOP_GRACE_S) -> None:
        """Accept nothing more, let running answers end within `grace_s`, then cut them off.

        An answer that is cut off ends with an error event, and has a receipt that says so.
        """
        if self._listener is not None:
            self._listener.close()
        for connection in list(self._connections):
            connection.close()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=grace_s)
        cut = [connection.interrupt() for connection in list(self._connections)]
        running = {task for task in cut if task is not None} | self._tasks
        if running:
            await asyncio.wait(running, timeout=_INTERRUPTED_S)
        for connection in list(self._connections):
            connection.close()

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._connections)

    def enter(self, connection: Connection) -> bool:
        """Count a connection in. False if there are too many."""
        if len(self._connections) >= self._connections_max:
            return False
        self._connections.add(connection)
        return True

    def leave(self, connection: Connection) -> None:
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
