# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What use cases ask of control and of the desk; `wiring` makes them."""

from collections.abc import AsyncIterator, Awaitable
from typing import Any, Protocol

from bastide.core.erasure import ErasureList
from bastide.core.receipt import Receipt
from bastide.core.snapshot import Snapshot

__all__ = ["Asked", "ControlClient", "DeskClient"]


class Asked(Protocol):
    """Whoever answers as control does: control itself, or its own code without a process."""

    async def ask(self, kind: str, body: Any) -> Any:
        """Send one request and return the body of its answer. Raises the error it answers."""
        ...


class ControlClient(Asked, Protocol):
    """A connection to the control process that heals itself."""

    @property
    def snapshot(self) -> Snapshot | None:
        """The newest snapshot, or None before the first."""
        ...

    @property
    def received_at(self) -> float:
        """When control confirmed the snapshot, on our own monotonic clock."""
        ...

    @property
    def erasure(self) -> ErasureList | None:
        """The erasure list; the one before while a newer one is on its way."""
        ...

    async def start(self) -> None:
        """Connect, and keep connecting."""
        ...

    def put(self, receipt: Receipt) -> Awaitable[None]:
        """Return when the receipt is durable. Raises Unavailable otherwise."""
        ...

    async def close(self) -> None:
        """Disconnect."""
        ...


class DeskClient(Protocol):
    """The desk, which keeps tenants' files and runs batches. Raises Unavailable if it is down."""

    async def ask(self, deed: str, fields: dict[str, Any], content: memoryview | None) -> Any:
        """Have one thing done; what it answers. Raises the error it answers."""
        ...

    def read(self, deed: str, fields: dict[str, Any]) -> AsyncIterator[bytes]:
        """The content of a file, piece by piece."""
        ...
