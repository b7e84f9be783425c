# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What every service process does first: hide its memory, die with its parent, read its orders.

Orders are one JSON line on standard input, so no secret ever stands in an argument or in the
environment, where other processes could read it.
"""

import asyncio
import ctypes
import gc
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from typing import Any

from bastide.app.hiding import hide_memory
from bastide.core.errors import Misconfigured
from bastide.core.limits import MIB

__all__ = ["LogLines", "enter_service", "later_lines", "log", "on_stop", "prepare_loop"]

_LINE_BYTES_MAX = 4 * MIB  # a file of clients' authorities may be in it
_GC_OBJECTS = 20_000  # new ones before the collector looks for cycles among them
_PR_SET_PDEATHSIG = 1  # prctl(2)


class LogLines:
    """Lines to a descriptor that never wait for whoever reads it.

    A full pipe takes nothing: the line is dropped and counted, and the next line that finds room
    comes after one that says how many are missing. Raises OSError if there is no such descriptor.
    """

    def __init__(self, descriptor: int) -> None:
        # A description of our own: with O_NONBLOCK on the given one, others that share it, such
        # as a terminal's shell, would not wait any more either.
        flags = os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK | os.O_CLOEXEC
        self._descriptor = os.open(f"/proc/self/fd/{descriptor}", flags)
        self._rest = b""  # of a line that a pipe took a part of
        self._dropped = 0

    def write(self, line: bytes, dropped: Callable[[int], bytes]) -> None:
        """Write a line, or count it; `dropped` makes the line that says how many are missing."""
        wanted = [dropped(self._dropped), line] if self._dropped else [line]
        for row in wanted:
            if not self._push():
                self._dropped += 1
                return
            self._rest = row
            if not self._push() and self._rest == row:
                self._rest = b""
                self._dropped += 1
                return
            if row is not line:
                self._dropped = 0

    def _push(self) -> bool:
        """Write what is left of a line; whether all is written."""
        while self._rest:
            try:
                self._rest = self._rest[os.write(self._descriptor, self._rest) :]
            except OSError:  # full, or nobody reads it any more
                return False
        return True


_unread = bytearray()  # what came with the orders and is for `later_lines`
_opened: list[LogLines] = []  # none, or that of this service


def _open_log() -> None:
    # A socket cannot be opened by its path: then lines wait for its reader.
    with suppress(OSError):
        _opened[:] = [LogLines(sys.stderr.fileno())]


def enter_service(name: str) -> dict[str, Any]:
    """Harden this process and read its orders. Raises Misconfigured if they are no JSON object."""
    _open_log()  # now: later, a sandbox may hide the path
    libc = ctypes.CDLL(None, use_errno=True)
    hide_memory()
    os.umask(0o077)
    orders = json.loads(_first_line() or b"null")
    if not isinstance(orders, dict):
        raise Misconfigured(f"{name} is started by `bastide up`, not by hand")
    if orders.pop("die_with_parent", True):
        parent = orders.get("parent")
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        # The parent may have died between its fork and our prctl.
        if parent is not None and os.getppid() != parent:
            raise SystemExit(0)
    return orders


def prepare_loop() -> None:
    """What a service does before its loop serves anybody, so that nobody waits for long.

    The collector of garbage passes over all that is loaded by now, and looks less often: a look at
    all of it takes tens of milliseconds. What a request makes is freed by counting, so that costs
    no memory.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_GC_OBJECTS, 20, 50)


def _first_line() -> bytes:
    data = b""
    while b"\n" not in data and (piece := os.read(0, 65_536)):
        data += piece
    line, _, _unread[:] = data.partition(b"\n")
    return line


async def later_lines() -> AsyncIterator[bytes]:
    """What the supervisor says after the orders, line by line, until standard input ends."""
    reader = asyncio.StreamReader(limit=_LINE_BYTES_MAX)
    reader.feed_data(_unread)
    pipe = os.fdopen(os.dup(0), "rb", buffering=0)
    # From here on the transport owns the descriptor: closed by us too, its number could by then be
    # that of a client's connection.
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), pipe
    )
    try:
        while line := await reader.readline():
            yield line
    finally:
        transport.close()


def on_stop(stop: asyncio.Event) -> None:
    """Set the event on SIGTERM or SIGINT."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)


def log(service: str, event: str, now: Callable[[], int], **fields: Any) -> None:
    """Write one line of JSON to standard error, which is the service's log file.

    Fields are names, digests and counts; never prompts, answers, keys or personal data. A service
    never waits for the reader of its log: see LogLines.
    """

    def row(event: str, fields: Mapping[str, Any]) -> str:
        return json.dumps({"time_ms": now(), "service": service, "event": event, **fields}) + "\n"

    if not _opened:
        sys.stderr.write(row(event, fields))
        sys.stderr.flush()
    else:
        line = row(event, fields).encode()
        _opened[0].write(line, lambda count: row("log-lines-dropped", {"count": count}).encode())
