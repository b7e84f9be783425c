# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The system calls that a sandbox of several processes may not make.

Some engines start processes and talk to devices through calls that differ with each driver, so a
list of what they need (seccomp.py) would be a guess. This is a list of what they never need, and
so a weaker wall: what keeps such an engine in are the namespaces. Rules:

1. Another architecture's calls (also x32) kill the process.
2. A call of REFUSED fails with EPERM: namespaces, mounts, other processes' memory, keys, kernel
   code, and the interfaces with which kernels were most often broken (io_uring, bpf, userfaultfd).
3. `clone` makes no namespace; `clone3`, whose flags a filter cannot see, fails with ENOSYS, so
   that libc falls back to `clone`. No socket but Unix, IPv4 and IPv6 (in there, only loopback), and
   those of NETLINK_ROUTE, by which libc lists the interfaces.
4. All else is allowed.
"""

import struct
from collections.abc import Mapping
from typing import Final

from bastide.adapters.sandbox.seccomp import MACHINES
from bastide.core.errors import Unavailable

__all__ = ["REFUSED", "build_filter_of_many"]

# (x86_64, aarch64). Numbers are those of asm/unistd_64.h and asm-generic/unistd.h.
REFUSED: Final[Mapping[str, tuple[int, int]]] = {
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "pidfd_getfd": (438, 438),
    "kcmp": (312, 272),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    "setns": (308, 268),
    "unshare": (272, 97),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "reboot": (169, 142),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "acct": (163, 89),
    "quotactl": (179, 60),
    "syslog": (103, 116),
    "settimeofday": (164, 170),
    "clock_settime": (227, 112),
    "adjtimex": (159, 171),
    "clock_adjtime": (305, 266),
    "sethostname": (170, 161),
    "setdomainname": (171, 162),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "vhangup": (153, 58),
    "lookup_dcookie": (212, 18),
    "fanotify_init": (300, 262),
}
_CLONE: Final = (56, 220)
_CLONE3: Final = (435, 435)
_SOCKET: Final = (41, 198)
_FAMILIES: Final = (1, 2, 10)  # AF_UNIX, AF_INET, AF_INET6
_NETLINK, _NETLINK_ROUTE = 16, 0
_CLONE_NEW: Final = 0x7E020000  # user, pid, net, ipc, uts, cgroup and mount namespaces

_LOAD, _AND, _EQUAL, _FROM, _RETURN = 0x20, 0x54, 0x15, 0x35, 0x06  # linux/bpf_common.h
_ALLOW, _EPERM, _ENOSYS, _KILL = 0x7FFF0000, 0x00050001, 0x00050026, 0x80000000
_X32_BIT: Final = 0x40000000


def build_filter_of_many(machine: str) -> bytes:
    """Assemble the program for a machine of `platform.machine()`. Raises Unavailable."""
    if machine not in MACHINES:
        raise Unavailable(f"there is no system call table for {machine}")
    column = MACHINES[machine].column
    out = [(_LOAD, 0, 0, 4), (_EQUAL, 1, 0, MACHINES[machine].audit), (_RETURN, 0, 0, _KILL)]
    out += [(_LOAD, 0, 0, 0)]
    if machine == "x86_64":
        out += [(_FROM, 0, 1, _X32_BIT), (_RETURN, 0, 0, _KILL)]
    for numbers in REFUSED.values():
        out += [(_EQUAL, 0, 1, numbers[column]), (_RETURN, 0, 0, _EPERM)]
    out += [(_EQUAL, 0, 1, _CLONE3[column]), (_RETURN, 0, 0, _ENOSYS)]
    # Both machines are little-endian: the lower half of an argument comes first, and is enough.
    out += [(_EQUAL, 0, 5, _CLONE[column]), (_LOAD, 0, 0, 16), (_AND, 0, 0, _CLONE_NEW)]
    out += [(_EQUAL, 0, 1, 0), (_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, _EPERM)]
    out += [(_EQUAL, 0, len(_FAMILIES) + 6, _SOCKET[column]), (_LOAD, 0, 0, 16)]
    out += [(_EQUAL, len(_FAMILIES) + 3 - at, 0, name) for at, name in enumerate(_FAMILIES)]
    out += [(_EQUAL, 0, 2, _NETLINK), (_LOAD, 0, 0, 32), (_EQUAL, 1, 0, _NETLINK_ROUTE)]
    out += [(_RETURN, 0, 0, _EPERM), (_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, _ALLOW)]
    return b"".join(struct.pack("<HBBI", *row) for row in out)
