# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The link to the control process: frames over its Unix socket (dialects/frames.py).

One connection carries everything. Requests are sent as they come and answered in any order, so
many receipts share one fsync on the other side. The link connects again by itself; what was
unanswered when a connection broke raises Unavailable, because nobody knows if it was done.
"""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any, cast

from bastide.core.errors import (
    BastideError,
    Misconfigured,
    NotAllowed,
    NotFound,
    NotProven,
    Refused,
    Unavailable,
    Waiting,
)
from bastide.core.limits import CONTROL_BACKOFF_S, CONTROL_TIMEOUT_S, RECEIPT_TIMEOUT_S
from bastide.core.receipt import Receipt
from bastide.core.snapshot import Snapshot
from bastide.dialects import frames
from bastide.ports import Clock

__all__ = ["ControlLink"]

_ERRORS: dict[str, type[BastideError]] = {
    kind.code: kind
    for kind in (Refused, NotAllowed, Waiting, NotProven, NotFound, Misconfigured, Unavailable)
}


class ControlLink:
    """A connection to control that heals itself."""

    def __init__(self, socket: str, clock: Clock) -> None:
        self._socket = socket
        self._clock = clock
        self._snapshot: Snapshot | None = None
        self._received_at = float("-inf")
        self._wire: _Wire | None = None
        self._connected = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None

    @property
    def snapshot(self) -> Snapshot | None:
        """The newest snapshot, or None before the first."""
        return self._snapshot

    @property
    def received_at(self) -> float:
        """When control confirmed the snapshot, on our own monotonic clock."""
        return self._received_at

    async def start(self) -> None:
        """Connect in the background, and keep connecting."""
        if self._keeper is None:
            self._keeper = asyncio.create_task(self._keep())

    async def put(self, receipt: Receipt) -> None:
        """Return when the receipt is durable. Raises Unavailable otherwise."""
        try:
            await self._ask("receipt", receipt, RECEIPT_TIMEOUT_S)
        except Unavailable:
            raise
        except BastideError as error:
            raise Unavailable(f"control did not take the receipt: {error.message}") from error

    async def ask(self, kind: str, body: Any) -> Any:
        """Send one request and return the body of its answer. Raises the error it answers."""
        frame = await self._ask(kind, body, CONTROL_TIMEOUT_S)
        return frames.decode(frame, object)

    async def close(self) -> None:
        """Disconnect. What is unanswered raises Unavailable."""
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await keeper

    async def _ask(self, kind: str, body: Any, timeout_s: float) -> frames.Frame:
        try:
            async with asyncio.timeout(timeout_s):
                await self._connected.wait()
                assert self._wire is not None
                frame = await self._wire.send(kind, body)
        except TimeoutError as error:
            raise Unavailable("control does not answer") from error
        if frame.kind == "error":
            code, message = frames.decode(frame, tuple[str, str])
            raise _ERRORS.get(code, Unavailable)(message)
        return frame

    async def _keep(self) -> None:
        failures = 0
        try:
            while True:
                wire = await self._connect()
                if wire is not None:
                    failures = 0
                    self._wire = wire
                    self._connected.set()
                    await wire.lost.wait()
                    self._connected.clear()
                    self._wire = None
                await asyncio.sleep(CONTROL_BACKOFF_S[min(failures, len(CONTROL_BACKOFF_S) - 1)])
                failures += 1
        finally:
            self._connected.clear()
            if self._wire is not None:
                self._wire.abandon()
                self._wire = None

    async def _connect(self) -> "_Wire | None":
        loop = asyncio.get_running_loop()
        try:
            _, wire = await loop.create_unix_connection(lambda: _Wire(self._take), self._socket)
        except OSError:
            return None
        return wire

    def _take(self, frame: frames.Frame) -> None:
        """Take what control sends unasked."""
        if frame.kind != "snapshot":
            return
        fresh, old = frames.decode(frame, Snapshot), self._snapshot
        # An older version could bring a revoked key back; a repeated one proves nothing about now.
        # Both leave what we have, which then grows stale.
        if old and (fresh.version < old.version or fresh.issued_ms == old.issued_ms):
            return
        age_s = max(0, self._clock.now_ms() - fresh.issued_ms) / 1000
        self._snapshot, self._received_at = fresh, self._clock.monotonic() - age_s


class _Wire(asyncio.Protocol):
    """One connection."""

    def __init__(self, take: Callable[[frames.Frame], None]) -> None:
        self.lost = asyncio.Event()
        self._take = take
        self._reader = frames.FrameReader()
        self._waiting: dict[int, asyncio.Future[frames.Frame]] = {}
        self._stream = 0
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        # uvloop's transports have the methods of asyncio.Transport but not its class.
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Give each frame to whoever waits for it."""
        try:
            for frame in self._reader.feed(data):
                if frame.stream == 0:
                    self._take(frame)
                    continue
                waiting = self._waiting.pop(frame.stream, None)
                if waiting is not None and not waiting.done():
                    waiting.set_result(frame)
        except Misconfigured:
            self.abandon()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell all who wait."""
        self.lost.set()
        waiting, self._waiting = self._waiting, {}
        for future in waiting.values():
            if not future.done():
                future.set_exception(Unavailable("the connection to control broke"))

    async def send(self, kind: str, body: Any) -> frames.Frame:
        """Send a request and wait for its answer. Raises Unavailable if the connection breaks."""
        if self._transport is None or self.lost.is_set() or self._transport.is_closing():
            raise Unavailable("the connection to control broke")
        self._stream += 1
        stream = self._stream
        future: asyncio.Future[frames.Frame] = asyncio.get_running_loop().create_future()
        self._waiting[stream] = future
        self._transport.write(frames.encode(stream, kind, body))
        try:
            return await future
        finally:
            self._waiting.pop(stream, None)

    def abandon(self) -> None:
        """Break the connection."""
        if self._transport is not None:
            self._transport.abort()
