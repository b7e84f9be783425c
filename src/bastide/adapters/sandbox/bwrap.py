# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Isolation by bubblewrap: namespaces for everything, an almost empty read-only file system.

Inside there is the program loader, what the jail names, four devices, a private /proc and one
writable folder: no /etc, no home, no /tmp, no network interface, no capability, no environment.
"""

import asyncio
import contextlib
import os
import platform
import re
import subprocess
from pathlib import Path

from bastide.adapters.sandbox.child import (
    DEVICES,
    SYSTEM_LIBRARIES,
    Child,
    check_jail,
    spawn,
)
from bastide.adapters.sandbox.seccomp import build_filter
from bastide.adapters.sandbox.seccomp_many import build_filter_of_many
from bastide.core.errors import Unavailable
from bastide.ports import Jail

__all__ = ["BubblewrapSandbox"]

# Not looked up in PATH: who can change that could take the sandbox's place.
_PROGRAMS = (
    "/usr/bin/bwrap",
    "/bin/bwrap",
    "/usr/local/bin/bwrap",
    "/run/current-system/sw/bin/bwrap",
)
_NOBODY = "65534"
_SETUP_TIMEOUT_S = 10.0


class BubblewrapSandbox:
    """Starts programs under bwrap(1), 0.5 or newer."""

    name = "bubblewrap"

    def __init__(self, program: str | None = None) -> None:
        found = [path for path in ((program,) if program else _PROGRAMS) if Path(path).exists()]
        if not found:
            raise Unavailable("bubblewrap is not installed", fix="install the package `bubblewrap`")
        self._program = found[0]
        self._filter = build_filter(platform.machine())
        self._filter_of_many = build_filter_of_many(platform.machine())

    async def start(self, jail: Jail) -> Child:
        """Start a process. Raises Unavailable if the namespaces cannot be made."""
        check_jail(jail)
        filter_end = _filled_pipe(self._filter_of_many if jail.processes else self._filter)
        status_end, status_given = os.pipe()
        try:
            command = self._command(jail, filter_end, status_given)
            child = await spawn(command, (*jail.inherit, filter_end, status_given))
        except BaseException:
            os.close(status_end)
            raise
        finally:
            os.close(filter_end)
            os.close(status_given)
        try:
            await _wait_for_setup(child, status_end)
        except BaseException:
            child.kill()
            raise
        return child

    def probe(self, jail: Jail) -> None:
        """Run a program to its end. Raises Unavailable if it does not end well."""
        filter_end = _filled_pipe(self._filter)
        try:
            done = subprocess.run(
                self._command(jail, filter_end, None),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                env={},
                pass_fds=(*jail.inherit, filter_end),
                timeout=_SETUP_TIMEOUT_S,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise Unavailable(f"bubblewrap: {error}") from error
        finally:
            os.close(filter_end)
        if done.returncode != 0:
            text = done.stderr.decode("ascii", "replace").strip()[-300:]
            raise Unavailable(
                f"bubblewrap cannot isolate (status {done.returncode}): {text}",
                fix="allow user namespaces for bwrap (on Ubuntu by an AppArmor profile)",
            )

    def _command(self, jail: Jail, filter_end: int, status_given: int | None) -> list[str]:
        command = [self._program, "--unshare-all", "--unshare-user", "--die-with-parent"]
        command += ["--new-session", "--cap-drop", "ALL", "--uid", _NOBODY, "--gid", _NOBODY]
        command += ["--hostname", "engine", "--clearenv"]
        for name, value in jail.environment:
            command += ["--setenv", name, value]
        # First: what is shown or written may lie in /tmp.
        if jail.processes:
            command += ["--tmpfs", "/tmp", "--tmpfs", "/dev/shm"]  # noqa: S108 (the jail's own)
        for path in SYSTEM_LIBRARIES:
            command += ["--ro-bind-try", path, path]
        for path in jail.readable:
            command += ["--ro-bind", path, path]
        for path in (*DEVICES, *jail.devices):
            command += ["--dev-bind", path, path]
        command += ["--proc", "/proc", "--bind", jail.writable, jail.writable]
        # The root is a tmpfs that would otherwise be writable.
        command += ["--remount-ro", "/proc", "--remount-ro", "/", "--chdir", "/"]
        command += ["--seccomp", str(filter_end)]
        if status_given is not None:
            command += ["--json-status-fd", str(status_given)]
        return [*command, "--", *jail.argv]


async def _wait_for_setup(child: Child, status_end: int) -> None:
    # bubblewrap writes one line when the namespaces are made, and ends the stream if it fails.
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    transport, _ = await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(status_end, "rb")
    )
    line = b""
    with contextlib.suppress(TimeoutError):
        line = await asyncio.wait_for(reader.readline(), _SETUP_TIMEOUT_S)
    found = re.search(rb'"child-pid": *([0-9]+)', line)
    if found is None:
        child.kill()
        await child.wait()
        transport.close()
        raise Unavailable(f"bubblewrap cannot isolate: {await child.last_words()}")
    # The pipe stays open until bubblewrap has ended, which writes to it once more.
    child.adopt(int(found[1]), transport)


def _filled_pipe(data: bytes) -> int:
    # The filter is 2 KiB, and a pipe holds 64: writing before anybody reads cannot block.
    end, given = os.pipe()
    try:
        os.write(given, data)
    finally:
        os.close(given)
    return end
