# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""A link of a runner: one gateway's connection, and the answers that it has open."""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from typing import Any, Final

from bastide.app.handed import Handed, Handing
from bastide.app.handed_journal import Row
from bastide.app.peers import tell
from bastide.core.chat import Delta, EmbedRequest, GenerateRequest
from bastide.core.errors import Misconfigured
from bastide.dialects.frames import Frame, encode

__all__ = ["RunnerLink"]

_UNSENT_BYTES: Final = 65_536  # of one turn; more must not wait, or a slow client would slow nobody


class RunnerLink:
    """One client and the tasks of its open streams."""

    def __init__(
        self,
        writer: asyncio.StreamWriter,
        answer: Callable[["RunnerLink", Frame], Coroutine[Any, Any, None]],
        streams_max: int,
        handed: Handed | None,
    ) -> None:
        self._handed = handed
        self.tasks: dict[int, asyncio.Future[None]] = {}
        self._writer = writer
        self._answer = answer
        self._streams_max = streams_max
        self._loop = asyncio.get_running_loop()
        self._unsent: list[bytes] = []
        self._unsent_bytes = 0

    def take(self, frame: Frame) -> None:
        """Begin or cancel a stream. Raises Misconfigured for a client that breaks the rules."""
        if frame.kind == "cancel":
            if (task := self.tasks.get(frame.stream)) is not None:
                task.cancel()
            return
        if frame.stream < 1 or frame.stream in self.tasks:
            raise Misconfigured(f"stream {frame.stream} cannot be opened")
        if len(self.tasks) >= self._streams_max:
            # Only this one: the connection carries the answers of all tenants.
            why = f"more than {self._streams_max} requests on one connection"
            tell(self._writer, encode(frame.stream, "error", ["busy", why, 1.0]))
            return
        task = self._loop.create_task(self._answer(self, frame))
        self.tasks[frame.stream] = task
        task.add_done_callback(lambda done: self._forget(frame.stream, done))

    async def send(self, stream: int, kind: str, body: Delta | Any) -> None:
        """Write a frame and wait while the client is slow. Raises OSError if it is gone."""
        # Soon, together with what else is written in this turn of the loop: a system call each
        # would cost more than all that is in it.
        if not self._unsent:
            self._loop.call_soon(self._flush)
        frame = encode(stream, kind, body)
        self._unsent.append(frame)
        self._unsent_bytes += len(frame)
        if self._unsent_bytes > _UNSENT_BYTES:
            self._flush()
        await self._writer.drain()

    def _flush(self) -> None:
        data = b"".join(self._unsent)
        self._unsent.clear()
        self._unsent_bytes = 0
        if data:
            tell(self._writer, data)

    def handing(self, request: GenerateRequest | EmbedRequest) -> Handing:
        """To be in while an answer is handed over."""
        return Handing(self._handed, request)

    def rows(self) -> list[Row]:
        """What may have no receipt."""
        return [] if self._handed is None else self._handed.rows()

    def abort(self) -> None:
        """Cut the connection."""
        self._writer.transport.abort()

    async def close(self) -> None:
        """Cancel every stream and cut the connection."""
        tasks = list(self.tasks.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        self.abort()

    def _forget(self, stream: int, task: asyncio.Future[None]) -> None:
        self.tasks.pop(stream, None)
        with contextlib.suppress(asyncio.CancelledError, OSError):
            task.result()
