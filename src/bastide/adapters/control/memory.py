# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""A control process in memory, for tests and demonstrations. Its receipts are not durable."""

import asyncio
from collections.abc import Awaitable
from typing import Any

from bastide.core.erasure import ErasureList
from bastide.core.errors import Misconfigured, Unavailable
from bastide.core.limits import RECEIPT_TIMEOUT_S
from bastide.core.receipt import Receipt
from bastide.core.snapshot import Snapshot
from bastide.ports import Clock

__all__ = ["MemoryControl"]


class MemoryControl:
    """Keeps receipts in a list.

    Without `confirming`, `put` waits until it is set; with a `fault`, `put` raises Unavailable.
    """

    def __init__(
        self,
        clock: Clock,
        snapshot: Snapshot | None = None,
        receipt_timeout_s: float = RECEIPT_TIMEOUT_S,
    ) -> None:
        self.receipts: list[Receipt] = []
        self.confirming = asyncio.Event()
        self.confirming.set()
        self.fault: str | None = None
        self.snapshot: Snapshot | None = None
        self.received_at = 0.0
        self.erasure: ErasureList | None = None
        self._clock = clock
        self._receipt_timeout_s = receipt_timeout_s
        if snapshot is not None:
            self.publish(snapshot)

    def publish(self, snapshot: Snapshot) -> None:
        """Replace the snapshot."""
        self.snapshot = snapshot
        self.received_at = self._clock.monotonic()

    async def start(self) -> None:
        """Do nothing: it is always there."""

    def put(self, receipt: Receipt) -> Awaitable[None]:
        """Keep a receipt. Raises Unavailable."""
        # Who stops waiting does not stop it.
        return asyncio.shield(asyncio.ensure_future(self._keep(receipt)))

    async def _keep(self, receipt: Receipt) -> None:
        try:
            async with asyncio.timeout(self._receipt_timeout_s):
                await self.confirming.wait()
        except TimeoutError as error:
            raise Unavailable("The receipt of this answer was not confirmed in time.") from error
        if self.fault is not None:
            raise Unavailable(self.fault)
        self.receipts.append(receipt)

    async def ask(self, kind: str, body: Any) -> Any:
        """Raise Misconfigured: nobody answers questions here."""
        raise Misconfigured(f"no control process answers {kind!r} here")

    async def close(self) -> None:
        """Do nothing."""
