# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What the workers of test_compute.py do: a worker imports it by its name."""

import os
import signal
import time
from pathlib import Path
from typing import Any


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
