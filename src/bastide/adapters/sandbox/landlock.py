# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Isolation by the kernel's Landlock, for machines where bubblewrap cannot run.

A launcher (launcher.py) confines itself and then becomes the program: Landlock for files, TCP,
abstract sockets and signals as far as the kernel has them; its own user, network, IPC and host
name namespaces if they are permitted; no capabilities; resource limits; and the same system call
filter, which alone already excludes network sockets, connections and new processes.

Weaker than bubblewrap in this: the program can learn that a path outside exists (stat).
"""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import bastide
from bastide.adapters.sandbox.child import (
    DEVICES,
    SYSTEM_LIBRARIES,
    Child,
    check_jail,
    spawn,
)
from bastide.adapters.sandbox.launcher import landlock_version
from bastide.core.errors import Unavailable
from bastide.ports import Jail

__all__ = ["LandlockSandbox"]

_SETUP_TIMEOUT_S = 10.0
_START = (
    "import sys; sys.path.insert(0, sys.argv[1]); "
    "from bastide.adapters.sandbox.launcher import main; main(int(sys.argv[2]))"
)


class LandlockSandbox:
    """Starts programs under Landlock, any version of it (Linux 5.13 or newer)."""

    name = "landlock"

    def __init__(self) -> None:
        if landlock_version() < 1:
            raise Unavailable(
                "this kernel has no Landlock", fix="boot Linux 5.13 or newer with lsm=landlock,..."
            )

    async def start(self, jail: Jail) -> Child:
        """Start a process. Raises Unavailable if any step of its confinement fails."""
        check_jail(jail)
        if jail.processes or jail.devices:
            raise Unavailable(
                "landlock cannot isolate an engine of several processes or with devices",
                fix='install bubblewrap, and set sandbox = "bubblewrap"',
            )
        status_end, status_given = os.pipe()
        try:
            child = await spawn(
                _command(status_given), (*jail.inherit, status_given), _orders(jail)
            )
        except BaseException:
            os.close(status_end)
            raise
        finally:
            os.close(status_given)
        try:
            await _wait_for_setup(child, status_end)
        except BaseException:
            child.kill()
            raise
        return child

    def probe(self, jail: Jail) -> None:
        """Run a program to its end. Raises Unavailable if it does not end well."""
        status_end, status_given = os.pipe()
        try:
            done = subprocess.run(
                _command(status_given),
                input=_orders(jail),
                capture_output=True,
                env={},
                pass_fds=(*jail.inherit, status_given),
                timeout=_SETUP_TIMEOUT_S,
                check=False,
            )
            os.close(status_given)
            status_given = -1
            text = os.read(status_end, 1_024).decode("ascii", "replace")
        except (OSError, subprocess.TimeoutExpired) as error:
            raise Unavailable(f"landlock: {error}") from error
        finally:
            os.close(status_end)
            if status_given >= 0:
                os.close(status_given)
        if done.returncode != 0:
            raise Unavailable(f"landlock cannot isolate (status {done.returncode}): {text}")


def _command(status: int) -> list[str]:
    root = str(Path(bastide.__file__).resolve().parent.parent)
    # Isolated, without site-packages and without writing byte code.
    return [sys.executable, "-I", "-S", "-B", "-c", _START, root, str(status)]


def _orders(jail: Jail) -> bytes:
    return json.dumps(
        {
            "argv": jail.argv,
            "readable": [path for path in SYSTEM_LIBRARIES if Path(path).exists()]
            + list(jail.readable),
            "devices": DEVICES,
            "writable": jail.writable,
            "environment": dict(jail.environment),
            "parent": os.getpid(),
        }
    ).encode()


async def _wait_for_setup(child: Child, status_end: int) -> None:
    # The launcher's end of the pipe closes when it becomes the program; before, it may complain.
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    transport, _ = await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(status_end, "rb")
    )
    try:
        text = await asyncio.wait_for(reader.read(1_024), _SETUP_TIMEOUT_S)
    except TimeoutError:
        text = b"the launcher does not answer"
    finally:
        transport.close()
    if text:
        child.kill()
        await child.wait()
        raise Unavailable(f"landlock cannot isolate: {text.decode('ascii', 'replace')}")
