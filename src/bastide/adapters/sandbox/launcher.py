# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Confines its own process and then becomes the program. Started by landlock.py, in an
interpreter of its own; its orders are one JSON object on standard input.

The steps, in the only order that works:

1. Read the orders; standard input becomes /dev/null.
2. Set resource limits.
3. Enter new namespaces, if permitted.
4. Renounce new privileges, then drop every capability.
5. Restrict files, TCP, abstract sockets and signals by Landlock.
6. Die with the parent. (Changes of credentials, as in 3 and 4, would undo this.)
7. Install the system call filter.
8. Execute the program.

Any failure is written to the status descriptor and ends the process: never weaker.
"""

import ctypes
import json
import os
import platform
import resource
import signal
import stat
import struct
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from bastide.adapters.sandbox.seccomp import build_filter

__all__ = ["landlock_version", "main"]

_libc = ctypes.CDLL(None, use_errno=True)

# prctl(2)
_SET_PDEATHSIG, _SET_SECCOMP, _CAPBSET_READ, _CAPBSET_DROP, _SET_NO_NEW_PRIVS = 1, 22, 23, 24, 38
_CAP_AMBIENT, _CAP_AMBIENT_CLEAR_ALL = 47, 4
_CAPABILITY_VERSION_3 = 0x20080522
# unshare(2): user, network, IPC and host name namespaces
_NAMESPACES = 0x10000000 | 0x40000000 | 0x08000000 | 0x04000000
_NOBODY = 65534

# landlock(7); the same numbers on every architecture
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_FS_RIGHTS = {1: 0x1FFF, 2: 0x3FFF, 3: 0x7FFF, 4: 0x7FFF, 5: 0xFFFF}  # by version
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 0x1, 0x2, 0x4, 0x8
_MAKE_REG, _MAKE_SOCK, _TRUNCATE = 0x100, 0x200, 0x4000
_NET_TCP = 0x3  # bind and connect, since version 4
_SCOPE_ALL = 0x3  # abstract sockets and signals, since version 6


def main(status: int) -> NoReturn:
    """Do all steps; does not return."""
    try:
        os.set_inheritable(status, False)
        # 1.
        orders = json.loads(sys.stdin.buffer.read())
        os.dup2(os.open("/dev/null", os.O_RDONLY), 0)
        os.chdir("/")
        # 2.
        _lower(resource.RLIMIT_CORE, 1)  # 0 still lets dumps be piped: CORE_BYTES_MAX
        _lower(resource.RLIMIT_NOFILE, 1_024)
        # 3.
        if _in_a_fork(_enter_namespaces):
            _enter_namespaces()
        # 4.
        _prctl(_SET_NO_NEW_PRIVS, 1)
        _drop_capabilities()
        # 5.
        _restrict(orders)
        # 6.
        _prctl(_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != orders["parent"]:
            os._exit(126)
        # 7.
        _install_filter(build_filter(platform.machine(), os.getpid()))
        # 8.
        os.execve(orders["argv"][0], orders["argv"], orders["environment"])  # noqa: S606 (no shell)
    except BaseException as error:
        os.write(status, f"{type(error).__name__}: {error}"[:500].encode())
    os._exit(126)


def landlock_version() -> int:
    """The version of Landlock that the kernel has; 0 or less if none."""
    return _libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), 1)


def _lower(limit: int, value: int) -> None:
    hard = resource.getrlimit(limit)[1]
    given = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(limit, (given, given))


def _enter_namespaces() -> None:
    user, group = os.geteuid(), os.getegid()
    if _libc.unshare(_NAMESPACES) != 0:
        raise _failure("unshare")
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{_NOBODY} {user} 1"),
        ("gid_map", f"{_NOBODY} {group} 1"),
    ):
        descriptor = os.open(f"/proc/self/{name}", os.O_WRONLY)
        os.write(descriptor, text.encode())
        os.close(descriptor)


def _in_a_fork(step: Any) -> bool:
    # A half-entered user namespace cannot be left again, so it is tried by somebody else first.
    child = os.fork()
    if child == 0:
        try:
            step()
        except OSError:
            os._exit(1)
        os._exit(0)
    return os.waitpid(child, 0)[1] == 0


def _drop_capabilities() -> None:
    _prctl(_CAP_AMBIENT, _CAP_AMBIENT_CLEAR_ALL)
    for capability in range(64):
        if _libc.prctl(_CAPBSET_READ, capability, 0, 0, 0) != 1:
            continue
        dropped = _libc.prctl(_CAPBSET_DROP, capability, 0, 0, 0) == 0
        # Only root gets capabilities from the bounding set when it executes a program.
        if not dropped and os.geteuid() == 0:
            raise _failure(f"dropping capability {capability}")
    header = ctypes.create_string_buffer(struct.pack("<Ii", _CAPABILITY_VERSION_3, 0))
    if _libc.capset(header, ctypes.create_string_buffer(24)) != 0:
        raise _failure("capset")


def _restrict(orders: dict[str, Any]) -> None:
    version = landlock_version()
    rights = _FS_RIGHTS[min(version, max(_FS_RIGHTS))]
    fields = [rights]
    fields += [_NET_TCP] if version >= 4 else []
    fields += [_SCOPE_ALL] if version >= 6 else []
    attributes = struct.pack(f"<{len(fields)}Q", *fields)
    ruleset = _libc.syscall(
        _CREATE_RULESET, ctypes.c_char_p(attributes), ctypes.c_size_t(len(attributes)), 0
    )
    if ruleset < 0:
        raise _failure("landlock_create_ruleset")
    _allow(ruleset, orders["readable"], (_EXECUTE | _READ_FILE | _READ_DIR) & rights)
    _allow(ruleset, orders["devices"], _READ_FILE | _WRITE_FILE)
    folder = _READ_FILE | _READ_DIR | _WRITE_FILE | _MAKE_REG | _MAKE_SOCK | _TRUNCATE
    _allow(ruleset, [orders["writable"]], folder & rights)
    if _libc.syscall(_RESTRICT_SELF, ruleset, 0) != 0:
        raise _failure("landlock_restrict_self")
    os.close(ruleset)


def _allow(ruleset: int, paths: Sequence[str], rights: int) -> None:
    for path in paths:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
        given = rights
        if not stat.S_ISDIR(os.fstat(descriptor).st_mode):
            given &= _EXECUTE | _READ_FILE | _WRITE_FILE | _TRUNCATE
        rule = struct.pack("<Qi", given, descriptor)  # packed, without padding
        if _libc.syscall(_ADD_RULE, ruleset, 1, ctypes.c_char_p(rule), 0) != 0:
            raise _failure(f"landlock_add_rule for {path}")
        os.close(descriptor)


def _install_filter(program: bytes) -> None:
    code = ctypes.create_string_buffer(program, len(program))
    pointer = ctypes.cast(code, ctypes.c_void_p).value
    # struct sock_fprog: an unsigned short, padding, a pointer.
    header = ctypes.create_string_buffer(struct.pack("<H6xQ", len(program) // 8, pointer))
    if _libc.prctl(_SET_SECCOMP, 2, header, 0, 0) != 0:
        raise _failure("installing the system call filter")


def _prctl(option: int, value: int) -> None:
    if _libc.prctl(option, ctypes.c_ulong(value), 0, 0, 0) != 0:
        raise _failure(f"prctl {option}")


def _failure(step: str) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, f"{step}: {os.strerror(number)}")
