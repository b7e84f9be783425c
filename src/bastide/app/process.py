# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What every service process does first: hide its memory, die with its parent, read its orders.

Orders are one JSON line on standard input, so no secret ever stands in an argument or in the
environment, where other processes could read it.
"""

import asyncio
import ctypes
import json
import os
import signal
import sys
from collections.abc import Callable, Mapping
from typing import Any

from bastide.core.errors import Misconfigured

__all__ = ["enter_service", "log", "on_stop"]

_PR_SET_PDEATHSIG = 1  # prctl(2)
_PR_SET_DUMPABLE = 4


def enter_service(name: str) -> dict[str, Any]:
    """Harden this process and read its orders. Raises Misconfigured if they are no JSON object."""
    libc = ctypes.CDLL(None, use_errno=True)
    # Without this, a core dump or a debugger of the same user could read the keys.
    libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    os.umask(0o077)
    orders = json.loads(sys.stdin.readline() or "null")
    if not isinstance(orders, dict):
        raise Misconfigured(f"{name} is started by `bastide up`, not by hand")
    if orders.pop("die_with_parent", True):
        parent = orders.get("parent")
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        # The parent may have died between its fork and our prctl.
        if parent is not None and os.getppid() != parent:
            raise SystemExit(0)
    return orders


def on_stop(stop: asyncio.Event) -> None:
    """Set the event on SIGTERM or SIGINT."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)


def log(service: str, event: str, now: Callable[[], int], **fields: Any) -> None:
    """Write one line of JSON to standard error, which is the service's log file.

    Fields are names, digests and counts; never prompts, answers, keys or personal data.
    """
    row: Mapping[str, Any] = {"time_ms": now(), "service": service, "event": event, **fields}
    sys.stderr.write(json.dumps(row) + "\n")
    sys.stderr.flush()
