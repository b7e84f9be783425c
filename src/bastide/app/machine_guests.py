# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""How much of control other machines may use: connections, requests in work, threads, memory.

A machine that joined may be hostile, or broken: it must not keep gateways here from the ledger.
What it asks beyond its part waits in its own network: control reads no more of it. Connections of
one machine take turns.
"""

import asyncio
import contextlib
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from bastide.core.errors import Unavailable
from bastide.core.limits import (
    MACHINE_ASKS_MAX,
    MACHINE_CONNECTIONS_MAX,
    MACHINE_THREADS_MAX,
    MACHINE_UNREAD_BYTES_MAX,
    MACHINES_THREADS_MAX,
)
from bastide.core.service import Caller

__all__ = ["Guests", "reads"]

_T = TypeVar("_T")


class _Part:
    """What one machine takes. It outlives connections, as work that they began does."""

    def __init__(self) -> None:
        self.connections = 0
        self.asks = asyncio.Semaphore(MACHINE_ASKS_MAX)
        self.threads = asyncio.Semaphore(MACHINE_THREADS_MAX)


class Guests:
    """Belongs to control's event loop. There are as many parts as machines in the ledger."""

    def __init__(self) -> None:
        self._parts: dict[tuple[str, str], _Part] = {}
        self._threads = ThreadPoolExecutor(MACHINES_THREADS_MAX, "machines")
        self._closed = False

    @contextlib.contextmanager
    def connected(self, caller: Caller) -> Generator[None]:
        """One more connection of a machine, for a block. Raises Unavailable if it has too many."""
        part = self._part(caller)
        if part.connections >= MACHINE_CONNECTIONS_MAX:
            raise Unavailable(
                f"the machine {caller.machine} has {MACHINE_CONNECTIONS_MAX} connections already"
            )
        part.connections += 1
        try:
            yield
        finally:
            part.connections -= 1

    async def begin(self, caller: Caller) -> Callable[[object], None]:
        """Wait until a machine may ask once more; what to call when that is answered."""
        part = self._part(caller)
        await part.asks.acquire()
        return lambda _: part.asks.release()

    async def run(self, caller: Caller, deed: Callable[..., _T], *given: object) -> _T:
        """Do it on a thread that machines have, when it is this one's turn."""
        async with self._part(caller).threads:
            return await self.welcome(deed, *given)

    async def welcome(self, deed: Callable[..., _T], *given: object) -> _T:
        """Do it for somebody whom the ledger does not know yet. Raises Unavailable at the end."""
        if self._closed:
            raise Unavailable("control ends")
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, deed, *given)

    def close(self) -> None:
        """Begin nothing more."""
        self._closed = True
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _part(self, caller: Caller) -> _Part:
        return self._parts.setdefault((caller.role, caller.machine), _Part())


def reads(writer: asyncio.StreamWriter, coming: int) -> bool:
    """Whether a machine reads what it is told; who does not is cut, before `coming` bytes more."""
    if writer.transport.get_write_buffer_size() <= max(MACHINE_UNREAD_BYTES_MAX, coming):
        return True
    writer.transport.abort()
    return False
