# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Doctor's look at memory: whether keys, weights or prompts can get from it onto a disk.

Two ways lead there. The kernel swaps pages out, those of weights too, which are "in memory only";
and a process that crashes may leave a core dump. Each path is asked below `proc` and `sys`.
"""

import os
from pathlib import Path

from bastide.app.findings import Bench, Finding, descendants
from bastide.app.services import running_pid
from bastide.core.limits import CORE_BYTES_MAX

__all__ = ["check_memory", "dumping", "look_at_dumps", "swap_in_clear", "swaps_nothing"]

_PROC, _SYS = Path("/proc"), Path("/sys")
_SWAP_FIX = (
    "swapoff -a; or swap to dm-crypt or zram; or MemorySwapMax=0 in the unit that runs the services"
)
_PIPE_FIX = (
    "raise the hard limit of core dumps to 1 or more (LimitCORE=1 in the unit that runs the"
    " services), or unset the pipe in kernel.core_pattern; then bastide down; up"
)


def check_memory(bench: Bench) -> list[Finding]:
    """Swap that is not encrypted, and processes of ours that may leave a core dump."""
    pid = running_pid(bench.home)
    mine = descendants(pid) if pid is not None else set()
    findings = look_at_dumps(mine, _read(_PROC / "sys" / "kernel" / "core_pattern"))
    clear = swap_in_clear()
    if clear and mine and all(swaps_nothing(one) for one in mine):
        seen = f"swap in clear on {', '.join(clear)}, which the services' cgroup does not use"
        return [*findings, Finding("memory", "ok", seen)]
    if clear:
        seen = f"swap in clear on {', '.join(clear)}: keys, weights and prompts may get there"
        return [*findings, Finding("memory", "warn", seen, _SWAP_FIX)]
    seen = f"no swap in clear; {len(mine)} processes, none of which leaves a core dump"
    return findings or [Finding("memory", "ok", seen)]


def look_at_dumps(pids: set[int], pattern: str) -> list[Finding]:
    """What is said of those of the processes that may leave a core dump; `pattern`: dumping's."""
    if not (dumps := dumping(pids, pattern)):
        return []
    seen = f"may leave core dumps: process {', '.join(map(str, dumps))}"
    fix = _PIPE_FIX if _is_piped(pattern) else "bastide down; up"
    return [Finding("memory", "bad", seen, fix)]


def swap_in_clear(proc: Path = _PROC, sys: Path = _SYS) -> list[str]:
    """The swap areas in use that are neither encrypted nor memory themselves; unknown ones too."""
    rows = []
    for line in (proc / "swaps").read_text().splitlines()[1:]:
        name, kind, *_ = line.split()
        path = Path(name.replace("\\040", " "))
        if kind == "file":
            try:
                device = path.stat().st_dev
            except OSError:  # it was deleted, or belongs to another mount
                rows.append(str(path))
                continue
            block = sys / "dev" / "block" / f"{os.major(device)}:{os.minor(device)}"
        else:
            block = sys / "class" / "block" / path.resolve().name
        if not _is_sealed(block.resolve()):
            rows.append(str(path))
    return rows


def _is_sealed(block: Path) -> bool:
    """Whether what is written to a block device is encrypted by dm-crypt, or stays in memory."""
    if (block / "partition").exists():
        return _is_sealed(block.parent)
    if block.name.startswith("zram"):
        return _read(block / "backing_dev") in ("", "none")
    if _read(block / "dm" / "uuid").startswith("CRYPT-"):
        return True
    below = list((block / "slaves").glob("*"))  # LVM or RAID: all that is below must be
    return bool(below) and all(_is_sealed(one.resolve()) for one in below)


def swaps_nothing(pid: int, proc: Path = _PROC, sys: Path = _SYS) -> bool:
    """Whether a process is in a control group (version 2) whose pages are never swapped out."""
    lines = _read(proc / str(pid) / "cgroup").splitlines()
    inside = next((line[3:] for line in lines if line.startswith("0::")), None)
    if inside is None:
        return False
    root = sys / "fs" / "cgroup"
    group = root / inside.lstrip("/")
    folders = [one for one in (group, *group.parents) if one.is_relative_to(root)]
    return any(_read(one / "memory.swap.max") == "0" for one in folders)


def dumping(pids: set[int], pattern: str, proc: Path = _PROC) -> list[int]:
    """Those processes whose limit lets a crash leave a core dump.

    pattern: what the kernel has in `core_pattern`. With a pipe there, a limit of 0 holds nothing
    back, only 1 does (CORE_BYTES_MAX); and a hard limit of 0 lets no process of ours set that.
    """
    found = []
    for pid in sorted(pids):
        for line in _read(proc / str(pid) / "limits").splitlines():
            if line.startswith("Max core file size"):
                soft = line.split()[4]
                piped = soft == "0" and _is_piped(pattern)
                if piped or soft == "unlimited" or int(soft) > CORE_BYTES_MAX:
                    found.append(pid)
    return found


def _is_piped(pattern: str) -> bool:
    return pattern.startswith("|")


def _read(path: Path) -> str:
    """What a file of the kernel says, or nothing if there is none: the process may have ended."""
    try:
        return path.read_text().strip()
    except OSError:
        return ""
