# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What a connection and its server know of each other."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from bastide.core.limits import (
    KEEP_ALIVE_TIMEOUT_S,
    LINGER_S,
    REQUEST_READ_TIMEOUT_S,
    WRITE_STALL_TIMEOUT_S,
)
from bastide.gateway.inbound import Bodies
from bastide.gateway.reply import Pen
from bastide.gateway.routes import Routes

__all__ = ["Guest", "Host", "Patience"]


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a client may keep us waiting, in seconds."""

    request_s: float = REQUEST_READ_TIMEOUT_S
    idle_s: float = KEEP_ALIVE_TIMEOUT_S
    write_s: float = WRITE_STALL_TIMEOUT_S
    linger_s: float = LINGER_S


class Guest(Protocol):
    """A connection, of any protocol, as its server sees it."""

    def close(self) -> None:
        """Take no further request, nor the rest of one; close when what runs has ended."""
        ...

    @property
    def tasks(self) -> Sequence[asyncio.Task[None]]:
        """What runs. Who is cancelled tells the client that we stop."""
        ...


class Host(Protocol):
    """What a connection needs from its server."""

    routes: Routes
    pen: Pen
    now_ms: Callable[[], int]
    bodies: Bodies

    def enter(self, connection: Guest, transport: asyncio.BaseTransport) -> bool:
        """Count a connection in. False if there are too many, or its certificate has ended."""
        ...

    def succeed(self, connection: Guest, by: Guest) -> None:
        """Count another in the place of one that was counted in: it goes on with its transport."""
        ...

    def leave(self, connection: Guest) -> None:
        """Count a connection out."""
        ...

    def track(self, task: asyncio.Task[Any]) -> None:
        """Remember an answer whose connection has gone, so that a stop can wait for its receipt."""
        ...

    def report(self, error: BaseException) -> None:
        """Log where our own code failed."""
        ...
