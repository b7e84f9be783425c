# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Slots: no more answers at once than a deployment has, and a short queue before them."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence

from bastide.core.chat import Delta, GenerateRequest, TokenChoice
from bastide.core.limits import QUEUE_PER_SLOT
from bastide.core.snapshot import Served, Snapshot
from bastide.ports import Engine

__all__ = ["EnginePool", "WindowedEngine"]


class WindowedEngine:
    """An engine of which at most `slots` answers run; others wait in order of arrival."""

    def __init__(self, engine: Engine, slots: int) -> None:
        self._engine = engine
        self._slots = asyncio.Semaphore(slots)
        self._inside_max = slots * (1 + QUEUE_PER_SLOT)
        self._inside = 0
        self._retired = False

    @property
    def full(self) -> bool:
        """True if one more request would not even find a place in the queue."""
        return self._inside >= self._inside_max

    @property
    def inside(self) -> int:
        """Requests that run or wait."""
        return self._inside

    async def generate(self, request: GenerateRequest) -> AsyncIterator[Delta]:
        """Wait for a slot, then answer. The slot is free again once this is closed."""
        self._inside += 1
        try:
            async with self._slots:
                stream = self._engine.generate(request)
                try:
                    async for delta in stream:
                        yield delta
                finally:
                    close = getattr(stream, "aclose", None)
                    if close is not None:
                        await close()
        finally:
            self._inside -= 1
            if self._retired and self._inside == 0:
                await self._engine.close()

    async def next_tokens(self, prompt: str, count: int) -> Sequence[TokenChoice]:
        """As the engine answers."""
        async with self._slots:
            return await self._engine.next_tokens(prompt, count)

    async def health(self) -> None:
        """Return if the engine can answer. Raises Unavailable."""
        await self._engine.health()

    async def close(self) -> None:
        """Close the engine when its last answer has ended."""
        self._retired = True
        if self._inside == 0:
            await self._engine.close()


class EnginePool:
    """One engine per deployment, made at its first call, closed when its deployment has ended."""

    def __init__(self, make: Callable[[str], Engine]) -> None:
        self._make = make
        self._engines: dict[str, WindowedEngine] = {}
        self._version: int | None = None
        self._closing: set[asyncio.Task[None]] = set()

    def engine(self, served: Served, snapshot: Snapshot) -> WindowedEngine:
        """The engine behind a deployment."""
        if snapshot.version != self._version:
            self._version = snapshot.version
            self._retire({row.deployment for row in snapshot.served.values()})
        engine = self._engines.get(served.deployment)
        if engine is None:
            engine = WindowedEngine(self._make(served.socket), served.slots)
            self._engines[served.deployment] = engine
        return engine

    async def close(self) -> None:
        """Close all engines."""
        self._retire(set())
        while self._closing:
            await asyncio.gather(*self._closing, return_exceptions=True)

    def _retire(self, wanted: set[str]) -> None:
        for name in [name for name in self._engines if name not in wanted]:
            task = asyncio.create_task(self._engines.pop(name).close())
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)
