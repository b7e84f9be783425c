# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""vLLM's keeper in its sandbox: shows it the proven files, starts it, and ends with it.

It runs alone (``python -I -S -B vllm_child.py ORDERS``) and so imports nothing of ours. It

1. limits itself: no core dump;
2. waits for a byte on its lifeline, which says that the files are proven;
3. makes a folder of links to the descriptors that it holds. vLLM's own processes inherit none, so
   the links go through this process, which they may read: it is of the same user;
4. starts vLLM and reads what it says on standard error, of which it keeps the last line;
5. when vLLM ends it reports that line on one pipe and ends too; when the lifeline breaks it ends
   at once. It is the first process of the sandbox: all others die with it.
"""

import json
import os
import resource
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

_LINE_BYTES_MAX = 4_096
_LAST_WORDS_S = 1.0
_SAID_BYTES_MAX = 1_000


def main() -> None:
    """Keep vLLM until it ends or the lifeline breaks."""
    orders: dict[str, Any] = json.loads(sys.argv[1])
    # 1.
    os.umask(0o077)
    # With 0 the kernel still pipes dumps to a program, if it is set up so: see CORE_BYTES_MAX.
    # Nobody here can raise a hard limit of 0; `bastide doctor` tells of it.
    hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
    most = 0 if hard == 0 else 1
    resource.setrlimit(resource.RLIMIT_CORE, (most, most))
    # 2.
    if not os.read(orders["lifeline"], 1):
        os._exit(0)
    try:
        # 3.
        folder = Path(orders["folder"])
        folder.mkdir()
        for name, descriptor in orders["files"].items():
            (folder / name).symlink_to(f"/proc/{os.getpid()}/fd/{descriptor}")
        # 4.
        process = subprocess.Popen(
            orders["command"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
    except OSError as error:
        os.write(orders["status"], f"{error}"[:_SAID_BYTES_MAX].encode())
        os._exit(1)
    threading.Thread(target=_die_with, args=(orders["lifeline"],), daemon=True).start()
    last = [b""]
    # Beside the wait: children of vLLM may hold its standard error open after its own end.
    reading = threading.Thread(target=_read_lines, args=(process, last), daemon=True)
    reading.start()
    # 5.
    status = process.wait()
    reading.join(_LAST_WORDS_S)
    os.write(orders["status"], last[0][:_SAID_BYTES_MAX] or f"status {status}".encode())
    os._exit(1)


def _read_lines(process: "subprocess.Popen[bytes]", last: list[bytes]) -> None:
    """Keep the last line: it is the error that a traceback ends with."""
    assert process.stderr is not None
    while line := process.stderr.readline(_LINE_BYTES_MAX):
        last[0] = line.strip() or last[0]


def _die_with(lifeline: int) -> None:
    os.read(lifeline, 1)
    os._exit(0)


if __name__ == "__main__":
    main()
