# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Receipts on their way into control's book: all that wait become durable in one transaction."""

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

from bastide.app.control_watch import ControlWatch
from bastide.app.process import log
from bastide.core.errors import BastideError, Refused
from bastide.core.receipt import Receipt
from bastide.ledger.receipts import ReceiptBook
from bastide.ports import Clock

__all__ = ["ReceiptQueue"]

_QUEUE_MAX = 8_192


class _Waiting(NamedTuple):
    """Receipts on their way into the book, and who waits for them."""

    receipts: Sequence[Receipt]
    durable: asyncio.Future[None]
    cut: bool = False  # stated for a gateway that is gone: whatever it stated itself stands


class ReceiptQueue:
    """Belongs to one event loop."""

    def __init__(self, book: ReceiptBook, meter: ControlWatch, clock: Clock) -> None:
        self._book, self._meter, self._clock = book, meter, clock
        self._queue: asyncio.Queue[_Waiting] = asyncio.Queue(_QUEUE_MAX)

    async def put(self, receipts: Sequence[Receipt], cut: bool = False) -> None:
        """Return when they are durable. Raises what forbids it."""
        durable: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        await self._queue.put(_Waiting(receipts, durable, cut))
        await durable

    async def run(self) -> None:
        """Take all receipts that wait, make them durable in one transaction, answer each."""
        while True:
            group = [await self._queue.get()]
            while not self._queue.empty() and len(group) < 4_096:
                group.append(self._queue.get_nowait())
            await self._store(group)

    async def _store(self, group: list[_Waiting]) -> None:
        began = self._clock.monotonic()
        try:
            await asyncio.to_thread(self._write, group)
        except BastideError as error:
            if isinstance(error, Refused) and len(group) > 1:
                # One of them has the id of another receipt: the rest must not suffer for it.
                half = len(group) // 2
                await self._store(group[:half])
                await self._store(group[half:])
                return
            log("control", "receipts-refused", self._clock.now_ms, code=error.code, n=len(group))
            self._meter.refused(len(group))
            for waiting in group:
                if not waiting.durable.done():
                    waiting.durable.set_exception(error)
            return
        count = sum(len(waiting.receipts) for waiting in group)
        self._meter.stored(count, self._clock.monotonic() - began)
        for waiting in group:
            if not waiting.durable.done():
                waiting.durable.set_result(None)

    def _write(self, group: list[_Waiting]) -> None:
        self._book.put([row for waiting in group if not waiting.cut for row in waiting.receipts])
        if cut := [row for waiting in group if waiting.cut for row in waiting.receipts]:
            self._book.put_missing(cut)

    async def flush(self) -> None:
        """Make durable what still waits."""
        group = []
        while not self._queue.empty():
            group.append(self._queue.get_nowait())
        if group:
            await self._store(group)
