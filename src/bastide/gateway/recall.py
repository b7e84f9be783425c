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

__all__ = ["Recall"]


class Recall:
    """Knows the answers that run on one event loop."""

    def __init__(self) -> None:
        self._running: dict[asyncio.Task[Any], tuple[str, str]] = {}
        self._cut: dict[asyncio.Task[Any], Revoked] = {}

    def enter(self, key: str, deployment: str) -> asyncio.Task[Any]:
        """An answer begins, in the task that runs now. It is to `leave`, whatever happens.

        key: the id of its API key; deployment: that deployment's digest.
        """
        task = asyncio.current_task()
        assert task is not None
        self._running[task] = (key, deployment)
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
        for task, (key, deployment) in list(self._running.items()):
            if task in self._cut:
                continue
            if key not in keys:
                self._end(task, "The API key of this request was revoked.")
            elif deployment in snapshot.stopped:
                self._end(task, "The model's deployment was revoked.")

    def _end(self, task: asyncio.Task[Any], why: str) -> None:
        self._cut[task] = Revoked(why)
        task.cancel()
