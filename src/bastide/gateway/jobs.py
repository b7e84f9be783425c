# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Jobs: what a connection runs to answer a request, once the caller was let in.

Thousands of them wait at once for their engines, and each coroutine between a connection and its
engine is resumed for every piece of an answer. So a job is an object without closures, and two
coroutines stand between a task and its engine: the job's own, and the stage's `answer`.
"""

import asyncio
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Final, Self

import msgspec

from bastide.core.chat import Delta, GenerateRequest
from bastide.core.errors import BastideError, Busy, Exhausted, NotAllowed
from bastide.dialects.surface import Family, Problem, Writer, problem_of
from bastide.gateway.promising import Promised, Promises
from bastide.gateway.recall import Recall
from bastide.gateway.reply import Headers, Outgoing, Reply, refusal
from bastide.gateway.spending import Counted, Reserved, Spending
from bastide.gateway.watch import Watch
from bastide.gateway.window import WindowedEngine
from bastide.ports import Clock, ReceiptSink
from bastide.stages.serve import Call, Note, answer

__all__ = ["Deed", "Errand", "Generation", "House"]

Deed = Callable[[Outgoing], Awaitable[None]]
Failing = Callable[[Any, Problem], bytes]
_UNBEGUN: Final = (Busy, Exhausted, NotAllowed)  # what was never begun has no receipt


class House(msgspec.Struct, frozen=True):
    """What all jobs of a gateway share."""

    clock: Clock
    log: Callable[..., None]
    watch: Watch
    spending: Spending
    recall: Recall
    note: Note  # of the watch; here, so that it is not made for each answer
    control: ReceiptSink
    promises: Promises | None = None

    def counted(self, call: Call, may_promise: bool) -> tuple[Promised, Reserved | None]:
        """Where a call's receipt goes, and what it reserved of a budget. Raises Exhausted."""
        snapshot = call.snapshot
        promises = self.promises if may_promise and snapshot.receipts == "promised" else None
        reserved = self.spending.reserve(snapshot, call.grant, call.served.name, call.request)
        if reserved is None:
            return Promised(promises, self.control), None
        reserved.late = promises is not None
        return Promised(promises, Counted(self.control, self.spending, reserved)), reserved


class _Telling:
    """A job, and a context that tells its client, in its family's words, what went wrong inside.

    A job with a call is cut when that call's key or deployment is revoked.
    """

    __slots__ = ("_call", "_family", "_headers", "_house", "_ident", "_out", "_task")

    def __init__(
        self, house: House, family: Family, ident: str, headers: Headers, call: Call | None
    ) -> None:
        self._house = house
        self._family = family
        self._ident = ident
        self._headers = headers
        self._call = call
        self._task: asyncio.Task[Any] | None = None
        self._out: Outgoing

    def _telling(self, out: Outgoing) -> Self:
        """What to be in while `out` is answered."""
        self._out = out
        return self

    def __enter__(self) -> None:
        if self._call is not None:
            self._task = self._house.recall.enter(self._call)

    def __exit__(
        self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None
    ) -> bool:
        """True if the client was told. Who cancels a task is told by its connection."""
        task, recall = self._task, self._house.recall
        try:
            if isinstance(error, asyncio.CancelledError) and task is not None:
                error = recall.cut(task)
            if not isinstance(error, BastideError):
                return False
            self._tell(error)
            return True
        finally:
            if task is not None:
                recall.leave(task)

    def _tell(self, error: BastideError) -> None:
        self._house.log("answer-failed", receipt="r_" + self._ident, code=error.code)
        problem = problem_of(error)
        self._house.watch.refused(self._family.name, problem.status)
        told = () if isinstance(error, _UNBEGUN) else self._headers
        reply = refusal(problem, self._family, self._ident, headers=told)
        self._out.fail(reply, self._event(problem))

    def _event(self, problem: Problem) -> bytes:
        """What ends a stream that has begun."""
        return self._family.event(problem, self._ident)


class Errand(_Telling):
    """A job that does one deed."""

    __slots__ = ("_deed",)

    def __init__(
        self,
        house: House,
        family: Family,
        ident: str,
        deed: Deed,
        headers: Headers = (),
        call: Call | None = None,
    ) -> None:
        super().__init__(house, family, ident, headers, call)
        self._deed = deed

    async def __call__(self, out: Outgoing) -> None:
        """Do it."""
        with self._telling(out):
            await self._deed(out)


class Generation(_Telling):
    """The job of a call that a model answers: whole, or as a stream.

    `failing` says how a stream that has begun ends, if not by the family's event. `light` is what
    is kept of its request from the first piece on; without it, all of it.
    """

    __slots__ = ("_engine", "_failing", "_light", "_may_promise", "_opening", "_streams", "_writer")

    def __init__(
        self,
        house: House,
        family: Family,
        headers: Headers,
        call: Call,
        engine: WindowedEngine,
        writer: Writer,
        streams: bool,
        may_promise: bool,
        failing: Failing | None,
        light: GenerateRequest | None = None,
    ) -> None:
        super().__init__(house, family, call.ident, headers, call)
        self._light = light
        self._engine = engine
        self._writer = writer
        self._streams = streams
        self._may_promise = may_promise
        self._failing = failing
        self._opening = b""  # what goes before the next piece of a stream

    async def __call__(self, out: Outgoing) -> None:
        """Send the answer."""
        with self._telling(out):
            house, call, writer = self._house, self._call, self._writer
            assert call is not None
            # Not before: a job that is cancelled before it begins could give nothing back.
            sink, reserved = house.counted(call, self._may_promise)
            if self._streams:
                self._opening = writer.first()
            hand, engine = self._hand if self._streams else None, self._engine
            engine.hold()
            try:
                said, last = await answer(call, engine, sink, house.clock, house.note, hand)
                if hand is None:
                    body = writer.whole(said, last)
                    out.reply(Reply(200, body, sink.headers(self._headers)))
                else:
                    end = self._opening + sink.comment + writer.last(last)
                    out.finish(end, self._headers)
            finally:
                house.spending.release(reserved)
                if engine.release():
                    await engine.close()

    def _hand(self, delta: Delta) -> Awaitable[None] | None:
        """Send a piece; what is returned is done when the client has read enough."""
        light = self._light
        if light is not None and self._call is not None:
            self._light = None
            self._call.forget(light)
        if delta.call is not None:
            piece = self._writer.call(delta.call)
        elif delta.text:
            piece = self._writer.piece(delta.text)
        else:
            return None
        opening, self._opening = self._opening, b""
        return self._out.stream(opening + piece, self._headers)

    def _event(self, problem: Problem) -> bytes:
        if self._failing is None:
            return super()._event(problem)
        return self._failing(self._writer, problem)
