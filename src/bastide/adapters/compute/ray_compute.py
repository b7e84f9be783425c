# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Workers of a Ray cluster. The cluster sees sealed bytes; who may open them are its workers.

A worker is an actor, begun once and never restarted by Ray: a new process has no key. So a worker
that is lost is another worker here, and what it had is done again.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from bastide.adapters.compute.channel import (
    ANSWER,
    CALL,
    hand_over,
    open_message,
    seal_message,
)
from bastide.adapters.compute.ray_link import RayLink
from bastide.core.errors import NotAllowed, Unavailable
from bastide.core.limits import COMPUTE_AHEAD, COMPUTE_START_S, COMPUTE_TRIES
from bastide.ports import Entropy

__all__ = ["RayCompute"]

_NONE: Final = object()
_WAIT_S: Final = 1.0


@dataclass
class _Worker:
    """calls: what it was given and has not answered, each with how often it was lost before."""

    key: bytes = b""
    ready: bool = False
    number: int = 0
    calls: dict[int, tuple[Any, int]] = field(default_factory=dict)


class RayCompute:
    """Some actors over one link."""

    def __init__(
        self,
        link: RayLink,
        workers: int,
        bench: object,
        lost: Callable[[], None],
        entropy: Entropy,
    ) -> None:
        self._link = link
        self._bench = bench
        self._lost = lost
        self._entropy = entropy
        self._workers: dict[int, _Worker] = {}
        self._failed = 0  # workers in a row that were lost before they were ready
        self._again: deque[tuple[Any, int]] = deque()
        for _ in range(workers):
            self._add()

    def each(
        self, task: Callable[[Any, Any], Any], jobs: Iterable[Any]
    ) -> Iterator[tuple[Any, Any]]:
        """Do a task with every job; see the port. Raises Unavailable or NotAllowed."""
        waiting = iter(jobs)
        self._again.clear()
        for worker in self._workers.values():
            worker.calls.clear()  # of somebody who did not wait for the end
        held = next(waiting, _NONE)
        idle_s = 0.0
        while held is not _NONE or self._again or any(w.calls for w in self._workers.values()):
            while (self._again or held is not _NONE) and (free := self._free()) is not None:
                if self._again:
                    self._call(free, task, *self._again.popleft())
                else:
                    self._call(free, task, held, 0)
                    held = next(waiting, _NONE)
            told = self._link.receive(_WAIT_S)
            if told is not None:
                idle_s = 0.0
                yield from self._take(*told)
            elif not any(worker.ready for worker in self._workers.values()):
                idle_s += _WAIT_S
                if idle_s > COMPUTE_START_S:
                    raise Unavailable(
                        "the Ray cluster has no room for a worker",
                        fix="a worker takes one CPU: fewer --workers, or a larger cluster",
                    )

    def close(self, cancel: bool = False) -> None:
        """End the workers; the link stays."""
        del cancel  # an actor is killed, whatever it does
        try:
            for number in self._workers:
                self._link.send("stop", number)
        except Unavailable:
            pass  # the link is gone, and they with it
        self._workers.clear()

    def _add(self) -> None:
        number = next(self._link.numbers)
        self._workers[number] = _Worker()
        self._link.send("hello", number, 0, self._entropy)

    def _free(self) -> int | None:
        """The worker that has least to do, if one has room."""
        rows = [
            (len(worker.calls), -number)
            for number, worker in self._workers.items()
            if worker.ready and len(worker.calls) < COMPUTE_AHEAD
        ]
        return -min(rows)[1] if rows else None

    def _call(self, number: int, task: Callable[[Any, Any], Any], job: Any, tries: int) -> None:
        worker = self._workers[number]
        worker.number += 1
        worker.calls[worker.number] = job, tries
        sealed = seal_message(worker.key, CALL, worker.number, (task, job))
        self._link.send("run", number, worker.number, sealed)

    def _take(self, kind: str, number: int, call: int, value: Any) -> Iterator[tuple[Any, Any]]:
        worker = self._workers.get(number)
        if worker is None:
            return  # it was lost, and its work is another's
        if kind == "lost":
            self._replace(number, worker, value)
        elif not worker.key:
            self._hand_over(number, worker, *value)
        elif call == 0:
            open_message(worker.key, ANSWER, 0, value)
            worker.ready, self._failed = True, 0
        elif call in worker.calls:
            job, _ = worker.calls.pop(call)
            yield job, open_message(worker.key, ANSWER, call, value)

    def _hand_over(self, number: int, worker: _Worker, recipient: str, why: str) -> None:
        if why:  # such a cluster sends what it carries to anybody
            raise NotAllowed(
                f"the Ray cluster has token authentication or TLS off: {why}",
                fix="begin every node with RAY_AUTH_MODE=token and RAY_USE_TLS=1",
            )
        worker.key, sealed = hand_over(recipient, self._bench, self._entropy.token)
        self._link.send("begin", number, 0, sealed)

    def _replace(self, number: int, worker: _Worker, why: str) -> None:
        del self._workers[number]
        self._link.send("stop", number)
        self._failed += not worker.ready
        if self._failed >= COMPUTE_TRIES * (len(self._workers) + 1):
            raise Unavailable(
                f"no worker of the Ray cluster starts: {why}",
                fix="is this version of Bastide installed on every node?",
            )
        for job, tries in worker.calls.values():
            if tries + 1 >= COMPUTE_TRIES:
                raise Unavailable(
                    f"{COMPUTE_TRIES} workers were killed, perhaps for memory: {why}",
                    fix="run it again, with fewer --workers: it goes on where it stopped",
                )
            self._again.append((job, tries + 1))
        self._lost()
        self._add()
