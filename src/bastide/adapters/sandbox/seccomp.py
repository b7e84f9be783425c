# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The system calls that a sandboxed process may make, as a classic BPF program.

Follows seccomp(2): the program sees `struct seccomp_data` {int nr; u32 arch; u64 ip; u64 args[6]}.

Rules:

1. Another architecture's calls (also x32) kill the process.
2. A call on the list is allowed, some only with the arguments that CHECKED names.
3. Anything else fails with EPERM; a call that is newer than 5.1 with ENOSYS, as on an older
   kernel, so that libc falls back (clone3, whose flags a filter cannot see, to clone).

So there is no process creation (threads only), no socket but Unix streams and none that connects
or carries descriptors, no link, rename or removal of files, no ptrace, mount, namespace, key,
bpf, io_uring or userfaultfd. Numbers are those of asm/unistd_64.h and asm-generic/unistd.h.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from bastide.core.errors import Unavailable

__all__ = ["MACHINES", "build_filter"]


@dataclass(frozen=True, slots=True)
class Machine:
    """AUDIT_ARCH of linux/audit.h, and the column of the tables below."""

    audit: int
    column: int


MACHINES: Final[Mapping[str, Machine]] = {
    "x86_64": Machine(0xC000003E, 0),
    "aarch64": Machine(0xC00000B7, 1),
}


@dataclass(frozen=True, slots=True)
class Check:
    """The lower half of an argument, masked, MUST be one of the values."""

    argument: int
    values: tuple[int, ...]
    mask: int = 0xFFFFFFFF


# (x86_64, aarch64); None where the architecture has no such call. The frequent ones first.
ALLOWED: Final[Mapping[str, tuple[int | None, int | None]]] = {
    "futex": (202, 98),
    "read": (0, 63),
    "write": (1, 64),
    "sendto": (44, 206),
    "recvfrom": (45, 207),
    "poll": (7, None),
    "ppoll": (271, 73),
    "mmap": (9, 222),
    "munmap": (11, 215),
    "mprotect": (10, 226),
    "mremap": (25, 216),
    "madvise": (28, 233),
    "brk": (12, 214),
    "sched_yield": (24, 124),
    "clock_gettime": (228, 113),
    "clock_getres": (229, 114),
    "clock_nanosleep": (230, 115),
    "nanosleep": (35, 101),
    "gettimeofday": (96, 169),
    "time": (201, None),
    "readv": (19, 65),
    "writev": (20, 66),
    "pread64": (17, 67),
    "pwrite64": (18, 68),
    "select": (23, None),
    "pselect6": (270, 72),
    "epoll_create1": (291, 20),
    "epoll_ctl": (233, 21),
    "epoll_wait": (232, None),
    "epoll_pwait": (281, 22),
    "eventfd2": (290, 19),
    "pipe2": (293, 59),
    "accept": (43, 202),
    "accept4": (288, 242),
    "bind": (49, 200),
    "listen": (50, 201),
    "shutdown": (48, 210),
    "getsockname": (51, 204),
    "getpeername": (52, 205),
    "getsockopt": (55, 209),
    "setsockopt": (54, 208),
    "open": (2, None),
    "openat": (257, 56),
    "close": (3, 57),
    "lseek": (8, 62),
    "stat": (4, None),
    "lstat": (6, None),
    "fstat": (5, 80),
    "newfstatat": (262, 79),
    "statx": (332, 291),
    "statfs": (137, 43),
    "fstatfs": (138, 44),
    "access": (21, None),
    "faccessat": (269, 48),
    "faccessat2": (439, 439),
    "readlink": (89, None),
    "readlinkat": (267, 78),
    "getdents64": (217, 61),
    "getcwd": (79, 17),
    "ftruncate": (77, 46),
    "fadvise64": (221, 223),
    "umask": (95, 166),
    "dup": (32, 23),
    "dup2": (33, None),
    "dup3": (292, 24),
    "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139),
    "sigaltstack": (131, 132),
    "restart_syscall": (219, 128),
    "set_robust_list": (273, 99),
    "set_tid_address": (218, 96),
    "rseq": (334, 293),
    "membarrier": (324, 283),
    "sched_getaffinity": (204, 123),
    "getcpu": (309, 168),
    "arch_prctl": (158, None),
    "getpid": (39, 172),
    "getppid": (110, 173),
    "gettid": (186, 178),
    "getuid": (102, 174),
    "geteuid": (107, 175),
    "getgid": (104, 176),
    "getegid": (108, 177),
    "getgroups": (115, 158),
    "getrandom": (318, 278),
    "getrusage": (98, 165),
    "uname": (63, 160),
    "sysinfo": (99, 179),
    "times": (100, 153),
    "exit": (60, 93),
    "exit_group": (231, 94),
    "wait4": (61, 260),  # bubblewrap's own first process waits for its child
    "execve": (59, 221),  # the filter is in place before the program starts
    "seccomp": (317, 277),  # a program may only tighten its filter
    "clone": (56, 220),
    "socket": (41, 198),
    "prctl": (157, 167),
    "ioctl": (16, 29),
    "fcntl": (72, 25),
    "prlimit64": (302, 261),
    "tgkill": (234, 131),
}

_CLONE_THREAD = 0x10000
_CLONE_NEW = 0x7E020000  # user, pid, net, ipc, uts, cgroup and mount namespaces
CHECKED: Final[Mapping[str, tuple[Check, ...]]] = {
    "clone": (Check(0, (_CLONE_THREAD,), _CLONE_THREAD | _CLONE_NEW),),
    "socket": (Check(0, (1,)), Check(1, (1,), 0xF)),  # AF_UNIX, SOCK_STREAM
    # PDEATHSIG, GET_DUMPABLE, SET_DUMPABLE, SET_NAME, SET_SECCOMP, SET_NO_NEW_PRIVS, SET_VMA
    "prctl": (Check(0, (1, 3, 4, 15, 22, 38, 0x53564D41)),),
    # FIONCLEX, FIOCLEX, FIONBIO, FIONREAD, TCGETS, TIOCGWINSZ
    "ioctl": (Check(1, (0x5450, 0x5451, 0x5421, 0x541B, 0x5401, 0x5413)),),
    # DUPFD, GETFD, SETFD, GETFL, SETFL, DUPFD_CLOEXEC, GET_SEALS; no owner, so no signal by it
    "fcntl": (Check(1, (0, 1, 2, 3, 4, 1030, 1034)),),
    "prlimit64": (Check(0, (0,)),),  # only its own limits
}

_RET_ALLOW = 0x7FFF0000
_RET_ERRNO = 0x00050000
_RET_KILL_PROCESS = 0x80000000
_EPERM, _ENOSYS = 1, 38
_X32_BIT = 0x40000000
_UNIFIED_FIRST = 424  # from here on all architectures share their numbers (Linux 5.1)


def build_filter(machine: str, pid: int | None = None) -> bytes:
    """Assemble the program for a machine of `platform.machine()`.

    With `pid`, thread signals may only go to that process; a PID namespace needs no such rule.
    Raises Unavailable for a machine that has no table.
    """
    if machine not in MACHINES:
        raise Unavailable(
            f"there is no system call table for {machine}", fix=f"use one of {', '.join(MACHINES)}"
        )
    target = MACHINES[machine]
    checked = dict(CHECKED)
    if pid is not None:
        checked["tgkill"] = (Check(0, (pid,)),)
    out = [_load(4), _jump_equal(target.audit, 1, 0), _return(_RET_KILL_PROCESS), _load(0)]
    if machine == "x86_64":
        out += [_jump_from(_X32_BIT, 0, 1), _return(_RET_KILL_PROCESS)]
    for name, numbers in ALLOWED.items():
        number = numbers[target.column]
        if number is None:
            continue
        body = [*_conditions(checked.get(name, ())), _return(_RET_ALLOW)]
        out += [_jump_equal(number, 0, len(body)), *body]
    out += [_jump_from(_UNIFIED_FIRST, 0, 1), _return(_RET_ERRNO | _ENOSYS)]
    out += [_return(_RET_ERRNO | _EPERM)]
    return b"".join(out)


def _conditions(checks: tuple[Check, ...]) -> list[bytes]:
    out: list[bytes] = []
    for check in checks:
        # Both machines are little-endian: the lower half of an argument comes first.
        out += [_load(16 + 8 * check.argument), _and(check.mask)]
        count = len(check.values)
        out += [_jump_equal(value, count - index, 0) for index, value in enumerate(check.values)]
        out += [_return(_RET_ERRNO | _EPERM)]
    return out


def _instruction(code: int, yes: int, no: int, value: int) -> bytes:
    return struct.pack("<HBBI", code, yes, no, value)


def _load(offset: int) -> bytes:
    return _instruction(0x20, 0, 0, offset)  # BPF_LD | BPF_W | BPF_ABS


def _and(mask: int) -> bytes:
    return _instruction(0x54, 0, 0, mask)  # BPF_ALU | BPF_AND | BPF_K


def _jump_equal(value: int, yes: int, no: int) -> bytes:
    return _instruction(0x15, yes, no, value)  # BPF_JMP | BPF_JEQ | BPF_K


def _jump_from(value: int, yes: int, no: int) -> bytes:
    return _instruction(0x35, yes, no, value)  # BPF_JMP | BPF_JGE | BPF_K


def _return(value: int) -> bytes:
    return _instruction(0x06, 0, 0, value)  # BPF_RET | BPF_K
