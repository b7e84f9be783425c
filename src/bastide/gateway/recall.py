# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Recall: answers that run are cut when what they rest on is revoked.

A new snapshot is followed at once. An answer ends if its API key is revoked, or if its deployment
may serve no more; the client gets its family's terminal event, and the receipt says `cancelled`.
A key that expires, and a deployment that is replaced, let their answers come to their end.
"""

import asyncio
from typing import Any

from bastide.core.errors import Revoked
from bastide.core.snapshot import Snapshot
from bastide.stages.serve import Call

__all__ = ["Recall"]


class Recall:
    """Knows the answers that run on one event loop."""

    def __init__(self) -> None:
        self._running: dict[asyncio.Task[Any], Call] = {}
        self._cut: dict[asyncio.Task[Any], Revoked] = {}
        self._loop: asyncio.AbstractEventLoop | None = None

    def enter(self, call: Call) -> asyncio.Task[Any]:
        """An answer begins, in the task that runs now. It is to `leave`, whatever happens."""
        # Asking for the loop each time is a system call (getpid) before Python 3.12.
        loop = self._loop = self._loop or asyncio.get_running_loop()
        task = asyncio.current_task(loop)
        assert task is not None
        self._running[task] = call
        return task

    def cut(self, task: asyncio.Task[Any]) -> Revoked | None:
        """Why an answer was cancelled, if that was done here: then it goes on to tell its client.

        One that was cancelled for another reason stays cancelled.
        """
        revoked = self._cut.get(task)
        if revoked is not None:
            task.uncancel()
        return revoked

    def leave(self, task: asyncio.Task[Any]) -> None:
        """An answer has ended."""
        del self._running[task]
        self._cut.pop(task, None)

    def follow(self, snapshot: Snapshot) -> None:
        """Cut every answer that rests on what is revoked."""
        keys = {grant.key for grant in snapshot.keys.values()} if self._running else set()
        for task, call in list(self._running.items()):
            if task in self._cut:
                continue
            if call.grant.key not in keys:
                self._end(task, "The API key of this request was revoked.")
            elif call.served.deployment in snapshot.stopped:
                self._end(task, "The model's deployment was revoked.")

    def _end(self, task: asyncio.Task[Any], why: str) -> None:
        self._cut[task] = Revoked(why)
        task.cancel()
