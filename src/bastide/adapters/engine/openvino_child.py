# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""OpenVINO GenAI in its sandbox: the only program that ever imports openvino_genai.

It runs alone (``python -I -S -B openvino_child.py ORDERS``) and so imports nothing of ours. It

1. limits itself: no core dump, no debugger;
2. loads the library, and then renounces executing programs;
3. waits for a line on its lifeline, which says that the weights are proven;
4. copies them into a second memfd, because the library's reader wants to map its file writable,
   which a sealed one refuses; loads the model; from then on no file can grow;
5. says ``ready`` on one pipe and serves its Unix socket (openvino_answers.py) until the lifeline
   ends: when the process that started it is gone, so is this one.

The library makes machine code at run time, so unlike llama.cpp's process this one cannot renounce
executable memory.
"""

import ctypes
import importlib.abc
import importlib.util
import json
import mmap
import os
import platform
import resource
import struct
import sys
import threading
from pathlib import Path
from typing import Any

_SET_DUMPABLE, _SET_NO_NEW_PRIVS = 4, 38  # prctl(2)
_FILTER_ALL_THREADS = 1  # SECCOMP_FILTER_FLAG_TSYNC
_ALLOW, _EPERM = 0x7FFF0000, 0x00050001
# (x86_64, aarch64)
_SECCOMP = {"x86_64": 317, "aarch64": 277}
_EXECUTE = {"x86_64": (59, 322), "aarch64": (221, 281)}  # execve, execveat
_BLOCK_TOKENS = 32  # a block of the key-value cache on a CPU
_READ_BYTES = 65_536
_PROBE_BLOCKS = 8
_SPARE_CHOICES = 8  # asked for beside the likeliest ones: some are no whole characters
# What ends a turn in the models that the reader takes; llama.cpp ends an answer at the same ones.
_ENDS = ("<|im_end|>", "<|endoftext|>", "<|eot_id|>", "<|eom_id|>", "<|end_of_text|>", "<|end|>")
# llama.cpp's defaults, so that a model sounds alike with either engine.
_TEMPERATURE, _TOP_P, _TOP_K = 0.8, 0.95, 40


def main() -> None:
    """Serve until the lifeline breaks."""
    orders: dict[str, Any] = json.loads(sys.argv[1])
    try:
        # 1.
        _limit()
        # 2.
        sys.meta_path.insert(0, _Given(orders["packages"]))
        import openvino_genai

        _renounce()
        # 3.
        said = os.read(orders["lifeline"], 4_096)
        if not said:
            os._exit(0)
        # 4.
        _copy(orders["weights"], orders["scratch"])
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
        import openvino_answers  # type: ignore[import-not-found]

        model = openvino_answers.Model(openvino_genai, orders, json.loads(said))
        for name in ("weights", "scratch", "probe"):
            os.close(orders[name])
        server = openvino_answers.Server(model, orders["socket"], orders["connections"])
    except Exception as error:
        os.write(orders["status"], f"{type(error).__name__}: {error}"[:1_000].encode())
        os._exit(1)
    # 5.
    threading.Thread(target=_die_with, args=(orders["lifeline"],), daemon=True).start()
    os.write(orders["status"], b"ready")
    os.close(orders["status"])
    try:
        server.serve()
    finally:
        # Whatever the library failed at, what it holds is in doubt: a new process is started.
        os._exit(1)


def _die_with(lifeline: int) -> None:
    os.read(lifeline, 1)
    os._exit(0)


def _limit() -> None:
    os.umask(0o077)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    libc = ctypes.CDLL(None)
    libc.prctl(_SET_DUMPABLE, 0, 0, 0, 0)
    libc.prctl(_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def _renounce() -> None:
    """Refuse execve in all threads. Raises OSError."""
    machine = platform.machine()
    rows = [(0x20, 0, 0, 0)]  # load the call's number
    for number in _EXECUTE[machine]:
        rows += [(0x15, 0, 1, number), (0x06, 0, 0, _EPERM)]
    rows += [(0x06, 0, 0, _ALLOW)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("<HBBI", *row) for row in rows))
    address = ctypes.cast(code, ctypes.c_void_p).value
    header = ctypes.create_string_buffer(struct.pack("<H6xQ", len(rows), address))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syscall(_SECCOMP[machine], 1, _FILTER_ALL_THREADS, header) != 0:
        raise OSError(ctypes.get_errno(), "the second system call filter cannot be installed")


def _copy(weights: int, scratch: int) -> None:
    with mmap.mmap(weights, 0, prot=mmap.PROT_READ) as data, memoryview(data) as view:
        done = 0
        while done < len(view):
            done += os.write(scratch, view[done : done + (1 << 26)])


class _Given(importlib.abc.MetaPathFinder):
    """Finds the packages that were ordered and no other: not the folder that they lie in.

    So the library's telemetry package, for one, is not there, and OpenVINO does without.
    """

    def __init__(self, packages: dict[str, str]) -> None:
        self._packages = packages

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        """Where a package, or a module that is one file, is."""
        place = self._packages.get(name)
        if place is None:
            return None
        if place.endswith(".py"):
            return importlib.util.spec_from_file_location(name, place)
        return importlib.util.spec_from_file_location(
            name, str(Path(place) / "__init__.py"), submodule_search_locations=[place]
        )


if __name__ == "__main__":
    main()
