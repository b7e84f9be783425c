# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""llama.cpp in its sandbox: the only program that ever imports xllamacpp.

It runs alone (``python -I -S -B llamacpp_child.py ORDERS``) and so imports nothing of ours. It

1. limits itself: no core dump, no file ever written, no debugger;
2. loads the library, and then renounces executing programs and new executable memory;
3. waits for a byte on its lifeline, which says that the weights are proven;
4. loads the model from a file descriptor and listens on a Unix socket;
5. says ``ready`` on one pipe and waits for the end of the lifeline: when the process that started
   it is gone, so is this one.
"""

import ctypes
import json
import os
import platform
import resource
import struct
import sys
from typing import Any

_SET_DUMPABLE, _SET_NO_NEW_PRIVS = 4, 38  # prctl(2)
_FILTER_ALL_THREADS = 1  # SECCOMP_FILTER_FLAG_TSYNC
_ALLOW, _EPERM = 0x7FFF0000, 0x00050001
# (x86_64, aarch64)
_SECCOMP = {"x86_64": 317, "aarch64": 277}
_EXECUTE = {"x86_64": (59, 322), "aarch64": (221, 281)}  # execve, execveat
_MAP = {"x86_64": (9, 10, 329), "aarch64": (222, 226, 288)}  # mmap, mprotect, pkey_mprotect


def main() -> None:
    """Serve until the lifeline breaks."""
    orders: dict[str, Any] = json.loads(sys.argv[1])
    try:
        # 1.
        _limit()
        # 2.
        # The package's own folder, whose extension module has the package's name: the folder
        # above, with every other package, is not to be seen from here.
        sys.path.append(orders["package"])
        import xllamacpp

        _seal()
        # 3.
        if not os.read(orders["lifeline"], 1):
            os._exit(0)
        # 4.
        library: Any = xllamacpp
        server = library.Server(_parameters(library.CommonParams(), orders))
        if not server.listening_address.startswith("unix://"):
            raise RuntimeError("it does not listen on its Unix socket")
    except Exception as error:
        os.write(orders["status"], f"{type(error).__name__}: {error}"[:1_000].encode())
        os._exit(1)
    # 5.
    os.write(orders["status"], b"ready")
    os.close(orders["status"])
    os.read(orders["lifeline"], 1)
    os._exit(0)  # llama.cpp's own clean-up could hang, and there is nothing to save


def _limit() -> None:
    os.umask(0o077)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    libc = ctypes.CDLL(None)
    libc.prctl(_SET_DUMPABLE, 0, 0, 0, 0)
    libc.prctl(_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def _seal() -> None:
    """Refuse execve, and PROT_EXEC for memory, in all threads. Raises OSError."""
    machine = platform.machine()
    rows = [(0x20, 0, 0, 0)]  # load the call's number
    for number in _EXECUTE[machine]:
        rows += [(0x15, 0, 1, number), (0x06, 0, 0, _EPERM)]
    for number in _MAP[machine]:
        # If it is this call: load its third argument, and refuse if PROT_EXEC (4) is set.
        rows += [(0x15, 0, 3, number), (0x20, 0, 0, 32), (0x45, 0, 1, 4), (0x06, 0, 0, _EPERM)]
        rows += [(0x20, 0, 0, 0)]
    rows += [(0x06, 0, 0, _ALLOW)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("<HBBI", *row) for row in rows))
    address = ctypes.cast(code, ctypes.c_void_p).value
    header = ctypes.create_string_buffer(struct.pack("<H6xQ", len(rows), address))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syscall(_SECCOMP[machine], 1, _FILTER_ALL_THREADS, header) != 0:
        raise OSError(ctypes.get_errno(), "the second system call filter cannot be installed")


def _parameters(chosen: Any, orders: dict[str, Any]) -> Any:
    chosen.model.path = f"/proc/self/fd/{orders['weights']}"
    chosen.model_alias = {orders["name"]}
    chosen.hostnames = [orders["socket"]]
    chosen.n_parallel = orders["slots"]
    chosen.n_ctx = orders["context_tokens"] * orders["slots"]
    chosen.n_threads_http = orders["connections"]
    chosen.n_batch = max(orders["batch_tokens"], orders["slots"])
    if orders["embeds"]:
        # An encoder reads a whole text in one go; how it pools, the model itself says.
        chosen.embedding = True
        chosen.n_batch = chosen.n_ubatch = orders["context_tokens"]
    chosen.cpuparams.n_threads = orders["threads"]
    chosen.cpuparams_batch.n_threads = orders["threads"]
    chosen.use_jinja = True  # the model's own chat template; here it can do no harm
    chosen.warmup = False
    chosen.verbosity = -1
    # A request reuses its slot if it says so, and nothing else: no store of prompts beside the
    # slots, no pool of memory that slots share, no look at what other slots hold.
    chosen.cache_prompt = False
    chosen.cache_ram_mib = 0
    chosen.cache_idle_slots = False
    chosen.kv_unified = False
    chosen.n_cache_reuse = 0
    chosen.slot_prompt_similarity = 0.0
    # What a gateway never needs is off, although nobody else can reach the socket.
    chosen.ui = False
    chosen.endpoint_slots = False
    chosen.offline = True
    return chosen


if __name__ == "__main__":
    main()
