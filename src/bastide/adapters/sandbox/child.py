# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""A started child, and the host paths that every program needs to start at all."""

import asyncio
import contextlib
import os
import signal
import subprocess
from pathlib import Path

from bastide.core.errors import Unavailable
from bastide.ports import Jail

__all__ = ["DEVICES", "SYSTEM_LIBRARIES", "TRUE", "Child", "check_jail", "spawn"]

# The loader, libc and what links to it. Nothing else of /etc, and no program folder.
SYSTEM_LIBRARIES = ("/usr/lib", "/usr/lib64", "/lib", "/lib64", "/etc/ld.so.cache")
DEVICES = ("/dev/null", "/dev/zero", "/dev/random", "/dev/urandom")
TRUE = ("/usr/bin/true", "/bin/true", "/run/current-system/sw/bin/true")
_TAIL_BYTES = 2_048


class Child:
    """A Process whose standard error is read and mostly forgotten, so that it never blocks."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._tail = b""
        self._held: asyncio.BaseTransport | None = None
        self._inner: int | None = None
        self._drained = asyncio.ensure_future(self._drain())

    @property
    def pid(self) -> int:
        """Process id of the outermost process."""
        return self._process.pid

    async def wait(self) -> int:
        """Wait for the end; the exit status, negative for a signal."""
        status = await self._process.wait()
        # bubblewrap reports a signal of its child as a shell does.
        return 128 - status if status > 128 else status

    def kill(self) -> None:
        """Kill it and everything in it."""
        with contextlib.suppress(ProcessLookupError):
            if self._inner is not None:
                signal.pidfd_send_signal(self._inner, signal.SIGKILL)
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()

    def adopt(self, inner: int, held: asyncio.BaseTransport) -> None:
        """Kill `inner` too, and keep a pipe open until the end so that the child can write to it.

        `inner` is the first process of a PID namespace: if it dies, all in there die. The outer
        one takes it along only after both have been set up.
        """
        self._held = held
        with contextlib.suppress(ProcessLookupError):
            self._inner = os.pidfd_open(inner)

    async def last_words(self) -> str:
        """The end of what it wrote to standard error, after it has ended."""
        await self._drained
        text = self._tail.decode("ascii", "replace").strip()
        return "".join(c if c.isprintable() else " " for c in text)[-300:]

    async def _drain(self) -> None:
        stream = self._process.stderr
        while stream is not None and (data := await stream.read(4_096)):
            self._tail = (self._tail + data)[-_TAIL_BYTES:]
        if self._held is not None:
            self._held.close()
        if self._inner is not None:
            os.close(self._inner)
            self._inner = None


async def spawn(
    command: list[str], descriptors: tuple[int, ...], orders: bytes | None = None
) -> Child:
    """Start a program with an empty environment and only the given descriptors.

    It leaves our session, and `orders` is its standard input. Raises Unavailable.
    """
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=subprocess.DEVNULL if orders is None else subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env={},
            cwd="/",
            pass_fds=descriptors,
            start_new_session=True,
        )
    except OSError as error:
        raise Unavailable(f"{command[0]} cannot be started: {error.strerror}") from error
    if orders is not None and process.stdin is not None:
        process.stdin.write(orders)
        process.stdin.close()
    return Child(process)


def check_jail(jail: Jail) -> None:
    """Every path of a jail MUST exist. Raises Unavailable naming those that do not."""
    shown = (*jail.readable, *jail.devices, jail.writable)
    missing = [path for path in shown if not Path(path).exists()]
    if missing:
        raise Unavailable(f"the sandbox cannot show what is not there: {', '.join(missing)}")
