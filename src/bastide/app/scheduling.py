# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""How the kernel lets a service's loop have a processor."""

import ctypes
import os
import platform
from typing import Final

__all__ = ["take_short_turns"]

_SLICE_NS: Final = 100_000  # the least that the kernel gives
_RESET_ON_FORK: Final = 1  # sched_setattr(2)
# sched_getattr and sched_setattr, which glibc knows since 2.41 only.
_CALLS: Final = {"x86_64": (315, 314), "aarch64": (275, 274)}


class _Attributes(ctypes.Structure):
    """``struct sched_attr`` of sched_setattr(2), as Linux 3.14 had it."""

    _fields_ = (
        ("size", ctypes.c_uint32),
        ("policy", ctypes.c_uint32),
        ("flags", ctypes.c_uint64),
        ("nice", ctypes.c_int32),
        ("priority", ctypes.c_uint32),
        ("runtime_ns", ctypes.c_uint64),
        ("deadline_ns", ctypes.c_uint64),
        ("period_ns", ctypes.c_uint64),
    )


def take_short_turns() -> None:
    """Ask for short turns on a processor, for this thread; in exchange they come soon.

    A service has little to do at a time, and somebody waits for it; an engine beside it computes
    for as long as it may, 3 ms and more. The share of each stays what it is, and what this thread
    starts has turns as before. Linux 6.12 and newer know the wish; for older ones it is nothing.
    """
    numbers = _CALLS.get(platform.machine())
    if numbers is None:
        return
    get, put = numbers
    syscall, row = ctypes.CDLL(None).syscall, _Attributes()
    if syscall(get, 0, ctypes.byref(row), ctypes.sizeof(row), 0) or row.policy != os.SCHED_OTHER:
        return
    row.flags |= _RESET_ON_FORK
    row.runtime_ns = _SLICE_NS
    syscall(put, 0, ctypes.byref(row), 0)
