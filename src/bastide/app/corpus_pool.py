# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Workers of a build, wherever they are.

A worker answers with a value or with an error as a value: a traceback could quote a text. Before
its first job it verifies that it would make the same bytes as the process that leads. It has no
ledger: what parties denied it is told with each job, so a part that begins after a denial opens
nothing of it. The file of the deny list, which it reads itself, stops it in the midst of one.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from bastide.app import wiring_compute
from bastide.app.config import Settings
from bastide.app.corpus_objects import read_object
from bastide.app.corpus_part import Workbench
from bastide.app.corpus_plan import made_with
from bastide.app.hiding import hide_memory
from bastide.core.errors import BastideError, NotFound, Refused, Unavailable, of_code
from bastide.core.limits import FAULTS_MAX

__all__ = ["Pool", "cores"]

_J = TypeVar("_J")
_R = TypeVar("_R")

_verified: set[str] = set()  # the folders of builds that this worker process may work on


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0))


class Pool:
    """Workers that do tasks of one build, as a context manager.

    denied: what parties denied in the ledger, asked before each job. lost: told of a worker's end.
    """

    def __init__(
        self,
        settings: Settings,
        workers: int,
        bench: Workbench,
        denied: Callable[[], tuple[str, ...]],
        lost: Callable[[], None] = lambda: None,
    ) -> None:
        self._denied = denied
        bench = replace(bench, made_with=made_with())
        self._stack = ExitStack()
        self._compute = self._stack.enter_context(
            wiring_compute.open_compute(settings, workers, bench, lost)
        )

    def __enter__(self) -> "Pool":
        return self

    def __exit__(self, *error: Any) -> None:
        self._stack.__exit__(*error)

    def each(
        self, task: Callable[[Workbench, _J], _R], jobs: Iterable[_J]
    ) -> Iterator[tuple[_J, _R]]:
        """Do a task for every job; yields job and result in the order in which they end.

        After an error no further job begins; those that run end. Raises Refused with every reason,
        or the error itself if there is one; Unavailable if workers are killed again and again.
        """
        troubles: list[BastideError] = []
        begun = ((task, job, self._denied()) for job in jobs if not troubles)
        for (_, job, _), (ok, value) in self._compute.each(_do, begun):
            if ok:
                yield job, value
            else:
                troubles.append(of_code(*value[:3]))
                troubles[-1].fix = value[3]
        if troubles:
            raise _one(troubles)


def _one(troubles: Sequence[BastideError]) -> BastideError:
    """All errors as one, the same one in whatever order they came."""
    ordered = sorted(troubles, key=lambda error: (error.code, error.message, error.reasons))
    first = ordered[0]
    if len(ordered) == 1:
        return first
    reasons = [reason for error in ordered for reason in (error.reasons or (error.message,))]
    # Pieces of one file may find the same.
    reasons = list(dict.fromkeys(reasons))
    return type(first)(first.message, reasons=reasons[:FAULTS_MAX], fix=first.fix)


def _verify(bench: Workbench) -> None:
    """Raises Unavailable in a worker that would make other bytes, or does not see the store."""
    if bench.made_with is None or bench.folder in _verified:
        return
    if (here := made_with()) != bench.made_with:
        other = sorted(name for name, _ in set(here.items()) ^ set(bench.made_with.items()))
        raise Unavailable(
            f"a worker has other versions of {', '.join(dict.fromkeys(other))}",
            fix="install the same versions on every node",
        )
    if bench.folder:
        try:
            read_object(bench.open(), f"{bench.folder}/recipe")
        except NotFound:
            raise Unavailable(
                f"a worker does not see the store {bench.store}",
                fix="every node needs the home and the sources at the same paths",
            ) from None
    _verified.add(bench.folder)


def _do(
    bench: Workbench, work: tuple[Callable[[Workbench, Any], Any], Any, tuple[str, ...]]
) -> tuple[bool, Any]:
    task, job, denied = work
    bench = replace(bench, denied=denied)
    hide_memory()
    try:
        _verify(bench)
        return True, task(bench, job)
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
