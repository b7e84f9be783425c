# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The folder of the sockets may lie in /tmp, where somebody else could have made it first."""

import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bastide.adapters.clock.fixed import FixedClock
from bastide.app.config import Home
from bastide.app.services import prepare_run, running_pid, stop_services
from bastide.core.errors import Unavailable


@pytest.fixture
def victim() -> Iterator[subprocess.Popen[bytes]]:
    """A process that is none of ours."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield process
    process.kill()
    process.wait()


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home")
    home.root.mkdir(mode=0o700)
    return home


def lay_trap(folder: Path, pid: int) -> int:
    """A lock that is held, and that names a process to kill."""
    folder.mkdir(exist_ok=True)
    descriptor = os.open(folder / "supervisor.lock", os.O_RDWR | os.O_CREAT, 0o666)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    os.write(descriptor, str(pid).encode())
    return descriptor


def test_a_folder_that_others_can_write_to_names_no_process_to_kill(
    home: Home, victim: subprocess.Popen[bytes]
) -> None:
    held = lay_trap(home.run, victim.pid)
    home.run.chmod(0o777)
    with pytest.raises(Unavailable, match="not a private folder"):
        stop_services(home, FixedClock(), lambda _: pytest.fail("it waits"))
    assert victim.poll() is None
    os.close(held)


def test_a_link_to_a_folder_elsewhere_is_not_followed(
    home: Home, victim: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    held = lay_trap(elsewhere, victim.pid)
    elsewhere.chmod(0o700)
    home.run.symlink_to(elsewhere)
    for ask in (running_pid, prepare_run):
        with pytest.raises(Unavailable, match="not a private folder"):
            ask(home)
    assert victim.poll() is None
    os.close(held)


def test_our_own_lock_names_the_process(home: Home, victim: subprocess.Popen[bytes]) -> None:
    assert running_pid(home) is None  # there is no folder yet
    prepare_run(home)
    assert running_pid(home) is None
    held = lay_trap(home.run, victim.pid)
    assert running_pid(home) == victim.pid
    os.close(held)
    assert running_pid(home) is None
    assert not stop_services(home, FixedClock(), lambda _: pytest.fail("it waits"))
    assert victim.poll() is None
