# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Worker processes of this machine. They inherit nothing, and end with the process that began them.

What a worker holds comes through a pipe and never stands in an argument or in the environment.
"""

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait as wait_for
from typing import Any, Final

from bastide.core.errors import Unavailable
from bastide.core.limits import COMPUTE_AHEAD, COMPUTE_TRIES

__all__ = ["ProcessCompute"]

_NONE: Final = object()

_bench: Any = None  # of this worker process


class ProcessCompute:
    """Some processes. If one of them is killed all are begun anew: an executor cannot go on."""

    def __init__(self, workers: int, bench: object, lost: Callable[[], None]) -> None:
        self._workers = workers
        self._bench = bench
        self._lost = lost
        self._executor = self._begin()

    def _begin(self) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(
            self._workers,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_start,
            initargs=(self._bench,),
        )

    def each(
        self, task: Callable[[Any, Any], Any], jobs: Iterable[Any]
    ) -> Iterator[tuple[Any, Any]]:
        """Do a task with every job; see the port. Raises Unavailable."""
        waiting, again = iter(jobs), deque[tuple[Any, int]]()
        running: dict[Future[Any], tuple[Any, int]] = {}
        while True:
            while len(running) < COMPUTE_AHEAD * self._workers:
                job, tries = again.popleft() if again else (next(waiting, _NONE), 0)
                if job is _NONE:
                    break
                running[self._submit(task, job)] = job, tries
            if not running:
                return
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                job, tries = running.pop(future)
                try:
                    result = future.result()
                except BrokenProcessPool as error:
                    if tries + 1 >= COMPUTE_TRIES:
                        raise Unavailable(
                            f"{COMPUTE_TRIES} workers were killed, perhaps for memory",
                            fix="run it again, with fewer --workers: it goes on where it stopped",
                        ) from error
                    again.append((job, tries + 1))
                else:
                    yield job, result
            if again and not running:
                self._lost()
                self._executor.shutdown(wait=True)
                self._executor = self._begin()

    def _submit(self, task: Callable[[Any, Any], Any], job: Any) -> Future[Any]:
        try:
            return self._executor.submit(_run, task, job)
        except BrokenProcessPool as error:  # the others that run have not told it yet
            future: Future[Any] = Future()
            future.set_exception(error)
            return future

    def close(self, cancel: bool = False) -> None:
        """End the workers; with `cancel` whatever they do."""
        if cancel:
            for child in multiprocessing.active_children():
                child.kill()
        self._executor.shutdown(wait=True, cancel_futures=True)


def _start(bench: object) -> None:
    """Begin a worker process."""
    global _bench  # noqa: PLW0603 (one process, one bench)
    _bench = bench
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent, which ends us
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait_for([parent.sentinel])
        os._exit(1)


def _run(task: Callable[[Any, Any], Any], job: Any) -> Any:
    return task(_bench, job)
