# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""A door of our own services: it accepts anybody, and gives on whoever has proven a name in TLS.

Everybody who reaches the port can begin a handshake. So it takes SERVICE_HANDSHAKE_S at the most,
and so many go on at once. When one more comes, the oldest goes of the network that has most of
them: who floods displaces their own, and who proves what they are within a moment gets in.
"""

import asyncio
import contextlib
import ipaddress
import socket
import ssl
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Final

from bastide.core.limits import SERVICE_HANDSHAKE_S, SERVICE_HANDSHAKES_MAX

__all__ = ["Handshakes"]

_BACKLOG: Final = 128
_AGAIN_S: Final = 0.5  # without a descriptor, or while the network is down

Admit = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Handshakes:
    """Accepts on a bound socket, which is ours from now on, until `close`. Needs a running loop.

    crowded: called when somebody is turned away for the first time, and again once it was calm.
    """

    def __init__(
        self,
        bound: socket.socket,
        context: ssl.SSLContext,
        admit: Admit,
        crowded: Callable[[], None],
        most: int = SERVICE_HANDSHAKES_MAX,
    ) -> None:
        self._bound, self._context, self._admit = bound, context, admit
        self._crowded, self._most = crowded, most
        self._told = False
        self._going: dict[asyncio.Task[None], str] = {}  # the oldest first, and from which network
        self._loop = asyncio.get_running_loop()
        bound.listen(_BACKLOG)
        self._accepting = self._loop.create_task(self._accept())

    @property
    def going(self) -> int:
        """How many prove who they are now."""
        return len(self._going)

    def close(self) -> None:
        """Accept nobody more; handshakes that go on are cut, connections stay."""
        self._accepting.cancel()
        for task in self._going:
            task.cancel()

    async def _accept(self) -> None:
        with self._bound:  # closed only once the loop watches it no more
            while True:
                try:
                    connection, address = await self._loop.sock_accept(self._bound)
                except OSError:
                    await asyncio.sleep(_AGAIN_S)
                else:
                    self._begin(connection, _network(address[0]))
                    # Who waits in the queue must not hold up everybody else.
                    await asyncio.sleep(0)

    def _begin(self, connection: socket.socket, network: str) -> None:
        if len(self._going) >= self._most:
            self._make_room()
        task = self._loop.create_task(self._shake(connection))
        self._going[task] = network
        task.add_done_callback(self._ended)

    def _make_room(self) -> None:
        counts = Counter(self._going.values())
        fullest = max(counts.values())
        oldest = next(task for task, network in self._going.items() if counts[network] == fullest)
        del self._going[oldest]
        oldest.cancel()
        if not self._told:
            self._told = True
            self._crowded()

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._going.pop(task, None)
        if not self._going:
            self._told = False

    async def _shake(self, connection: socket.socket) -> None:
        reader = asyncio.StreamReader()
        made = asyncio.StreamReaderProtocol(reader, self._admit)
        with contextlib.suppress(OSError):  # it proves nothing, took too long, or is gone
            await self._loop.connect_accepted_socket(
                lambda: made,
                connection,
                ssl=self._context,
                ssl_handshake_timeout=SERVICE_HANDSHAKE_S,
            )


def _network(host: str) -> str:
    """Whose an address is: of IPv6, one subscriber has a /64 at least."""
    address = ipaddress.ip_address(host.partition("%")[0])
    if address.version == 4 or address.ipv4_mapped is not None:
        return str(address)
    return str(ipaddress.ip_network((int(address) >> 64 << 64, 64)))
