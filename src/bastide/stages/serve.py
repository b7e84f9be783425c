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

The last two receipts are best effort: there is nothing left that could be withheld. They state
zero tokens where the engine did not get to count.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass

from bastide.core.chat import Delta, FinishReason, GenerateRequest, Usage
from bastide.core.errors import BastideError, NotAllowed, NotFound, Unavailable
from bastide.core.limits import RECEIPT_TIMEOUT_S
from bastide.core.receipt import Receipt, commit, salt_for
from bastide.core.snapshot import KeyGrant, Served, Snapshot
from bastide.ports import Clock, Engine, Entropy, ReceiptSink

__all__ = ["Call", "answer", "choose", "new_ident"]

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS = [first + second for first in _CROCKFORD for second in _CROCKFORD]


# A loop holds its tasks weakly: these are kept until they are done.
_writing: set[asyncio.Future[None]] = set()


@dataclass(frozen=True, slots=True, repr=False)
class Call:
    """One call that was let in. It has no repr, so that no log line can hold a prompt or a key."""

    ident: str  # what `new_ident` gave; the receipt's id is ``r_`` and this
    request: GenerateRequest
    grant: KeyGrant
    served: Served
    policy: str
    api_key: str
    body: bytes  # the request exactly as it came: the prompt's commitment is over these bytes

    @property
    def receipt(self) -> str:
        """The id of the receipt that this call will have."""
        return "r_" + self.ident


def new_ident(clock: Clock, entropy: Entropy) -> str:
    """26 characters of Crockford base32: 48 bits of time, so that they sort, and 80 of chance."""
    number = int.from_bytes(clock.now_ms().to_bytes(6) + entropy.token(10)) << 2
    return "".join([_PAIRS[(number >> shift) & 1_023] for shift in range(120, -1, -10)])


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
    receipt_timeout_s: float = RECEIPT_TIMEOUT_S,
) -> AsyncGenerator[Delta, None]:
    """Answer a call. Raises Unavailable. Close it early to cancel."""
    said: list[str] = []
    last: Delta | None = None
    finish = FinishReason.CANCELLED
    stream = engine.generate(call.request)
    try:
        async for delta in stream:
            said.append(delta.text)
            if delta.finish is not None:
                last = delta
                break
            yield delta
        if last is None or last.finish not in (FinishReason.STOP, FinishReason.LENGTH):
            raise Unavailable("The engine stopped before the end of the answer.")
        finish = last.finish
    except Exception:
        finish = FinishReason.ERROR
        raise
    finally:
        await _close(stream)
        if finish in (FinishReason.ERROR, FinishReason.CANCELLED):
            receipt = _receipt(call, said, finish, Usage(), clock)
            with contextlib.suppress(BastideError):
                await _put(sink, receipt, receipt_timeout_s)
    usage = last.usage or Usage()
    await _put(sink, _receipt(call, said, finish, usage, clock), receipt_timeout_s)
    yield Delta(last.text, finish, usage)


def _receipt(
    call: Call, said: list[str], finish: FinishReason, usage: Usage, clock: Clock
) -> Receipt:
    salt = salt_for(call.api_key, call.receipt)
    served = call.served
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
        answer_commitment=commit(salt, "answer", "".join(said).encode()),
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        finish=finish.value,
    )


async def _put(sink: ReceiptSink, receipt: Receipt, timeout_s: float) -> None:
    """Make a receipt durable; who leaves while it is being written does not stop it."""
    writing = asyncio.ensure_future(sink.put(receipt))
    _writing.add(writing)
    writing.add_done_callback(_written)
    try:
        async with asyncio.timeout(timeout_s):
            await asyncio.shield(writing)
    except TimeoutError as error:
        writing.cancel()
        raise Unavailable("The receipt of this answer was not confirmed in time.") from error


def _written(writing: asyncio.Future[None]) -> None:
    _writing.discard(writing)
    if not writing.cancelled():
        writing.exception()  # whoever still waits has been told; nobody else can be


async def _close(stream: AsyncIterator[Delta]) -> None:
    # The port promises an iterator; all that hold a slot are generators.
    close = getattr(stream, "aclose", None)
    if close is not None:
        await close()
