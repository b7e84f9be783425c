# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The doors of a server: its listening sockets, which accept only while there is room.

While they are shut the sockets stay bound, so who comes waits in the kernel's queue and is not
turned away. That is also what keeps the process from running out of descriptors: at that limit
uvloop would accept connections only to drop them, and no runner could be reached any more.
"""

import asyncio
import resource
import socket
import ssl
from collections.abc import Callable
from typing import Any, Final

from bastide.core.errors import Misconfigured
from bastide.core.limits import CONNECTIONS_MAX, DESCRIPTORS_KEPT

__all__ = ["Doors", "connections_within"]

_BACKLOG: Final = 1_024
_LOOK_S: Final = 0.05  # how soon room is seen


class Doors:
    """Accepts with protocols that `make` gives, as long as `has_room` says so."""

    def __init__(
        self,
        make: Callable[[], asyncio.Protocol],
        has_room: Callable[[], bool],
        handshake_s: float,
        shutdown_s: float,
    ) -> None:
        self._make = make
        self._has_room = has_room
        self._handshake_s = handshake_s
        self._shutdown_s = shutdown_s
        self._sockets: list[tuple[socket.socket, ssl.SSLContext | None]] = []
        self._open: list[asyncio.Server] = []
        self._opening = asyncio.Lock()
        self._looking: asyncio.TimerHandle | None = None
        self._reopening: asyncio.Task[None] | None = None  # a loop holds its tasks weakly
        self._closed = False

    async def add(self, listening: socket.socket, context: ssl.SSLContext | None = None) -> None:
        """Accept connections on a bound socket, which is ours from now on."""
        self._sockets.append((listening, context))
        await self._let_in()

    async def renew(self, context: ssl.SSLContext) -> None:
        """Let the next connections over TLS have another certificate; those that are open go on."""
        self._sockets = [(row, None if old is None else context) for row, old in self._sockets]
        await self._let_in()

    def wait_for_room(self) -> None:
        """Accept nothing until there is room again."""
        if self._looking is None and not self._closed:
            loop = asyncio.get_running_loop()
            loop.call_soon(self._shut)  # not within the call of one of them
            self._looking = loop.call_later(_LOOK_S, self._look)

    def close(self) -> None:
        """Accept nothing more; who waits is turned away."""
        self._closed = True
        if self._looking is not None:
            self._looking.cancel()
        self._shut()
        for listening, _ in self._sockets:
            listening.close()

    def _look(self) -> None:
        loop = asyncio.get_running_loop()
        if self._has_room():
            self._looking = None
            self._reopening = loop.create_task(self._let_in())
        else:
            self._looking = loop.call_later(_LOOK_S, self._look)

    async def _let_in(self) -> None:
        async with self._opening:
            if self._closed or self._looking is not None:
                return
            before, self._open = self._open, []
            for listening, context in self._sockets:
                self._open.append(await self._listen(listening, context))
            # Only now, so that no connection is refused in between.
            for server in before:
                server.close()

    def _shut(self) -> None:
        for server in self._open:
            server.close()
        self._open = []

    async def _listen(
        self, listening: socket.socket, context: ssl.SSLContext | None
    ) -> asyncio.Server:
        secure: dict[str, Any] = {} if context is None else {
            "ssl_handshake_timeout": self._handshake_s,
            "ssl_shutdown_timeout": self._shutdown_s,
        }  # fmt: skip
        return await asyncio.get_running_loop().create_server(
            # A listener owns its socket; ours is kept.
            self._make,
            sock=listening.dup(),
            backlog=_BACKLOG,
            ssl=context,
            **secure,
        )


def connections_within(descriptors: int) -> int:
    """How many connections so many descriptors allow, with some left for runners and control.

    Raises Misconfigured if they are too few for any.
    """
    if descriptors == resource.RLIM_INFINITY:
        return CONNECTIONS_MAX
    most = descriptors - min(DESCRIPTORS_KEPT, descriptors // 2)
    if most < 1:
        raise Misconfigured(
            f"this process may open {descriptors} files: raise `ulimit -Hn` or LimitNOFILE="
        )
    return min(CONNECTIONS_MAX, most)
