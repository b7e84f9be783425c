# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What doctor says of swap and core dumps, over kernel files as documentation has them.

To see these tests fail I once broke the code: with any device mapper taken for encrypted, with one
encrypted disk of two being enough, and with partitions asked by themselves, they do; and
with a limit of 0 taken for well under every pattern.
"""

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from bastide.app.doctor_memory import dumping, look_at_dumps, swap_in_clear, swaps_nothing
from paths.demo import environment

TO_A_FILE, TO_A_PROGRAM = "core.%p", "|/usr/lib/systemd/systemd-coredump %P %u %g"
HEAD = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"


@pytest.fixture
def kernel(tmp_path: Path) -> tuple[Path, Path]:
    """Empty `proc` and `sys`."""
    for name in ("proc", "sys/class/block", "sys/dev/block"):
        (tmp_path / name).mkdir(parents=True)
    return tmp_path / "proc", tmp_path / "sys"


def block(sys: Path, name: str, files: dict[str, str], *slaves: str) -> Path:
    """A block device with some of its files, and what is below it."""
    folder = sys / "class" / "block" / name
    for file, text in files.items():
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_text(f"{text}\n")
    (folder / "slaves").mkdir(parents=True, exist_ok=True)
    for one in slaves:
        (folder / "slaves" / one).symlink_to(sys / "class" / "block" / one)
    return folder


def swaps(proc: Path, *rows: str) -> None:
    lines = [f"{row}\t\t\t\t2097148\t\t0\t\t-2\n" for row in rows]
    (proc / "swaps").write_text(HEAD + "".join(lines))


@pytest.mark.attacks("C284")
def test_swap_is_told_unless_it_is_encrypted_or_memory(kernel: tuple[Path, Path]) -> None:
    proc, sys = kernel
    swaps(proc)
    assert swap_in_clear(proc, sys) == []
    block(sys, "sda2", {"partition": "2"})
    block(sys, "dm-0", {"dm/uuid": "CRYPT-PLAIN-swap"}, "sda2")
    block(sys, "dm-1", {"dm/uuid": "LVM-abc"}, "dm-0")
    block(sys, "dm-2", {"dm/uuid": "LVM-def"}, "sda2")
    block(sys, "md0", {}, "dm-0", "sda2")
    block(sys, "zram0", {"backing_dev": "none"})
    block(sys, "zram1", {"backing_dev": "/dev/sda2"})
    names = ("sda2", "dm-0", "dm-1", "dm-2", "md0", "zram0", "zram1", "gone")
    swaps(proc, *(f"/dev/{name}\tpartition" for name in names))
    assert swap_in_clear(proc, sys) == [
        f"/dev/{name}" for name in ("sda2", "dm-2", "md0", "zram1", "gone")
    ]


def test_a_swap_file_is_as_safe_as_its_disk(kernel: tuple[Path, Path], tmp_path: Path) -> None:
    proc, sys = kernel
    file = tmp_path / "a swap"
    file.touch()
    device = file.stat().st_dev
    place = sys / "dev" / "block" / f"{os.major(device)}:{os.minor(device)}"
    swaps(proc, f"{tmp_path}/a\\040swap\tfile", "/not/there\tfile")
    place.symlink_to(block(sys, "dm-0", {"dm/uuid": "CRYPT-LUKS2-x"}))
    assert swap_in_clear(proc, sys) == ["/not/there"]
    place.unlink()
    disk = block(sys, "vda", {})
    (disk / "vda1").mkdir()
    (disk / "vda1" / "partition").write_text("1\n")
    place.symlink_to(disk / "vda1")
    assert swap_in_clear(proc, sys) == [str(file), "/not/there"]


def test_of_this_machine_the_kernel_says_something() -> None:
    assert all(Path(name).is_absolute() for name in swap_in_clear())
    assert isinstance(swaps_nothing(os.getpid()), bool)


def test_a_control_group_may_keep_pages_in_memory(kernel: tuple[Path, Path]) -> None:
    proc, sys = kernel
    group = sys / "fs" / "cgroup" / "system.slice" / "bastide.service"
    group.mkdir(parents=True)
    (proc / "7").mkdir()
    assert not swaps_nothing(7, proc, sys)
    (proc / "7" / "cgroup").write_text("0::/system.slice/bastide.service\n")
    assert not swaps_nothing(7, proc, sys)
    (group / "memory.swap.max").write_text("max\n")
    assert not swaps_nothing(7, proc, sys)
    (group.parent / "memory.swap.max").write_text("0\n")
    assert swaps_nothing(7, proc, sys)


@pytest.mark.attacks("C284")
@pytest.mark.parametrize("pattern", [TO_A_FILE, TO_A_PROGRAM])
@pytest.mark.parametrize(("soft", "told"), [(1, False), (0, False), (4096, True)])
def test_a_process_that_may_leave_a_core_dump_is_told(soft: int, told: bool, pattern: str) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        try:
            # Only root may raise it again, where a command that ran in this process has lowered it.
            resource.prlimit(process.pid, resource.RLIMIT_CORE, (soft, 4_096))
        except PermissionError:
            process.communicate(b"\n")
            pytest.skip("this user may have no core dumps at all")
        told = told or (soft == 0 and pattern == TO_A_PROGRAM)
        assert dumping({process.pid, 2**22}, pattern) == ([process.pid] if told else [])
        process.communicate(b"\n")


@pytest.mark.attacks("C284")
def test_a_hard_limit_of_0_is_told_where_dumps_are_piped() -> None:
    """Under it our limit of 1 cannot be set: an engine that stays dumpable has 0."""
    code = "from bastide.app.hiding import hide_memory; hide_memory(); print(flush=True); input()"
    with subprocess.Popen(
        ["/bin/sh", "-c", 'ulimit -c 0; exec "$@"', "sh", sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment(),
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert look_at_dumps({process.pid}, TO_A_FILE) == []
        (finding,) = look_at_dumps({process.pid}, TO_A_PROGRAM)
        process.communicate(b"\n")
    assert (finding.state, finding.seen) == ("bad", f"may leave core dumps: process {process.pid}")
    assert "LimitCORE=1" in finding.fix and "kernel.core_pattern" in finding.fix
