# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Jobs: what a connection runs to answer a request, once the caller was let in.

Thousands of them wait at once for their engines, and each coroutine between a connection and its
engine is resumed for every piece of an answer. So a job is an object without closures, and its
steps stand in as few functions as can be read.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

import msgspec

from bastide.core.errors import BastideError, Busy, Exhausted, NotAllowed
from bastide.dialects.surface import Family, Problem, Writer, problem_of
from bastide.gateway.promising import Promised
from bastide.gateway.recall import Recall
from bastide.gateway.reply import Headers, Outgoing, Reply, refusal
from bastide.gateway.spending import Reserved, Spending
from bastide.gateway.watch import Watch
from bastide.ports import Clock, Engine
from bastide.stages.serve import Call, answer, complete

__all__ = ["Deed", "Generation", "House", "Telling"]

Deed = Callable[[Outgoing], Awaitable[None]]
_UNBEGUN: Final = (Busy, Exhausted, NotAllowed)  # what was never begun has no receipt


class House(msgspec.Struct, frozen=True):
    """What all jobs of a gateway share."""

    clock: Clock
    log: Callable[..., None]
    watch: Watch
    spending: Spending
    recall: Recall


class Telling:
    """A job that tells the client, in its family's words, what went wrong.

    `ending` says how a stream that has begun ends, if not by the family's event. A job with a
    call is cut when that call's key or deployment is revoked.
    """

    __slots__ = ("_call", "_deed", "_ending", "_family", "_headers", "_house", "_ident")

    def __init__(
        self,
        house: House,
        deed: Deed,
        family: Family,
        ident: str,
        headers: Headers,
        call: Call | None = None,
        ending: Callable[[Problem], bytes] | None = None,
    ) -> None:
        self._house = house
        self._deed = deed
        self._family = family
        self._ident = ident
        self._headers = headers
        self._call = call
        self._ending = ending

    async def __call__(self, out: Outgoing) -> None:
        """Answer."""
        call, recall = self._call, self._house.recall
        task = None if call is None else recall.enter(call.grant.key, call.served.deployment)
        try:
            await self._deed(out)
        except asyncio.CancelledError:
            revoked = None if task is None else recall.cut(task)
            if revoked is None:
                raise  # the client has gone, or the gateway stops
            self._tell(out, revoked)
        except BastideError as error:
            self._tell(out, error)
        finally:
            if task is not None:
                recall.leave(task)

    def _tell(self, out: Outgoing, error: BastideError) -> None:
        self._house.log("answer-failed", receipt="r_" + self._ident, code=error.code)
        problem = problem_of(error)
        self._house.watch.refused(self._family.name, problem.status)
        told = () if isinstance(error, _UNBEGUN) else self._headers
        reply = refusal(problem, self._family, self._ident, headers=told)
        ending = self._ending
        event = self._family.event(problem, self._ident) if ending is None else ending(problem)
        out.fail(reply, event)


class Counting(Protocol):
    """Where a call's receipt goes, and what it had reserved of a budget. Raises Exhausted."""

    def __call__(self, call: Call, may_promise: bool) -> tuple[Promised, Reserved | None]: ...


class Generation:
    """The deed of a call that a model answers: whole, or as a stream."""

    __slots__ = ("_call", "_count", "_engine", "_headers", "_house", "_may_promise", "_writer")

    def __init__(
        self,
        house: House,
        call: Call,
        engine: Engine,
        writer: Writer,
        headers: Headers,
        count: Counting,
        may_promise: bool,
    ) -> None:
        self._house = house
        self._call = call
        self._engine = engine
        self._writer = writer
        self._headers = headers
        self._count = count
        self._may_promise = may_promise

    async def whole(self, out: Outgoing) -> None:
        """Send the answer once all of it is there."""
        house, call = self._house, self._call
        # Not before: a job that is cancelled before it begins could give nothing back.
        sink, reserved = self._count(call, self._may_promise)
        try:
            said, last = await complete(call, self._engine, sink, house.clock, house.watch.answered)
            body = self._writer.whole(said, last)
            out.reply(Reply(200, body, sink.headers(self._headers)))
        finally:
            house.spending.release(reserved)

    async def stream(self, out: Outgoing) -> None:
        """Send the answer piece by piece."""
        house, call, writer, headers = self._house, self._call, self._writer, self._headers
        sink, reserved = self._count(call, self._may_promise)
        deltas = answer(call, self._engine, sink, house.clock, house.watch.answered)
        opening = writer.first()
        try:
            async for delta in deltas:
                if delta.finish is not None:
                    out.finish(opening + sink.comment + writer.last(delta), headers)
                elif delta.call is not None:
                    await out.stream(opening + writer.call(delta.call), headers)
                    opening = b""
                elif delta.text:
                    await out.stream(opening + writer.piece(delta.text), headers)
                    opening = b""
        finally:
            await deltas.aclose()
            house.spending.release(reserved)
