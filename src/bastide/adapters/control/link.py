# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The link to the control process: frames over its socket (dialects/frames.py).

One connection carries everything. Requests are sent as they come and answered in any order, so
many receipts share one fsync on the other side. The link connects again by itself; what was
unanswered when a connection broke raises Unavailable, because nobody knows if it was done.
"""

import asyncio
import contextlib
import ssl
from collections import deque
from collections.abc import Awaitable, Callable
from math import ceil
from typing import Any, Final, cast

from bastide.core.erasure import ErasureList
from bastide.core.errors import BastideError, Misconfigured, Unavailable, of_code
from bastide.core.limits import CONTROL_BACKOFF_S, CONTROL_TIMEOUT_S, RECEIPT_TIMEOUT_S
from bastide.core.receipt import Receipt
from bastide.core.snapshot import Snapshot
from bastide.core.subject import Digest
from bastide.dialects import frames
from bastide.ports import Clock, Dial

__all__ = ["ControlLink"]

_SWEEP_S = 0.05  # how exactly waiting ends


class ControlLink:
    """A connection to control that heals itself.

    socket: the path of control's Unix socket, or what connects to it from another machine.
    `told` is called with every new snapshot. `credential` says who we are (app/callers.py); who
    has none is a guest, and gets no snapshot.
    """

    def __init__(
        self,
        socket: str | Dial,
        clock: Clock,
        told: Callable[[Snapshot], None] | None = None,
        credential: str = "",
    ) -> None:
        self._dial = _to_path(socket) if isinstance(socket, str) else socket
        self._why = ""  # the last connection failed
        self._refused: BastideError | None = None
        self._told = told
        self._credential = credential
        self._clock = clock
        self._snapshot: Snapshot | None = None
        self._received_at = float("-inf")
        self._wire: _Wire | None = None
        self._connected = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None
        self._late: set[asyncio.Future[None]] = set()  # a loop holds its tasks weakly
        self._erasure: tuple[str, ErasureList | None] = ("", None)
        self._fetching: asyncio.Task[None] | None = None

    @property
    def snapshot(self) -> Snapshot | None:
        """The newest snapshot, or None before the first."""
        return self._snapshot

    @property
    def received_at(self) -> float:
        """When control confirmed the snapshot, on our own monotonic clock."""
        return self._received_at

    @property
    def refused(self) -> BastideError | None:
        """Why control takes no connection of ours, if it said so."""
        return self._refused

    @property
    def erasure(self) -> ErasureList | None:
        """The erasure list; the one before while a newer one is on its way."""
        return self._erasure[1]

    async def start(self) -> None:
        """Connect in the background, and keep connecting."""
        if self._keeper is None:
            self._keeper = asyncio.create_task(self._keep())

    def put(self, receipt: Receipt) -> Awaitable[Any]:
        """Hand over a receipt; what is returned ends when it is durable, or raises Unavailable."""
        if self._wire is not None and not self._wire.lost.is_set():
            # It is on its way before anybody waits for it, and what waits is no coroutine: in
            # answers and promises by the thousand that would be as much again.
            return self._wire.post("receipt", receipt, RECEIPT_TIMEOUT_S, refused=_not_taken)
        later = asyncio.ensure_future(self._put_later(receipt))
        self._late.add(later)
        later.add_done_callback(self._forget)
        return asyncio.shield(later)

    async def _put_later(self, receipt: Receipt) -> None:
        try:
            await self._ask("receipt", receipt, RECEIPT_TIMEOUT_S)
        except BastideError as error:
            raise _not_taken(error) from error

    def _forget(self, late: asyncio.Future[None]) -> None:
        self._late.discard(late)
        if not late.cancelled():
            late.exception()  # whoever still waits has been told

    async def ask(self, kind: str, body: Any) -> Any:
        """Send one request and return the body of its answer. Raises the error it answers."""
        frame = await self._ask(kind, body, CONTROL_TIMEOUT_S)
        return frames.decode(frame, object)

    async def close(self) -> None:
        """Disconnect. What is unanswered raises Unavailable."""
        if self._fetching is not None:
            self._fetching.cancel()
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await keeper

    async def _ask(self, kind: str, body: Any, timeout_s: float) -> frames.Frame:
        if (refusal := self._refusal()) is not None:
            raise refusal
        try:
            async with asyncio.timeout(timeout_s):
                await self._connected.wait()
                assert self._wire is not None
                return await self._wire.post(kind, body, timeout_s)
        except TimeoutError as error:
            refusal = self._refusal()
            raise refusal or Unavailable(f"control does not answer{self._why}") from error
        except Unavailable as error:
            if (refusal := self._refusal()) is None:
                raise
            raise refusal from error  # that is why it broke

    def _refusal(self) -> BastideError | None:
        """`refused`, anew: one error raised again and again would keep the place of each."""
        error = self._refused
        return None if error is None else of_code(error.code, error.message)

    async def _keep(self) -> None:
        failures = 0
        try:
            while True:
                wire = await self._connect()
                if wire is not None:
                    failures, self._why = 0, ""
                    self._wire = wire
                    self._connected.set()
                    await wire.lost.wait()
                    self._why = wire.why
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
        try:
            wire = await self._dial(lambda: _Wire(self._take))
        except OSError:
            return None
        except BastideError as error:
            self._why = f": {error.message}"
            return None
        if self._credential:
            wire.greet(self._credential)
        return wire

    def _take(self, frame: frames.Frame) -> None:
        """Take what control sends unasked."""
        if frame.kind == "refused":
            self._refused = of_code(*frames.decode(frame, tuple[str, str]))
        if frame.kind != "snapshot":
            return
        self._refused = None
        fresh, old = frames.decode(frame, Snapshot), self._snapshot
        # An older version could bring a revoked key back; a repeated one proves nothing about now.
        # Both leave what we have, which then grows stale.
        if old and (fresh.version < old.version or fresh.issued_ms == old.issued_ms):
            return
        if old:
            fresh = fresh.sharing(old)
        age_s = max(0, self._clock.now_ms() - fresh.issued_ms) / 1000
        self._snapshot, self._received_at = fresh, self._clock.monotonic() - age_s
        if self._told is not None:
            self._told(fresh)
        idle = self._fetching is None or self._fetching.done()
        if idle and fresh.erasure != self._erasure[0]:
            self._fetching = asyncio.create_task(self._fetch(fresh.erasure))

    async def _fetch(self, digest: str) -> None:
        """Get the erasure list; after a failure the next heartbeat asks again."""
        if not digest:
            self._erasure = ("", None)
            return
        with contextlib.suppress(BastideError):
            data = (await self.ask("erasure", digest)).encode()
            if str(Digest.of(data)) == digest:
                self._erasure = (digest, ErasureList.load(data))


def _to_path(path: str) -> Dial:
    async def dial(make: Callable[[], asyncio.Protocol]) -> Any:
        return (await asyncio.get_running_loop().create_unix_connection(make, path))[1]

    return dial


def _not_taken(error: BastideError) -> BastideError:
    """What waits for a receipt is told that control is away, whatever was wrong there."""
    if isinstance(error, Unavailable):
        return error
    return Unavailable(f"control did not take the receipt: {error.message}")


def _as_it_is(error: BastideError) -> BastideError:
    return error


_Waiting = tuple[asyncio.Future[frames.Frame], Callable[[BastideError], BastideError]]
_NOBODY: Final = (None, _as_it_is)


class _Wire(asyncio.Protocol):
    """One connection."""

    def __init__(self, take: Callable[[frames.Frame], None]) -> None:
        self.lost = asyncio.Event()
        self.why = ""  # the other end refused us in the handshake
        self._take = take
        self._due: deque[tuple[int, int]] = deque()  # at which sweep, which stream
        self._sweeps = 0
        self._sweeping: asyncio.TimerHandle | None = None
        self._reader = frames.FrameReader()
        self._waiting: dict[int, _Waiting] = {}
        self._stream = 0
        self._transport: asyncio.Transport | None = None
        # Asking for it each time is a system call (getpid) before Python 3.12.
        self._loop = asyncio.get_running_loop()
        self._unsent: list[bytes] = []

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
                waiting, refused = self._waiting.pop(frame.stream, _NOBODY)
                if waiting is None or waiting.done():
                    continue
                if frame.kind == "error":
                    error = of_code(*frames.decode(frame, tuple[str, str]))
                    waiting.set_exception(refused(error))
                else:
                    waiting.set_result(frame)
        except Misconfigured:
            self.abandon()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell all who wait."""
        if isinstance(exc, ssl.SSLError):
            self.why = f": {exc.reason}"
        self.lost.set()
        waiting, self._waiting = self._waiting, {}
        for future, _ in waiting.values():
            if not future.done():
                future.set_exception(Unavailable(f"the connection to control broke{self.why}"))

    def greet(self, credential: str) -> None:
        """Say who we are, before anything else."""
        self._unsent.append(frames.encode(0, "hello", credential))
        self._flush()

    def post(
        self,
        kind: str,
        body: Any,
        timeout_s: float,
        refused: Callable[[BastideError], BastideError] = _as_it_is,
    ) -> asyncio.Future[frames.Frame]:
        """Send a request; the future is its answer, Unavailable, or what `refused` makes of no."""
        future: asyncio.Future[frames.Frame] = self._loop.create_future()
        if self._transport is None or self.lost.is_set() or self._transport.is_closing():
            future.set_exception(Unavailable("the connection to control broke"))
            return future
        self._stream += 1
        self._waiting[self._stream] = future, refused
        self._due.append((self._sweeps + ceil(timeout_s / _SWEEP_S), self._stream))
        if self._sweeping is None:
            self._sweeping = self._loop.call_later(_SWEEP_S, self._sweep)
        if not self._unsent:
            self._loop.call_soon(self._flush)
        self._unsent.append(frames.encode(self._stream, kind, body))
        return future

    def _flush(self) -> None:
        """Write what was sent in one turn of the loop: one system call for many receipts."""
        unsent, self._unsent = self._unsent, []
        if self._transport is not None:
            self._transport.write(b"".join(unsent))

    def _sweep(self) -> None:
        """End what waits too long. One timer for all: a timer for each would cost more than it."""
        self._sweeping = None
        self._sweeps += 1
        left: deque[tuple[int, int]] = deque()
        for due, stream in self._due:
            future, _ = self._waiting.get(stream, _NOBODY)
            if future is None or future.done():
                self._waiting.pop(stream, None)
            elif due > self._sweeps:
                left.append((due, stream))
            else:
                del self._waiting[stream]
                future.set_exception(Unavailable("control does not answer"))
        self._due = left
        if left and not self.lost.is_set():
            self._sweeping = self._loop.call_later(_SWEEP_S, self._sweep)

    def abandon(self) -> None:
        """Break the connection."""
        if self._transport is not None:
            self._transport.abort()
