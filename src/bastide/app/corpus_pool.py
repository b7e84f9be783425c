# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Worker processes of a build. They inherit nothing, and end with the process that began them.

What a worker needs, the store's identities included, comes through a pipe and never stands in an
argument or in the environment. A worker answers with a value or with an error as a value: a
traceback could quote a text.
"""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait as wait_for
from pathlib import Path
from typing import Any, Final, TypeVar

from bastide.app.corpus_part import Workbench
from bastide.core.errors import BastideError, Refused, Unavailable, of_code
from bastide.core.limits import FAULTS_MAX

__all__ = ["Pool", "cores"]

_J = TypeVar("_J")
_R = TypeVar("_R")
_AHEAD: Final = 2  # tasks that wait for each worker

_bench: Workbench | None = None  # of this worker process


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0))


class Pool:
    """Some processes that do tasks of one build, as a context manager."""

    def __init__(self, workers: int, bench: Workbench) -> None:
        self._workers = workers
        self._executor = ProcessPoolExecutor(
            workers,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_start,
            initargs=(bench,),
        )

    def __enter__(self) -> "Pool":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:  # who interrupts does not wait for what is being done
            for child in multiprocessing.active_children():
                child.kill()
        self._executor.shutdown(wait=True, cancel_futures=True)

    def each(
        self, task: Callable[[Workbench, _J], _R], jobs: Sequence[_J]
    ) -> Iterator[tuple[_J, _R]]:
        """Do a task for every job; yields job and result in the order in which they end.

        After an error no further job begins; those that run end. Raises Refused with every reason,
        or the error itself if there is one; Unavailable if a worker was killed.
        """
        waiting = iter(jobs)
        running: dict[Future[Any], _J] = {}
        troubles: list[BastideError] = []
        try:
            while True:
                while not troubles and len(running) < _AHEAD * self._workers:
                    job = next(waiting, None)
                    if job is None:
                        break
                    running[self._executor.submit(_do, task, job)] = job
                if not running:
                    break
                done, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    job = running.pop(future)
                    ok, value = future.result()
                    if ok:
                        yield job, value
                    else:
                        troubles.append(of_code(*value[:3]))
                        troubles[-1].fix = value[3]
        except BrokenProcessPool as error:
            raise Unavailable(
                "a worker of the build was killed, perhaps for memory",
                fix="run the build again, with fewer --workers: it goes on where it stopped",
            ) from error
        if troubles:
            raise _one(troubles)


def _one(troubles: Sequence[BastideError]) -> BastideError:
    """All errors as one, the same one in whatever order they came."""
    ordered = sorted(troubles, key=lambda error: (error.code, error.message, error.reasons))
    first = ordered[0]
    if len(ordered) == 1:
        return first
    reasons = [reason for error in ordered for reason in (error.reasons or (error.message,))]
    return type(first)(first.message, reasons=reasons[:FAULTS_MAX], fix=first.fix)


def _start(bench: Workbench) -> None:
    """Begin a worker process."""
    global _bench  # noqa: PLW0603 (one process, one build)
    _bench = bench
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent, which ends us
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait_for([parent.sentinel])
        os._exit(1)


def _do(task: Callable[[Workbench, Any], Any], job: Any) -> tuple[bool, Any]:
    assert _bench is not None
    try:
        return True, task(_bench, job)
    except BastideError as error:
        return False, (error.code, error.message, error.reasons, error.fix)
    except MemoryError:
        error = Unavailable("a worker has no memory left")
        return False, (error.code, error.message, (), "fewer --workers, or a smaller part_bytes")
    except Exception as error:
        # Only its kind: the text of an unexpected error may quote a document.
        trace = error.__traceback__
        while trace is not None and trace.tb_next is not None:
            trace = trace.tb_next
        place = ""
        if trace is not None:
            file = Path(trace.tb_frame.f_code.co_filename).name
            place = f", {file} line {trace.tb_lineno}"
        return False, (
            Refused.code,
            f"a worker failed: {type(error).__name__}{place}",
            (),
            "this is a defect of Bastide: please report it",
        )
