# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Replicated: the engines of one deployment as one engine.

core/replicas.py decides who is asked. One that is down or full is passed over, but only before the
first piece of an answer: after it nothing is asked again, and the answer fails with its engine.

* Sealed: only the replica that the client chose can open it, so no other is ever asked.
* Down: nothing was begun there, so any number of them is passed over.
* Busy: REPLICA_TRIES are asked, so that a flood costs no more than that.
* The engine failed with the request inside: one other is asked and no third, because a request
  that kills engines must not go round.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import TypeVar

from bastide.core.chat import Delta, Embedded, EmbedRequest, GenerateRequest, TokenChoice
from bastide.core.errors import Busy, Down, NotFound, Unavailable
from bastide.core.limits import REPLICA_TRIES
from bastide.core.replicas import Replicas, affinity
from bastide.ports import Clock, Engine

__all__ = ["ReplicatedEngine"]

T = TypeVar("T")


class ReplicatedEngine:
    """Several engines that answer alike. Belongs to one event loop."""

    def __init__(
        self, engines: Sequence[Engine], clock: Clock, slots: int, gateways: int = 1
    ) -> None:
        self._engines = engines
        self._clock = clock
        self.replicas = Replicas(len(engines), slots, gateways)

    def generate(self, request: GenerateRequest) -> AsyncIterator[Delta]:
        """Answer a request piece by piece, at the replica that knows its beginning."""
        return _Answer(self, request)

    async def count(self, request: GenerateRequest) -> int:
        """As one of them answers."""
        return await self._any(request.tenant, lambda engine: engine.count(request))

    async def embed(self, request: EmbedRequest) -> Embedded:
        """As one of them answers: who reads a text whole has nothing of earlier ones."""
        return await self._any(request.tenant, lambda engine: engine.embed(request))

    async def next_tokens(self, prompt: str, count: int) -> Sequence[TokenChoice]:
        """As one of them answers."""
        return await self._any("", lambda engine: engine.next_tokens(prompt, count))

    async def health(self) -> None:
        """Return if one of them can answer. Raises Unavailable."""
        await self._any("", lambda engine: engine.health())

    async def close(self) -> None:
        """Close them all."""
        await asyncio.gather(*(engine.close() for engine in self._engines))

    @property
    def count_replicas(self) -> int:
        """How many there are."""
        return len(self._engines)

    def engine(self, replica: int) -> Engine:
        """One of them."""
        return self._engines[replica]

    def search(self, tenant: str, key: int | None) -> "Search":
        """Begin to look for a replica that answers."""
        return Search(self.replicas, self._clock, tenant, key)

    async def _any(self, tenant: str, ask: Callable[[Engine], Awaitable[T]]) -> T:
        search = self.search(tenant, None)
        while True:
            replica = search.next()
            try:
                return await ask(self._engines[replica])
            except Unavailable as error:
                search.failed(error)
            finally:
                self.replicas.leave(tenant, replica)


class Search:
    """The replicas that one request has been to."""

    __slots__ = ("_busy", "_clock", "_error", "_key", "_lost", "_replicas", "_tenant", "_tried")

    def __init__(self, replicas: Replicas, clock: Clock, tenant: str, key: int | None) -> None:
        self._replicas = replicas
        self._clock = clock
        self._tenant = tenant
        self._key = key
        self._tried: list[int] = []
        self._busy = self._lost = 0
        self._error: Unavailable | None = None

    def next(self) -> int:
        """The next one, entered. Raises what the best of those before said."""
        over = self._busy >= REPLICA_TRIES or self._lost > 1
        now = self._clock.monotonic()
        found = self._replicas.choose(now, self._tenant, self._key, self._tried)
        if found is None or over:
            assert self._error is not None
            raise self._error
        self._tried.append(found)
        self._replicas.enter(self._tenant, found)
        return found

    def failed(self, error: Unavailable) -> None:
        """The last one said no."""
        if isinstance(error, Busy):
            self._busy += 1
            before = self._error
            # The client comes back when the first of them can answer.
            sooner = not isinstance(before, Busy) or error.retry_after_s < before.retry_after_s
            self._error = error if sooner else before
            return
        self._lost += not isinstance(error, Down)
        self._replicas.fell(self._clock.monotonic(), self._tried[-1])
        if not isinstance(self._error, Busy):
            self._error = error


class _Answer:
    """The deltas of one answer. No generator, for the reason that adapters/engine/remote.py has."""

    __slots__ = ("_begun", "_engine", "_replica", "_request", "_stream", "_tenant")

    def __init__(self, engine: ReplicatedEngine, request: GenerateRequest) -> None:
        self._engine = engine
        self._request: GenerateRequest | None = request  # until it has begun
        self._tenant = request.tenant
        self._stream: AsyncIterator[Delta] | None = None
        self._replica = 0
        self._begun = False

    def __aiter__(self) -> AsyncIterator[Delta]:
        return self

    def __anext__(self) -> Awaitable[Delta]:
        stream = self._stream
        if stream is not None and self._begun:
            return stream.__anext__()
        assert self._request is not None
        return self._begin(self._request)

    async def aclose(self) -> None:
        """End the answer."""
        stream, self._stream = self._stream, None
        if stream is None:
            return
        self._engine.replicas.leave(self._tenant, self._replica)
        close = getattr(stream, "aclose", None)
        if close is not None:
            await close()

    async def _begin(self, request: GenerateRequest) -> Delta:
        if request.sealed is not None:
            return await self._begin_at(request.sealed.replica - 1, request)
        search = self._engine.search(request.tenant, affinity(request))
        while True:
            self._replica = search.next()
            self._stream = self._engine.engine(self._replica).generate(request)
            try:
                delta = await self._stream.__anext__()
            except Unavailable as error:
                await self.aclose()
                search.failed(error)
            else:
                self._begun, self._request = True, None
                return delta

    async def _begin_at(self, replica: int, request: GenerateRequest) -> Delta:
        """At one replica, whatever comes of it. Raises NotFound if there is no such one."""
        if not 0 <= replica < self._engine.count_replicas:
            raise NotFound("The model has no such replica.", reasons=["node_not_found"])
        self._replica = replica
        self._engine.replicas.enter(self._tenant, replica)
        self._stream = self._engine.engine(replica).generate(request)
        try:
            delta = await self._stream.__anext__()
        except BaseException:
            await self.aclose()
            raise
        self._begun, self._request = True, None
        return delta
