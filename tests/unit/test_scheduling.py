# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""A service's thread has short turns, and what it starts has turns as before."""

import ctypes
import os
import platform
import subprocess
import sys
import threading

import pytest

from bastide.app import scheduling

KERNEL = tuple(int(part) for part in platform.release().split(".")[:2])
CHILD = "from unit import test_scheduling as one; print(one.slice_ns())"


def slice_ns() -> int:
    """The length of this thread's turns, as the kernel says."""
    row = scheduling._Attributes()
    get = scheduling._CALLS[platform.machine()][0]
    assert ctypes.CDLL(None).syscall(get, 0, ctypes.byref(row), ctypes.sizeof(row), 0) == 0
    return int(row.runtime_ns)


def test_a_thread_has_short_turns_and_its_children_have_not() -> None:
    found: list[int] = []

    def story() -> None:
        before = slice_ns()
        scheduling.take_short_turns()
        told = subprocess.run(
            [sys.executable, "-c", CHILD], capture_output=True, text=True, check=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )  # fmt: skip
        found.extend((before, slice_ns(), int(told.stdout)))

    thread = threading.Thread(target=story)
    thread.start()
    thread.join()
    before, now, of_child = found
    if KERNEL >= (6, 12):
        assert now == scheduling._SLICE_NS < before
    else:  # which gives turns of one length, whatever is wished
        assert now == before
    assert of_child == before


def test_where_the_kernel_has_no_such_call_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduling, "_CALLS", {platform.machine(): (9_999, 9_998)})
    scheduling.take_short_turns()
    monkeypatch.setattr(scheduling, "_CALLS", {})
    scheduling.take_short_turns()
