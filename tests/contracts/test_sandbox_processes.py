# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""A jail of several processes: they may start and talk to each other; the world stays closed."""

import asyncio
import json
import platform

import pytest

from bastide.adapters.engine.starting import interpreter_files
from bastide.adapters.sandbox.bwrap import BubblewrapSandbox
from bastide.adapters.sandbox.landlock import LandlockSandbox
from bastide.adapters.sandbox.seccomp_many import REFUSED, build_filter_of_many
from bastide.core.errors import Unavailable
from bastide.ports import Jail

PROBE = """
import ctypes, errno, json, os, pathlib, socket, subprocess, sys
libc = ctypes.CDLL(None, use_errno=True)
def refused(number, *arguments):
    done = libc.syscall(number, *arguments)
    return done == -1 and ctypes.get_errno() == errno.EPERM
def can(deed):
    try:
        deed()
        return True
    except OSError:
        return False
server = socket.create_server(("127.0.0.1", 0))
said = {
    "child": subprocess.run([sys.executable, "-I", "-S", "-c", "pass"]).returncode == 0,
    "loopback": can(lambda: socket.create_connection(server.getsockname(), 2)),
    "tmp": can(lambda: pathlib.Path("/tmp/x").write_text("x")),
    "shm": can(lambda: pathlib.Path("/dev/shm/x").write_text("x")),
    "root": can(lambda: pathlib.Path("/x").write_text("x")),
    "etc": pathlib.Path("/etc/passwd").exists() or pathlib.Path("/home").exists(),
    "interfaces": [row.split(":")[0].strip() for row in open("/proc/net/dev") if ":" in row],
    "names": [name for _, name in socket.if_nameindex()],
    "netlink": can(lambda: socket.socket(16, socket.SOCK_RAW, 12)),
    "packet": can(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW)),
    "outside": can(lambda: socket.create_connection(("192.0.2.1", 80), 2)),
    "refused": [refused(number, 0, 0, 0, 0, 0) for number in json.loads(sys.argv[2])],
    "tracing": refused(json.loads(sys.argv[2])[0], 0, 0, 0, 0),
}
pathlib.Path(sys.argv[1]).write_text(json.dumps(said))
"""


def jail(folder, **fields) -> Jail:
    interpreter, *files = interpreter_files()
    column = {"x86_64": 0, "aarch64": 1}[platform.machine()]
    numbers = json.dumps([row[column] for row in REFUSED.values()])
    argv = (interpreter, "-I", "-S", "-c", PROBE, f"{folder}/said", numbers)
    return Jail(argv, (interpreter, *files), str(folder), **fields)


async def run(wanted: Jail) -> int:
    process = await BubblewrapSandbox().start(wanted)
    return await asyncio.wait_for(process.wait(), 60)


def test_its_processes_see_each_other_and_nothing_else(tmp_path):
    assert asyncio.run(run(jail(tmp_path, processes=True))) == 0
    said = json.loads((tmp_path / "said").read_text())
    assert said["child"] and said["loopback"] and said["tmp"] and said["shm"]
    assert not (said["root"] or said["etc"] or said["outside"])
    assert not (said["netlink"] or said["packet"])
    assert said["interfaces"] == said["names"] == ["lo"]
    assert said["tracing"] and len(said["refused"]) == len(REFUSED) and all(said["refused"])


def test_without_the_grant_there_is_no_process_and_no_loopback(tmp_path):
    assert asyncio.run(run(jail(tmp_path))) != 0
    assert not (tmp_path / "said").exists()


def test_a_device_that_is_not_there_is_named(tmp_path):
    with pytest.raises(Unavailable, match="/dev/no-such-gpu"):
        asyncio.run(run(jail(tmp_path, processes=True, devices=("/dev/no-such-gpu",))))


def test_landlock_refuses_what_it_cannot_isolate(tmp_path):
    for fields in ({"processes": True}, {"devices": ("/dev/null",)}):
        with pytest.raises(Unavailable, match="several processes") as caught:
            asyncio.run(LandlockSandbox().start(jail(tmp_path, **fields)))
        assert "bubblewrap" in caught.value.fix


def test_there_is_no_filter_for_an_unknown_machine():
    with pytest.raises(Unavailable, match="riscv64"):
        build_filter_of_many("riscv64")
