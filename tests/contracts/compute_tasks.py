# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What the workers of some tests do: a worker imports it by its name."""

import os
import signal
import time
from pathlib import Path
from typing import Any

import psutil

from bastide.app.asked_finder import AskedFinder
from bastide.app.corpus_step_files import fill, find_step_files
from bastide.core.document import Document
from bastide.filters.names import Names


def double(bench: dict[str, Any], job: int) -> tuple[str, int]:
    return bench["secret"], 2 * job


def echo(bench: dict[str, Any], job: bytes) -> bytes:
    return job


def pid(bench: dict[str, Any], job: int) -> int:
    time.sleep(0.2)
    return os.getpid()


def die_once(bench: dict[str, Any], job: int) -> int:
    """The first who does job 3 is killed in the middle of it."""
    mark = Path(bench["folder"]) / "mark"
    if job == 3 and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return job


def die(bench: dict[str, Any], job: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return job


def slow(bench: dict[str, Any], job: int) -> int:
    if job:
        (Path(bench["folder"]) / f"pid-{os.getpid()}").touch()
        time.sleep(60)
    return job


def ask_finder(folder: Path, job: int) -> list[int]:
    """Ask a finder as a part of a build does; its processes. From job 1 on its end is noted."""
    original = AskedFinder.close

    def close(self: AskedFinder) -> None:
        original(self)
        with (folder / "closed").open("a") as file:
            file.write("closed")

    if job == 1:
        AskedFinder.close = close  # type: ignore[method-assign]
    keyed = Names(finder="program:find.py", files=("names.txt",)).keyed(bytes(32))
    (step,) = fill([keyed], find_step_files([keyed], folder))
    assert step.apply(Document("1", "Aino is here.", "letters")).notes == {"names/name": 1}
    return sorted(child.pid for child in psutil.Process().children(recursive=True))
