# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Serve: let a tenant's call reach a model, and state what was answered.

`choose` decides whether a key may ask a model. `answer` hands on the engine's own stream, piece by
piece or whole, with one rule added: the last delta, the one that says the answer is complete, is
given out only after the receipt is durable. So nobody holds a complete answer without a receipt:

* the receipt is not confirmed in time: Unavailable instead of the last delta;
* the engine fails: a receipt with finish ``error``, then the error;
* the client goes away: the engine's stream is closed first, which frees its slot, and then a
  receipt with finish ``cancelled`` is put.

A call that was never begun (Busy) has no receipt. The last two receipts are best effort: there is
nothing left that could be withheld. They state the tokens that the engine had counted when it was
cut off.

It is a coroutine that hands on, and no generator: thousands of them wait at once, and a generator
would be one more object to make, hook into the loop, resume for every piece and close. `embed` does
the same for vectors, which are given out whole.
"""

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import Protocol, TypeVar

import msgspec
from msgspec import structs

from bastide.core.chat import (
    Delta,
    Embedded,
    EmbedRequest,
    FinishReason,
    GenerateRequest,
    Hearing,
    Said,
    Usage,
)
from bastide.core.errors import BastideError, Busy, Filtered, NotAllowed, Unavailable
from bastide.core.money import Price
from bastide.core.receipt import (
    Receipt,
    answer_bytes,
    commit,
    fingerprint_of,
    standing_of,
    vector_bytes,
)
from bastide.core.snapshot import KeyGrant, Served, Snapshot
from bastide.core.standing import Standing
from bastide.detectors.guard import Guard, Steps
from bastide.ports import Clock, Engine, ReceiptSink

__all__ = [
    "EMBEDDED", "Answerer", "Call", "Note", "answer", "choose", "embed", "guarded", "unguarded",
]  # fmt: skip

T = TypeVar("T")
_NOTHING_SAID = Said()
_NOTHING_USED = Usage()
Note = Callable[["Call", Receipt, float], None]  # with the seconds since the call was let in
# Takes a piece of an answer; what it gives back, if anything, is waited for before the next one.
Hand = Callable[[Delta], Awaitable[None] | None]
EMBEDDED = "embedded"  # how a receipt says that the answer is vectors


class Answerer(Protocol):
    """What of an engine is needed to answer."""

    def generate(self, request: GenerateRequest) -> AsyncIterator[Delta]:
        """Answer piece by piece."""
        ...


class Call(msgspec.Struct):
    """One call that was let in. Its repr says nothing: no log line can hold a prompt or a key.

    Of a stream that waits, `forget` leaves what its receipt needs; nothing else ever changes.
    """

    ident: str  # what gateway/idents.py gave; the receipt's id is ``r_`` and this
    request: GenerateRequest | EmbedRequest
    grant: KeyGrant
    served: Served
    snapshot: Snapshot  # what was known when it was let in
    api_key: str
    body: bytes  # the request exactly as it came: the prompt's commitment is over these bytes
    guard: Guard | None = None
    price: Price | None = None
    invocation: str = ""  # what the client calls this call, equal in all its attempts
    retry: bool = False  # the client says that it asks again
    digest: bytes = b""  # of the body, once that is forgotten

    def __repr__(self) -> str:
        return f"Call({self.ident})"

    def lightened(self) -> GenerateRequest:
        """Its request without the words: for whoever goes on with the answer only."""
        asked = self.request
        assert isinstance(asked, GenerateRequest)
        return structs.replace(asked, messages=(), prompt=None, tools=(), schema=None)

    def forget(self, light: GenerateRequest) -> None:
        """The prompt was sent; what remains is its answer. `light`: what `lightened` made."""
        self.digest = hashlib.sha256(self.body).digest()
        self.request, self.body = light, b""

    @property
    def receipt(self) -> str:
        """The id of the receipt that this call will have."""
        standing = self.request.standing
        return "r_" + self.ident if standing is None else standing.receipt


def choose(snapshot: Snapshot, grant: KeyGrant, model: str) -> Served:
    """The deployment behind a model's name, or behind an alias for it.

    Raises NotAllowed if the key's scopes do not mean the model, whether there is one or not, so
    that a key cannot find out which models others have. Raises NotFound; or Down, where nodes must
    be attested and none is.
    """
    meant = snapshot.meant(model)
    if not snapshot.opens(grant, meant):
        raise NotAllowed(f"This API key may not use the model '{model}'.", place="model")
    return snapshot.serving(meant, model)


async def answer(
    call: Call,
    engine: Engine,
    sink: ReceiptSink,
    clock: Clock,
    note: Note | None = None,
    hand: Hand | None = None,
) -> tuple[Said, Delta]:
    """Answer a call: all that was said, and the last delta, once the receipt is durable.

    Every delta before the last goes to `hand`, if there is one. `note` sees the receipt. Cancel
    the task to cancel the answer. Raises Unavailable.
    """
    course, guard, asked = _Course(call, clock, note), call.guard, call.request
    assert isinstance(asked, GenerateRequest)
    try:
        if guard is not None:
            asked = await _in_turns(guard.inward_steps(asked))
        stream = course.begin(unguarded(asked, engine))
        del asked  # thousands of streams wait at once, and each prompt may be long
        async for delta in stream:
            for passed in (delta,) if guard is None else guard.outward(delta):
                if not course.take(passed) and hand is not None:
                    slow = hand(passed)
                    if slow is not None:
                        await slow
            if course.last is not None:
                break
        course.end()
    except Exception as error:
        course.fail(error)
        raise
    finally:
        receipt = await course.settle(sink)
    await sink.put(receipt)
    return course.said, course.last_delta()


class _Course:
    """One answer from its beginning to its receipt.

    `begin`, `take` each delta, `end` or `fail`; then, whatever happened, `settle`.
    """

    __slots__ = ("_begun", "_call", "_clock", "_finish", "_heard", "_let_in", "_note", "_stream",
                 "_usage", "last", "said")  # fmt: skip

    def __init__(self, call: Call, clock: Clock, note: Note | None) -> None:
        self._call = call
        self._clock = clock
        self._note = note
        self._let_in = clock.monotonic()
        self._heard = Hearing()
        self._usage = _NOTHING_USED
        self.last: Delta | None = None  # what says that the answer is complete
        self._finish, self._begun = FinishReason.CANCELLED, True
        self._stream: AsyncIterator[Delta] | None = None
        self.said = _NOTHING_SAID

    def begin(self, stream: AsyncIterator[Delta]) -> AsyncIterator[Delta]:
        """The engine's stream, which is closed in the end."""
        self._stream = stream
        return stream

    def take(self, delta: Delta) -> bool:
        """Hear a piece. True if it is the last."""
        self._heard.hear(delta)
        if delta.usage is not None:
            self._usage = delta.usage
        if delta.finish is None:
            return False
        self.last = delta
        return True

    def end(self) -> None:
        """The stream is over. Raises Unavailable if its end is missing."""
        last = self.last
        if last is None or last.finish not in _ENDS:
            raise Unavailable("The engine stopped before the end of the answer.")
        self._finish = last.finish

    def fail(self, error: Exception) -> None:
        """The stream broke off."""
        refused = isinstance(error, Filtered)
        self._finish = FinishReason.FILTERED if refused else FinishReason.ERROR
        # An engine that says so in the middle of an answer has begun it all the same.
        heard = self._heard.said() != _NOTHING_SAID or self._usage != _NOTHING_USED
        self._begun = heard or not isinstance(error, Busy)

    async def settle(self, sink: ReceiptSink) -> Receipt:
        """Free the engine; make the receipt; hand one over that nothing waits for."""
        close = getattr(self._stream, "aclose", None)
        if close is not None:
            await close()
        said = self.said = self._heard.said()
        failed = self.last is None or self._finish is FinishReason.ERROR
        call = self._call
        # A whole answer that broke off was sent to nobody; a stream was, as far as it came.
        whole = isinstance(call.request, GenerateRequest) and call.request.whole
        sent = not failed or (not whole and said != _NOTHING_SAID)
        receipt = _receipt(call, answer_bytes(said), self._finish, self._usage, self._clock, sent)
        if self._begun and self._note is not None:
            self._note(call, receipt, self._clock.monotonic() - self._let_in)
        if self._begun and failed:
            with contextlib.suppress(BastideError):
                await sink.put(receipt)
        return receipt

    def last_delta(self) -> Delta:
        """What says that the answer is complete, with the final count."""
        assert self.last is not None
        last = self.last
        return Delta(last.text, self._finish, self._usage, met=last.met)


async def guarded(
    request: GenerateRequest, engine: Answerer, guard: Guard
) -> AsyncGenerator[Delta, None]:
    """What a guard lets through of an answer. Raises Filtered for the prompt."""
    stream = unguarded(await _in_turns(guard.inward_steps(request)), engine)
    try:
        async for delta in stream:
            for passed in guard.outward(delta):
                yield passed
                if passed.finish is not None:
                    return
    finally:
        await _close(stream)


def unguarded(request: GenerateRequest, engine: Answerer) -> AsyncIterator[Delta]:
    """An engine's answer as it is. With 0 `max_tokens` the prompt is read, and nothing said."""
    return engine.generate(request) if request.sampling.max_tokens != 0 else _read(request, engine)


async def _read(request: GenerateRequest, engine: Answerer) -> AsyncGenerator[Delta, None]:
    """Have a prompt read and nothing said.

    Every engine says one token at least. It is not given out, and not counted.
    """
    one = structs.replace(request, sampling=structs.replace(request.sampling, max_tokens=1))
    stream, usage = engine.generate(one), _NOTHING_USED
    try:
        async for delta in stream:
            usage = delta.usage or usage
            if delta.finish is not None:
                finish = FinishReason.LENGTH if delta.finish in _ENDS else delta.finish
                yield Delta("", finish, structs.replace(usage, completion_tokens=0))
                return
    finally:
        await _close(stream)


async def _in_turns(steps: Steps[T]) -> T:
    """Go through the steps of a guard; a long prompt must not keep others from their answers."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value
        await asyncio.sleep(0)


async def embed(
    call: Call,
    engine: Engine,
    sink: ReceiptSink,
    clock: Clock,
    note: Note | None = None,
) -> Embedded:
    """Make vectors, and return them once their receipt is durable. Raises Unavailable."""
    assert isinstance(call.request, EmbedRequest)
    let_in = clock.monotonic()
    embedded, finish, begun = Embedded(()), str(FinishReason.CANCELLED), True
    try:
        asked = call.request
        if call.guard is not None:
            asked = structs.replace(
                asked, texts=await _in_turns(call.guard.texts_steps(asked.texts))
            )
        made = await engine.embed(asked)
        if len(made.vectors) != len(call.request.texts):
            raise Unavailable("The engine made another number of vectors.")
        embedded, finish = made, EMBEDDED
    except Exception as error:
        filtered = isinstance(error, Filtered)
        finish = str(FinishReason.FILTERED if filtered else FinishReason.ERROR)
        begun = not isinstance(error, Busy)
        raise
    finally:
        usage = Usage(embedded.prompt_tokens)
        sent = finish == EMBEDDED
        receipt = _receipt(call, vector_bytes(embedded.vectors), finish, usage, clock, sent)
        if begun and note is not None:
            note(call, receipt, clock.monotonic() - let_in)
        if begun and not sent:
            with contextlib.suppress(BastideError):
                await sink.put(receipt)
    await sink.put(receipt)
    return embedded


_ENDS = (
    FinishReason.STOP,
    FinishReason.LENGTH,
    FinishReason.TOOL_CALLS,
    FinishReason.FILTERED,
)


def _receipt(
    call: Call, answered: bytes, finish: str, usage: Usage, clock: Clock, sent: bool
) -> Receipt:
    standing = call.request.standing
    if standing is None:
        standing = standing_of(call.receipt, call.grant.key, call.api_key, call.body)
    served = call.served
    # Only what may be asked for again, or is, needs to be recognised (core/billing.py).
    known = call.retry or not sent or finish == FinishReason.ERROR
    # By place, in the order of the class: two dozen names would take as long as all else here.
    return Receipt(
        call.receipt,
        clock.now_ms(),
        call.grant.tenant,
        call.grant.key,
        call.request.model,
        served.release,
        served.deployment,
        call.snapshot.policy,
        served.node,
        served.sandbox,
        standing.prompt_commitment,
        commit(standing.salt, "answer", answered),
        usage.prompt_tokens,
        usage.completion_tokens,
        str(finish),
        _decided(call, standing),
        call.grant.project,
        usage.cached_tokens,
        0 if call.price is None else call.price.cost(usage),
        sent,
        _fingerprint(call, standing) if known else "",
        call.retry,
        served.attested or (),
        3 if served.attested else 2,
    )


def _decided(call: Call, standing: Standing) -> tuple[str, ...]:
    asked = call.request
    if isinstance(asked, GenerateRequest) and asked.sealed is not None:
        return standing.guard  # which policy the runner was to apply; what it found, it sealed
    return () if call.guard is None else call.guard.decisions()


def _fingerprint(call: Call, standing: Standing) -> str:
    made = standing.fingerprint  # of a call whose client names its attempts
    digest = call.digest or hashlib.sha256(call.body).digest()
    return made or fingerprint_of(call.api_key, call.invocation, digest)


async def _close(stream: AsyncIterator[Delta]) -> None:
    # The port promises an iterator; all that hold a slot can be closed.
    close = getattr(stream, "aclose", None)
    if close is not None:
        await close()
