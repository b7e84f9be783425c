# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""A control process in memory, for tests and demonstrations. Its receipts are not durable."""

import asyncio
from typing import Any

from bastide.core.errors import Misconfigured, Unavailable
from bastide.core.receipt import Receipt
from bastide.core.snapshot import Snapshot
from bastide.ports import Clock

__all__ = ["MemoryControl"]


class MemoryControl:
    """Keeps receipts in a list.

    Without `confirming`, `put` waits until it is set; with a `fault`, `put` raises Unavailable.
    """

    def __init__(self, clock: Clock, snapshot: Snapshot | None = None) -> None:
        self.receipts: list[Receipt] = []
        self.confirming = asyncio.Event()
        self.confirming.set()
        self.fault: str | None = None
        self.snapshot: Snapshot | None = None
        self.received_at = 0.0
        self._clock = clock
        if snapshot is not None:
            self.publish(snapshot)

    def publish(self, snapshot: Snapshot) -> None:
        """Replace the snapshot."""
        self.snapshot = snapshot
        self.received_at = self._clock.monotonic()

    async def start(self) -> None:
        """Do nothing: it is always there."""

    async def put(self, receipt: Receipt) -> None:
        """Keep a receipt. Raises Unavailable."""
        await self.confirming.wait()
        if self.fault is not None:
            raise Unavailable(self.fault)
        self.receipts.append(receipt)

    async def ask(self, kind: str, body: Any) -> Any:
        """Raise Misconfigured: nobody answers questions here."""
        raise Misconfigured(f"no control process answers {kind!r} here")

    async def close(self) -> None:
        """Do nothing."""
