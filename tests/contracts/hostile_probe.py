# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""A hostile program: runs inside a sandbox, tries to get out, and writes what happened.

argv: a JSON object of targets. Each attempt's outcome is the name of an errno, or "done".
"""

# As close to the system calls as Python goes.
# ruff: noqa: PTH101, PTH104, PTH108, PTH123, PTH208, PTH211

import ctypes
import errno
import json
import os
import socket
import sys

libc = ctypes.CDLL(None, use_errno=True)
targets = json.loads(sys.argv[1])


def attempt(deed):
    try:
        deed()
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, str(error))
    return "done"


def call(function, *arguments):
    def deed():
        ctypes.set_errno(0)
        if getattr(libc, function)(*arguments) == -1:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))

    return attempt(deed)


def write(path, data=b"x"):
    def deed():
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
        os.write(descriptor, data)
        os.close(descriptor)

    return attempt(deed)


def read(path):
    return attempt(lambda: os.close(os.open(path, os.O_RDONLY)))


def content(path):
    try:
        with open(path, "rb") as file:
            return file.read(65_536).decode("ascii", "replace")
    except OSError:
        return ""


def descriptors():
    found = []
    for number in range(3, 512):
        try:
            os.fstat(number)
        except OSError:
            continue
        found.append(number)
    return found


def unix(kind=socket.SOCK_STREAM):
    return socket.socket(socket.AF_UNIX, kind)


def kernel(victim):
    numbers, folder = targets["numbers"], targets["folder"]
    return {
        "ptrace": call("ptrace", 16, victim, 0, 0),
        "process_vm_readv": call("process_vm_readv", victim, 0, 0, 0, 0, 0),
        "mount": call("mount", b"none", folder.encode(), b"tmpfs", 0, None),
        "unshare-user": call("unshare", 0x10000000),
        "unshare-mount": call("unshare", 0x20000),
        "setns": call("setns", 0, 0),
        "chroot": call("chroot", b"/"),
        "pivot_root": call("syscall", numbers["pivot_root"], b"/", b"/"),
        "keyctl": call("syscall", numbers["keyctl"], 0, 0, 0, 0),
        "bpf": call("syscall", numbers["bpf"], 0, None, 0),
        "io_uring": call("syscall", 425, 1, None),
        "userfaultfd": call("syscall", numbers["userfaultfd"], 0),
        "perf": call("syscall", numbers["perf_event_open"], None, 0, -1, -1, 0),
        "clone3": call("syscall", 435, None, 0),
        "fork": attempt(os.fork),
        "kill": attempt(lambda: os.kill(victim, 9)),
        "tgkill": call("syscall", numbers["tgkill"], victim, victim, 9),
        "prlimit": call("prlimit", victim, 7, None, None),
        "memfd": attempt(lambda: os.memfd_create("x")),
        "personality": call("personality", 0x0040000),
        "setuid": attempt(lambda: os.setuid(0)),
        "tiocsti": call("ioctl", 0, 0x5412, b"x"),
    }


def main():
    folder, victim = targets["folder"], targets["victim"]
    found = descriptors()
    out = {
        "descriptors": found,
        "environment": dict(os.environ),
        "first": content("/proc/1/environ"),
        "inherited": {str(n): os.pread(n, 16, 0).decode("ascii", "replace") for n in found},
        "interfaces": attempt(lambda: os.listdir("/sys/class/net")),
        "socket": {
            name: attempt(lambda f=family, k=kind: socket.socket(f, k))
            for name, family, kind in (
                ("inet", socket.AF_INET, socket.SOCK_STREAM),
                ("inet-udp", socket.AF_INET, socket.SOCK_DGRAM),
                ("inet6", socket.AF_INET6, socket.SOCK_STREAM),
                ("netlink", socket.AF_NETLINK, socket.SOCK_RAW),
                ("packet", socket.AF_PACKET, socket.SOCK_RAW),
                ("vsock", 40, socket.SOCK_STREAM),
                ("unix-dgram", socket.AF_UNIX, socket.SOCK_DGRAM),
            )
        },
        "pair": attempt(socket.socketpair),
        "connect": {
            "unix": attempt(lambda: unix().connect(targets["socket"])),
            "abstract": attempt(lambda: unix().connect("\0" + targets["abstract"])),
        },
        "read": {path: read(path) for path in targets["secrets"]},
        "write": {path: write(path) for path in targets["places"]},
        "folder": write(f"{folder}/file"),
        "escape": {
            "symlink": attempt(lambda: os.symlink(targets["socket"], f"{folder}/link")),
            "link": attempt(lambda: os.link(f"{folder}/file", f"{folder}/other")),
            "rename": attempt(lambda: os.rename(f"{folder}/file", f"{folder}/moved")),
            "unlink": attempt(lambda: os.unlink(f"{folder}/file")),
            "chmod": attempt(lambda: os.chmod(folder, 0o777)),
            "mknod": attempt(lambda: os.mknod(f"{folder}/pipe", 0o010600)),
        },
        "kernel": kernel(victim),
    }
    with open(f"{folder}/result.json", "w") as file:
        json.dump(out, file)


main()
