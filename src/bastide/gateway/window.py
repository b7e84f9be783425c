# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Window: how much may be on its way to one engine, so that no flood costs our memory.

Who is answered first is decided in the runner (core/fair_queue.py), where all gateways meet. What
waits there is held here too, so it is bounded in requests and in bytes, and one tenant never gets
more than half of either: the others still come through.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Final

from bastide.core.chat import Delta, Embedded, EmbedRequest, GenerateRequest, TokenChoice
from bastide.core.errors import Busy
from bastide.core.limits import WINDOW_BYTES_MAX, WINDOW_REQUESTS_MAX
from bastide.core.snapshot import Served, Snapshot
from bastide.gateway.replicated import ReplicatedEngine
from bastide.ports import Clock, Engine

__all__ = ["EnginePool", "WindowedEngine"]


class _Share:
    """What of one tenant is inside."""

    __slots__ = ("bytes", "requests")

    def __init__(self) -> None:
        self.requests = self.bytes = 0


class WindowedEngine:
    """An engine to which only so much is on its way at once."""

    def __init__(self, engine: Engine, requests_max: int = WINDOW_REQUESTS_MAX) -> None:
        self._engine = engine
        self._requests_max = requests_max
        self._shares: dict[str, _Share] = {}  # of the tenants that have requests inside
        self._all_bytes = 0
        self._inside = 0
        self._held = 0  # by who was let in, and may not have come yet
        self._retired = False

    def full(self, tenant: str, size: int = 0) -> bool:
        """True if one more request of a tenant, of `size` bytes, would not find a place."""
        if self._inside >= self._requests_max or self._all_bytes + size > WINDOW_BYTES_MAX:
            return True
        share = self._shares.get(tenant) or _NOTHING
        return (
            share.requests >= max(1, self._requests_max // 2)
            or share.bytes + size > WINDOW_BYTES_MAX // 2
        )

    @property
    def inside(self) -> int:
        """Requests that run or wait."""
        return self._inside

    def generate(self, request: GenerateRequest) -> AsyncIterator[Delta]:
        """Answer. The first step raises Busy. The place is free again once this is closed."""
        return _Place(self, request)

    async def count(self, request: GenerateRequest) -> int:
        """As the engine answers. Raises Busy: what is counted is held here too."""
        size = _size(request)
        self.enter(request.tenant, size)
        try:
            return await self._engine.count(request)
        finally:
            if self.leave(request.tenant, size):
                await self._engine.close()

    async def embed(self, request: EmbedRequest) -> Embedded:
        """As the engine answers. Raises Busy."""
        size = sum(map(len, request.texts))
        self.enter(request.tenant, size)
        try:
            return await self._engine.embed(request)
        finally:
            if self.leave(request.tenant, size):
                await self._engine.close()

    async def next_tokens(self, prompt: str, count: int) -> Sequence[TokenChoice]:
        """As the engine answers."""
        return await self._engine.next_tokens(prompt, count)

    async def health(self) -> None:
        """Return if the engine can answer. Raises Unavailable."""
        await self._engine.health()

    async def close(self) -> None:
        """Close the engine when its last answer has ended."""
        self._retired = True
        if self._over:
            await self._engine.close()

    def hold(self) -> None:
        """Not close before `release`: who was let in comes only after its guard."""
        self._held += 1

    def release(self) -> bool:
        """Let go. True if nobody is left of an engine that is to be closed."""
        self._held -= 1
        return self._over

    def begin(self, request: GenerateRequest) -> AsyncIterator[Delta]:
        """The engine's own answer, for whoever has entered."""
        return self._engine.generate(request)

    def enter(self, tenant: str, size: int) -> None:
        """Take a place. Raises Busy."""
        if self.full(tenant, size):
            raise Busy("Too much of this tenant is on its way to the model.")
        share = self._shares.get(tenant)
        if share is None:
            share = self._shares[tenant] = _Share()
        share.requests += 1
        share.bytes += size
        self._inside += 1
        self._all_bytes += size

    def leave(self, tenant: str, size: int) -> bool:
        """Give a place back. True if nobody is left of an engine that is to be closed."""
        self._inside -= 1
        self._all_bytes -= size
        share = self._shares[tenant]
        share.bytes -= size
        share.requests -= 1
        if not share.requests:
            del self._shares[tenant]
        return self._over

    @property
    def _over(self) -> bool:
        return self._retired and not (self._inside or self._held)


_NOTHING: Final = _Share()


class _Place:
    """An answer that has a place in a window from its first step until it is closed.

    No generator, for the reason that adapters/engine/remote.py has.
    """

    __slots__ = ("_request", "_size", "_stream", "_tenant", "_window")

    def __init__(self, window: WindowedEngine, request: GenerateRequest) -> None:
        self._window = window
        self._request: GenerateRequest | None = request  # until it is handed on
        self._tenant = request.tenant
        self._size = -1
        self._stream: AsyncIterator[Delta] | None = None

    def __aiter__(self) -> AsyncIterator[Delta]:
        return self

    def __anext__(self) -> Awaitable[Delta]:
        stream = self._stream
        if stream is None:
            stream = self._enter()
        return stream.__anext__()

    async def aclose(self) -> None:
        """End the answer, and give the place back."""
        stream, self._stream = self._stream, None
        size, self._size = self._size, -1
        try:
            close = getattr(stream, "aclose", None)
            if close is not None:
                await close()
        finally:
            if size >= 0 and self._window.leave(self._tenant, size):
                await self._window.close()

    def _enter(self) -> AsyncIterator[Delta]:
        request, self._request = self._request, None
        assert request is not None  # it is entered once
        size = _size(request)
        self._window.enter(self._tenant, size)
        self._size = size
        stream = self._stream = self._window.begin(request)
        return stream


class EnginePool:
    """One engine per deployment, made at its first call, closed when its deployment has ended.

    It is made anew when its runners answer elsewhere; what has begun there comes to its end.
    """

    def __init__(
        self,
        make: Callable[[str], Engine],
        clock: Clock,
        requests_max: int = WINDOW_REQUESTS_MAX,
    ) -> None:
        self._make = make
        self._clock = clock
        self._requests_max = requests_max
        self._engines: dict[str, WindowedEngine] = {}
        self._places: dict[str, tuple[str, ...]] = {}
        self._names: dict[str, str] = {}  # of their models
        self._version: int | None = None
        self._closing: set[asyncio.Task[None]] = set()

    def engine(self, served: Served, snapshot: Snapshot) -> WindowedEngine:
        """The engine behind a deployment."""
        if snapshot.version != self._version:
            self._version = snapshot.version
            rows = snapshot.served.values()
            self._retire({row.deployment: row.sockets for row in rows})
        engine = self._engines.get(served.deployment)
        if engine is None:
            # One engine stands alone: nothing chooses on the way of its answers.
            engines = [self._make(socket) for socket in served.sockets]
            whole = (
                engines[0]
                if len(engines) == 1
                else ReplicatedEngine(engines, self._clock, served.slots, snapshot.workers)
            )
            engine = WindowedEngine(whole, self._requests_max)
            self._engines[served.deployment] = engine
            self._places[served.deployment] = served.sockets
            self._names[served.deployment] = served.name
        return engine

    @property
    def inside(self) -> dict[str, int]:
        """Requests that run or wait, by model."""
        counts: Counter[str] = Counter()
        for deployment, engine in self._engines.items():
            counts[self._names[deployment]] += engine.inside
        return dict(counts)

    async def close(self) -> None:
        """Close all engines."""
        self._retire({})
        while self._closing:
            await asyncio.gather(*self._closing, return_exceptions=True)

    def _retire(self, wanted: Mapping[str, tuple[str, ...]]) -> None:
        for name in [name for name, at in self._places.items() if wanted.get(name) != at]:
            del self._names[name], self._places[name]
            task = asyncio.create_task(self._engines.pop(name).close())
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)


def _size(request: GenerateRequest) -> int:
    size = len(request.prompt or "")
    for message in request.messages:
        size += len(message.content)
    return size
