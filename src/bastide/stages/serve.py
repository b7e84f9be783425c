# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Serve: let a tenant's call reach a model, and state what was answered.

`choose` decides whether a key may ask a model. `answer` is the engine's own stream with one rule
added: the last delta, the one that says the answer is complete, is given out only after the
receipt is durable. So nobody holds a complete answer without a receipt:

* the receipt is not confirmed in time: Unavailable instead of the last delta;
* the engine fails: a receipt with finish ``error``, then the error;
* the client goes away: the engine's stream is closed first, which frees its slot, and then a
  receipt with finish ``cancelled`` is put.

A call that was never begun (Busy) has no receipt. The last two receipts are best effort: there is
nothing left that could be withheld. They state the tokens that the engine had counted when it was
cut off.

`embed` does the same for vectors, which are given out whole.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass, replace
from typing import TypeVar

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
from bastide.core.errors import BastideError, Busy, Filtered, NotAllowed, NotFound, Unavailable
from bastide.core.money import Price
from bastide.core.receipt import (
    Receipt,
    answer_bytes,
    commit,
    fingerprint,
    salt_for,
    vector_bytes,
)
from bastide.core.snapshot import KeyGrant, Served, Snapshot
from bastide.detectors.guard import Guard, Steps
from bastide.ports import Clock, Engine, Entropy, ReceiptSink

__all__ = ["EMBEDDED", "Call", "Idents", "answer", "choose", "embed"]

T = TypeVar("T")
EMBEDDED = "embedded"  # how a receipt says that the answer is vectors

_CHANCE_BYTES = 10
_CHANCE_AT_ONCE = 64
_SHIFTS = range(120, -1, -10)
_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS = [first + second for first in _CROCKFORD for second in _CROCKFORD]


@dataclass(frozen=True, slots=True, repr=False)
class Call:
    """One call that was let in. It has no repr, so that no log line can hold a prompt or a key."""

    ident: str  # what `Idents` gave; the receipt's id is ``r_`` and this
    request: GenerateRequest | EmbedRequest
    grant: KeyGrant
    served: Served
    policy: str
    api_key: str
    body: bytes  # the request exactly as it came: the prompt's commitment is over these bytes
    guard: Guard | None = None
    price: Price | None = None
    invocation: str = ""  # what the client calls this call, equal in all its attempts
    retry: bool = False  # the client says that it asks again

    @property
    def receipt(self) -> str:
        """The id of the receipt that this call will have."""
        return "r_" + self.ident


class Idents:
    """Makes ids: 26 characters of Crockford base32, 48 bits of time and 80 of chance."""

    def __init__(self, clock: Clock, entropy: Entropy) -> None:
        self._clock = clock
        self._entropy = entropy
        # Fetched for many at once: a system call for each would cost more than all the rest of it.
        self._chance = b""
        self._used = 0

    def new(self) -> str:
        """A new id. They sort by time."""
        start, end = self._used, self._used + _CHANCE_BYTES
        if end > len(self._chance):
            self._chance = self._entropy.token(_CHANCE_BYTES * _CHANCE_AT_ONCE)
            start, end = 0, _CHANCE_BYTES
        self._used = end
        number = int.from_bytes(self._clock.now_ms().to_bytes(6) + self._chance[start:end]) << 2
        return "".join([_PAIRS[(number >> shift) & 1_023] for shift in _SHIFTS])


def choose(snapshot: Snapshot, grant: KeyGrant, model: str) -> Served:
    """The deployment behind a model's name, or behind an alias for it.

    Raises NotAllowed if the key's scopes do not mean the model, whether there is one or not, so
    that a key cannot find out which models others have. Raises NotFound.
    """
    meant = snapshot.meant(model)
    if not snapshot.opens(grant, meant):
        raise NotAllowed(f"This API key may not use the model '{model}'.", place="model")
    served = snapshot.served.get(meant)
    if served is None:
        raise NotFound(f"The model '{model}' does not exist.", place="model")
    return served


async def answer(
    call: Call,
    engine: Engine,
    sink: ReceiptSink,
    clock: Clock,
) -> AsyncGenerator[Delta, None]:
    """Answer a call. Raises Unavailable. Close it early to cancel."""
    assert isinstance(call.request, GenerateRequest)
    heard = Hearing()
    usage = Usage()
    last: Delta | None = None
    finish, begun = FinishReason.CANCELLED, True
    stream: AsyncIterator[Delta] | None = None
    try:
        if call.guard is None:
            stream = engine.generate(call.request)
        else:
            stream = _guarded(call.request, engine, call.guard)
        async for delta in stream:
            heard.hear(delta)
            usage = delta.usage or usage
            if delta.finish is not None:
                last = delta
                break
            yield delta
        if last is None or last.finish not in _ENDS:
            raise Unavailable("The engine stopped before the end of the answer.")
        finish = last.finish
    except Exception as error:
        refused = isinstance(error, Filtered)
        finish = FinishReason.FILTERED if refused else FinishReason.ERROR
        begun = not isinstance(error, Busy)
        raise
    finally:
        if stream is not None:
            await _close(stream)
        said = heard.said()
        failed = last is None or finish is FinishReason.ERROR
        # A whole answer that broke off was sent to nobody; a stream was, as far as it came.
        sent = not failed or (not call.request.whole and said != Said())
        receipt = _receipt(call, answer_bytes(said), finish, usage, clock, sent)
        if begun and (last is None or finish is FinishReason.ERROR):
            with contextlib.suppress(BastideError):
                await sink.put(receipt)
    await sink.put(receipt)
    yield Delta(last.text, finish, usage)


async def _guarded(
    request: GenerateRequest, engine: Engine, guard: Guard
) -> AsyncGenerator[Delta, None]:
    """What a guard lets through of an answer. Raises Filtered for the prompt."""
    stream = engine.generate(await _in_turns(guard.inward_steps(request)))
    try:
        async for delta in stream:
            for passed in guard.outward(delta):
                yield passed
                if passed.finish is not None:
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
) -> Embedded:
    """Make vectors, and return them once their receipt is durable. Raises Unavailable."""
    assert isinstance(call.request, EmbedRequest)
    embedded, finish, begun = Embedded(()), str(FinishReason.CANCELLED), True
    try:
        asked = call.request
        if call.guard is not None:
            asked = replace(asked, texts=await _in_turns(call.guard.texts_steps(asked.texts)))
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
    salt = salt_for(call.api_key, call.receipt)
    served = call.served
    # Only what may be asked for again, or is, needs to be recognised (core/billing.py).
    known = call.retry or not sent or finish == FinishReason.ERROR
    return Receipt(
        ident=call.receipt,
        time_ms=clock.now_ms(),
        tenant=call.grant.tenant,
        key=call.grant.key,
        requested_model=call.request.model,
        release=served.release,
        deployment=served.deployment,
        policy=call.policy,
        node=served.node,
        sandbox=served.sandbox,
        prompt_commitment=commit(salt, "prompt", call.body),
        answer_commitment=commit(salt, "answer", answered),
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        finish=str(finish),
        guard=() if call.guard is None else call.guard.decisions(),
        project=call.grant.project,
        cached_tokens=usage.cached_tokens,
        cost_picoeur=0 if call.price is None else call.price.cost(usage),
        delivered=sent,
        fingerprint=fingerprint(call.api_key, call.invocation, call.body) if known else "",
        retry=call.retry,
    )


async def _close(stream: AsyncIterator[Delta]) -> None:
    # The port promises an iterator; all that hold a slot are generators.
    close = getattr(stream, "aclose", None)
    if close is not None:
        await close()
