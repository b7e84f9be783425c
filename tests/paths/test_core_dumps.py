# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""No process that may hold a key leaves its memory on a disk when it crashes.

Each is started where the kernel may write dumps of any size, and is sent SIGABRT; how it ended says
whether the kernel dumped. To see these tests fail I once broke `hide_memory`: without the limit,
and without PR_SET_DUMPABLE, each of them did.
"""

import ctypes
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic, sleep

import pytest

from bastide.app.config import Settings
from bastide.app.corpus_part import Workbench
from bastide.app.corpus_pool import Pool
from bastide.app.doctor_memory import dumping
from paths.demo import ARGV, environment

SERVICES = (
    "bastide.gateway",
    "bastide.gateway.desk",
    "bastide.app.control",
    "bastide.app.metrics_server",
    "bastide.app.runner_main",
    "bastide.app.supervisor",
)
_PR_GET_DUMPABLE = 3


@pytest.fixture(autouse=True)
def dumps(tmp_path: Path) -> Iterator[None]:
    """The kernel may write core dumps; else nothing is shown here."""
    soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
    try:
        plain = subprocess.Popen([sys.executable, "-c", "import os; os.abort()"], cwd=tmp_path)
        if ended(plain.pid) != os.CLD_DUMPED:
            pytest.skip("this machine writes no core dumps")
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_CORE, (soft, hard))


def ended(pid: int) -> int:
    """How a child ended: `os.CLD_KILLED` by a signal, or `os.CLD_DUMPED` with a core dump."""
    found = os.waitid(os.P_PID, pid, os.WEXITED)
    assert found is not None and found.si_status == signal.SIGABRT
    return found.si_code


def crash(code: str, *arguments: str, folder: Path) -> None:
    """Start a program twice and let it crash once it has hidden its memory."""
    # 1. As it is: the limit is there before anything is read.
    argv = [sys.executable, "-c", code, *arguments]
    abort(argv, folder, lambda pid: not dumping({pid}, "core"))
    # 2. Where the limit is not set: nothing but PR_SET_DUMPABLE keeps the dump from being written.
    hidden = folder / "hidden"
    argv[2] = f"import resource; resource.setrlimit = lambda *_: open({str(hidden)!r}, 'w'); {code}"
    abort(argv, folder, lambda _: hidden.exists())


def abort(argv: list[str], folder: Path, ready: Callable[[int], bool]) -> None:
    """Start a program and send it SIGABRT once it is ready: it leaves no core dump."""
    with subprocess.Popen(argv, cwd=folder, env=environment(), stdin=subprocess.PIPE) as process:
        try:
            until = monotonic() + 60
            while not ready(process.pid):
                assert monotonic() < until and process.poll() is None
                sleep(0.02)
            process.send_signal(signal.SIGABRT)
            assert ended(process.pid) == os.CLD_KILLED
        finally:
            process.kill()


@pytest.mark.attacks("C284")
@pytest.mark.parametrize("service", SERVICES)
def test_a_service_that_crashes_leaves_no_core_dump(service: str, tmp_path: Path) -> None:
    """It waits for its orders, which have its keys."""
    crash(f"import runpy; runpy.run_module({service!r}, None, '__main__')", folder=tmp_path)


@pytest.mark.attacks("C284")
@pytest.mark.parametrize(
    "command", [("verify",), ("status", "--passphrase-file"), ("sign", "a", "--key")]
)
def test_a_command_that_crashes_leaves_no_core_dump(
    command: tuple[str, ...], tmp_path: Path
) -> None:
    """It waits for a file, a passphrase or a key, which somebody is to write into a pipe."""
    os.mkfifo(tmp_path / "pipe")
    crash(ARGV[2], *command, str(tmp_path / "pipe"), folder=tmp_path)


def seen(_: Workbench, __: int) -> tuple[int, int, int]:
    """What a worker says of itself: its limit, whether it is dumpable, and which process it is."""
    limit = resource.getrlimit(resource.RLIMIT_CORE)[0]
    return limit, ctypes.CDLL(None).prctl(_PR_GET_DUMPABLE, 0, 0, 0, 0), os.getpid()


@pytest.mark.attacks("C284")
def test_a_worker_of_a_build_leaves_no_core_dump(tmp_path: Path) -> None:
    bench = Workbench(str(tmp_path), (), (), "", (), b"")
    with Pool(Settings("test"), 2, bench, tuple) as pool:
        rows = [row for _, row in pool.each(seen, range(4))]
    assert {row[:2] for row in rows} == {(1, 0)}
    # Not this process, which another test's command may have hidden: each began as a new program.
    assert os.getpid() not in {row[2] for row in rows}
