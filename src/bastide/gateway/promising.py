# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Promises instead of waiting: with ``receipts = "promised"`` an answer does not wait for control.

The receipt goes to control at once, as ever, and the client gets a signed promise that it will be
in the ledger within PROMISE_MERGE_MS (docs/adr/0026-promises.md). Fail closed: without a key that
control has delegated, with PROMISES_MAX receipts on their way, or once control has not confirmed
one in time, answers wait again, until all that was promised is confirmed.

Belongs to one event loop.
"""

import asyncio
from collections.abc import Awaitable, Callable, Generator
from functools import partial
from typing import Any, Final, Protocol

from bastide.core.errors import BastideError
from bastide.core.limits import (
    PROMISE_CONFIRM_S,
    PROMISE_KEEP_S,
    PROMISE_MERGE_MS,
    PROMISE_RETRY_S,
    PROMISES_MAX,
)
from bastide.core.merge_promise import Delegation, MergePromise
from bastide.core.receipt import Receipt
from bastide.core.subject import Digest
from bastide.crypto.promises import PromiseKey, delegation_in
from bastide.gateway.reply import Headers
from bastide.ports import Clock, ReceiptSink

__all__ = ["PROMISE_HEADER", "Promised", "Promises"]

PROMISE_HEADER: Final = "x-bastide-promise"


class _Control(Protocol):
    def put(self, receipt: Receipt) -> Awaitable[None]: ...

    async def ask(self, kind: str, body: Any) -> Any: ...


class Promised:
    """A way to control on which an answer need not wait, if there are promises. For one call."""

    __slots__ = ("_inner", "_promises", "_text")

    def __init__(self, promises: "Promises | None", inner: ReceiptSink) -> None:
        self._promises = promises
        self._inner = inner
        self._text = ""  # the signed promise, once there is one

    def put(self, receipt: Receipt) -> Awaitable[None]:
        """Hand over a receipt; what is returned ends at once if it is promised."""
        confirmed = self._inner.put(receipt)
        if self._promises is not None:
            self._text = self._promises.promise(receipt, confirmed)
        return _AT_ONCE if self._text else confirmed

    def headers(self, headers: Headers) -> Headers:
        """The headers of a whole answer, with the promise if there is one."""
        return (*headers, (PROMISE_HEADER, self._text)) if self._text else headers

    @property
    def comment(self) -> bytes:
        """The promise as a part of a stream of server-sent events, which every reader skips."""
        return f": bastide-promise {self._text}\n\n".encode() if self._text else b""


class Promises:
    """The key of this process, and the receipts that it has promised and control not confirmed."""

    def __init__(
        self, control: _Control, clock: Clock, seed: bytes, log: Callable[..., None]
    ) -> None:
        self._control = control
        self._clock = clock
        self._key = PromiseKey(seed)
        self._log = log
        self._delegation = ""
        self._until_ms = 0  # promises are made until then
        self._renew_ms = 0
        self._enrolling: asyncio.Task[None] | None = None
        # By the receipt's id, the oldest first: when it was promised, on the monotonic clock.
        self._open: dict[str, float] = {}
        self._waiting: set[asyncio.Future[None]] = set()
        self._paused = False

    def promise(self, receipt: Receipt, confirmed: Awaitable[None]) -> str:
        """The signed promise of a receipt that is on its way; empty if the answer must wait.

        With a promise, `confirmed` is waited for here.
        """
        now_ms, now = self._clock.now_ms(), self._clock.monotonic()
        if not self._ready(now_ms, now):
            return ""
        promise = MergePromise(
            receipt.ident,
            str(Digest.of(receipt.leaf())),
            self._key.ident,
            now_ms,
            now_ms + PROMISE_MERGE_MS,
        )
        self._open[receipt.ident] = now
        # Mostly a future that is there already: no task is made for it.
        waiting = asyncio.ensure_future(confirmed)
        waiting.add_done_callback(partial(self._heard, receipt, now))
        self._waiting.add(waiting)
        return self._key.sign(promise, self._delegation)

    async def settle(self, timeout_s: float) -> None:
        """Return when all that was promised is confirmed, or the time is over."""
        if self._enrolling is not None:
            self._enrolling.cancel()
        until = self._clock.monotonic() + timeout_s
        while self._waiting and (left_s := until - self._clock.monotonic()) > 0:
            await asyncio.wait(self._waiting, timeout=left_s)
        for waiting in self._waiting:
            waiting.cancel()
        if self._open:
            self._log("promises-unconfirmed", count=len(self._open))

    def _ready(self, now_ms: int, now: float) -> bool:
        if now_ms >= self._renew_ms and (self._enrolling is None or self._enrolling.done()):
            self._renew_ms = now_ms + int(PROMISE_RETRY_S * 1000)
            self._enrolling = asyncio.create_task(self._enrol())
        if self._open and now - next(iter(self._open.values())) > PROMISE_CONFIRM_S:
            self._pause("late")
        return now_ms < self._until_ms and not self._paused and len(self._open) < PROMISES_MAX

    async def _enrol(self) -> None:
        """Have control sign a delegation, the first one or the next."""
        try:
            text = str(await self._control.ask("promise-key", self._key.public))
            given: Delegation = delegation_in(text)
        except BastideError as error:
            self._log("promises-refused", code=error.code)
            return
        self._delegation, self._until_ms = text, given.not_after_ms
        self._renew_ms = (given.not_before_ms + given.not_after_ms) // 2

    def _heard(self, receipt: Receipt, began: float, waiting: asyncio.Future[None]) -> None:
        """Control has a receipt, or nobody knows whether it has it: then it gets it again."""
        self._waiting.discard(waiting)
        if waiting.cancelled():
            return
        error = waiting.exception()
        waited_s = self._clock.monotonic() - began
        if error is None or waited_s > PROMISE_KEEP_S:
            if error is not None:
                self._log("promise-broken", receipt=receipt.ident)
            if waited_s > PROMISE_CONFIRM_S:
                self._pause("late")
            self._open.pop(receipt.ident, None)
            if self._paused and not self._open:
                self._paused = False
                self._log("promises-resumed")
            return
        self._pause(error.code if isinstance(error, BastideError) else "bug")
        again = asyncio.create_task(self._again(receipt))
        again.add_done_callback(partial(self._heard, receipt, began))
        self._waiting.add(again)

    async def _again(self, receipt: Receipt) -> None:
        await asyncio.sleep(PROMISE_RETRY_S)
        await self._control.put(receipt)  # the same one again is no other

    def _pause(self, why: str) -> None:
        if not self._paused:
            self._paused = True
            self._log("promises-paused", why=why, open=len(self._open))


class _AtOnce:
    """There is nothing to wait for."""

    def __await__(self) -> Generator[Any, Any, None]:
        yield from ()


_AT_ONCE: Final = _AtOnce()
