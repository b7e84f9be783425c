# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""One process at a time: for work that two at once would spoil."""

import contextlib
import fcntl
import os
from collections.abc import Callable, Generator
from pathlib import Path

__all__ = ["alone"]


@contextlib.contextmanager
def alone(folder: Path, wait: Callable[[], None]) -> Generator[None]:
    """Only one process at a time works in a folder; `wait` is called before another is awaited.

    The lock is on the folder itself: it leaves no file, and ends with the process. The folder is
    made if it is not there, as where the objects of that name are in a bucket.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            wait()
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
