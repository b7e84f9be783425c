# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The Sandbox port: what a hostile program inside really can do, under every sandbox."""

import asyncio
import contextlib
import json
import os
import platform
import socket
import struct
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

import pytest

from bastide.adapters.sandbox.choose import SANDBOXES, choose_sandbox
from bastide.adapters.sandbox.seccomp import ALLOWED, MACHINES, build_filter
from bastide.core.errors import Misconfigured, Unavailable
from bastide.ports import Jail

PROBE = str(Path(__file__).with_name("hostile_probe.py"))
PYTHON = os.path.realpath(sys.executable)
STDLIB = os.path.realpath(sysconfig.get_path("stdlib"))
LIBRARY = Path(sysconfig.get_config_var("LIBDIR")) / sysconfig.get_config_var("INSTSONAME")
READABLE = tuple(path for path in (PYTHON, STDLIB, str(LIBRARY)) if Path(path).exists())
NUMBERS = {
    "x86_64": {
        "pivot_root": 155,
        "keyctl": 250,
        "bpf": 321,
        "userfaultfd": 323,
        "perf_event_open": 298,
        "tgkill": 234,
    },
    "aarch64": {
        "pivot_root": 41,
        "keyctl": 219,
        "bpf": 280,
        "userfaultfd": 282,
        "perf_event_open": 241,
        "tgkill": 131,
    },
}[platform.machine()]


def python(*arguments: str) -> tuple[str, ...]:
    return (PYTHON, "-I", "-S", "-B", *arguments)


async def run(sandbox, jail: Jail) -> int:
    process = await sandbox.start(jail)
    try:
        return await asyncio.wait_for(process.wait(), 60)
    finally:
        process.kill()


@pytest.fixture(scope="module", params=sorted(SANDBOXES))
def sandbox(request):
    return choose_sandbox(request.param)


def secrets(state: Path, victim: int) -> list[str]:
    """What must not be readable."""
    return [
        str(state / "keyring"),
        str(state),
        str(Path(__file__).parents[2] / "pyproject.toml"),
        "/etc/shadow",
        "/etc/passwd",
        f"/proc/{os.getpid()}/environ",
        f"/proc/{victim}/maps",
        "/sys/class/net",
        "/dev/mem",
        "/dev/ptmx",
    ]


def places(base: Path, outside: str) -> list[str]:
    """What must not be writable."""
    return [
        str(base / "state" / "keyring"),
        str(base / "new"),
        f"{outside}/new",
        "/new",
        f"/tmp/bastide-{os.getpid()}-new",
        f"/dev/shm/bastide-{os.getpid()}-new",
        "/dev/new",
        "/proc/self/oom_score_adj",
        "/proc/sys/kernel/hostname",
        "/usr/lib/new",
        f"{STDLIB}/new",
        f"{STDLIB}/os.py",
    ]


@pytest.fixture(scope="module")
def world(sandbox, tmp_path_factory):
    """One hostile run per sandbox: (what it was aimed at, what it reports)."""
    base = tmp_path_factory.mktemp("host")
    state = base / "state"
    state.mkdir()
    (state / "keyring").write_text("secret")
    with contextlib.ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        patch.setenv("CANARY", "a secret of the parent")
        # A Unix socket's path is short; pytest's folders may be long.
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="jail-"))
        outside = stack.enter_context(tempfile.TemporaryDirectory(prefix="host-"))
        victim = stack.enter_context(subprocess.Popen(["sleep", "600"]))
        stack.callback(victim.kill)
        listening = stack.enter_context(socket.socket(socket.AF_UNIX))
        listening.bind(f"{outside}/daemon.sock")
        listening.listen()
        abstract = stack.enter_context(socket.socket(socket.AF_UNIX))
        abstract.bind(f"\0bastide-{os.getpid()}-{sandbox.name}")
        abstract.listen()
        foreign = os.open("/dev/null", os.O_RDONLY)
        os.set_inheritable(foreign, True)
        stack.callback(os.close, foreign)
        given = os.memfd_create("given")
        os.write(given, b"the weights")
        stack.callback(os.close, given)
        targets = {
            "folder": folder,
            "victim": victim.pid,
            "socket": f"{outside}/daemon.sock",
            "abstract": abstract.getsockname()[1:].decode(),
            "secrets": secrets(state, victim.pid),
            "places": places(base, outside),
            "numbers": NUMBERS,
        }
        jail = Jail(
            argv=python(PROBE, json.dumps(targets)),
            readable=(*READABLE, PROBE),
            writable=folder,
            inherit=(given,),
            environment=(("ONLY", "this"),),
        )
        assert asyncio.run(run(sandbox, jail)) == 0
        assert victim.poll() is None
        targets |= {"given": given, "foreign": foreign, "keyring": (state / "keyring").read_text()}
        yield targets, json.loads(Path(folder, "result.json").read_text())


@pytest.mark.attacks("C42")
def test_there_is_no_network(world):
    found = world[1]
    assert set(found["socket"].values()) == {"EPERM"}
    assert found["pair"] == "EPERM"
    assert found["interfaces"] in {"ENOENT", "EACCES"}


@pytest.mark.attacks("C42")
def test_it_cannot_connect_to_sockets_of_the_host(world):
    assert set(world[1]["connect"].values()) == {"EPERM"}


@pytest.mark.attacks("C43")
def test_it_cannot_read_the_host(world):
    for path, outcome in world[1]["read"].items():
        assert outcome in {"ENOENT", "EACCES", "EPERM"}, (path, outcome)


@pytest.mark.attacks("C43")
def test_it_writes_only_to_its_folder(world):
    targets, found = world
    for path, outcome in found["write"].items():
        assert outcome in {"ENOENT", "EACCES", "EPERM", "EROFS"}, (path, outcome)
    assert found["folder"] == "done"
    assert targets["keyring"] == "secret"


def test_it_cannot_lay_traps_in_its_folder(world):
    # Whoever runs the engine connects to a path in this folder: it must not lead elsewhere.
    assert set(world[1]["escape"].values()) == {"EPERM"}


@pytest.mark.attacks("C44")
def test_it_has_no_capabilities_and_gains_none(sandbox, tmp_path):
    async def scenario() -> dict[str, str]:
        script = f"import time; open('{tmp_path}/alive', 'w').close(); time.sleep(600)"
        process = await sandbox.start(Jail(python("-c", script), READABLE, str(tmp_path)))
        try:
            async with asyncio.timeout(60):
                while not (tmp_path / "alive").exists():
                    await asyncio.sleep(0.02)
            # Judged from outside: the process could lie.
            return status_of(script)
        finally:
            process.kill()
            await process.wait()

    status = asyncio.run(scenario())
    for kind in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(status[kind], 16) == 0, kind
    assert status["NoNewPrivs"] == "1"
    assert status["Seccomp"] == "2"


def status_of(argument: str) -> dict[str, str]:
    """/proc/PID/status of the Python that runs with an argument."""
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        with contextlib.suppress(OSError):
            arguments = (folder / "cmdline").read_bytes().split(b"\0")
            if arguments[0] == PYTHON.encode() and argument.encode() in arguments:
                lines = (folder / "status").read_text().splitlines()
                return dict(line.split(":\t", 1) for line in lines)
    raise AssertionError("the program does not run")


@pytest.mark.attacks("C44")
def test_the_kernel_refuses_everything_dangerous(world):
    for name, outcome in world[1]["kernel"].items():
        assert outcome in {"EPERM", "ENOSYS", "ESRCH"}, (name, outcome)


def test_its_environment_is_what_the_jail_says(world):
    extra = set(world[1]["environment"]) - {"ONLY", "PWD", "LC_CTYPE"}
    assert not extra
    assert world[1]["environment"]["ONLY"] == "this"
    assert "CANARY" not in world[1]["first"]


@pytest.mark.attacks("C44")
def test_it_has_no_descriptor_but_the_given(world):
    targets, found = world
    assert targets["foreign"] not in found["descriptors"]
    assert found["inherited"] == {str(targets["given"]): "the weights"}


def test_the_exit_status_is_reported(sandbox, tmp_path):
    jail = Jail(python("-c", "raise SystemExit(7)"), READABLE, str(tmp_path))
    assert asyncio.run(run(sandbox, jail)) == 7


def test_a_signal_is_reported_as_negative(sandbox, tmp_path):
    jail = Jail(python("-c", "import os; os.abort()"), READABLE, str(tmp_path))
    assert asyncio.run(run(sandbox, jail)) == -6


def test_kill_ends_it_and_may_be_called_twice(sandbox, tmp_path):
    async def scenario() -> int:
        jail = Jail(python("-c", "import time; time.sleep(600)"), READABLE, str(tmp_path))
        process = await sandbox.start(jail)
        process.kill()
        status = await asyncio.wait_for(process.wait(), 30)
        process.kill()
        return status

    assert asyncio.run(scenario()) == -9


def test_a_missing_path_is_named(sandbox, tmp_path):
    jail = Jail(python("-c", ""), (*READABLE, "/no/such/path"), str(tmp_path))
    with pytest.raises(Unavailable, match="/no/such/path"):
        asyncio.run(run(sandbox, jail))


PARENT = """
import asyncio, sys
sys.path.insert(0, sys.argv[1])
from bastide.adapters.sandbox.choose import SANDBOXES
from bastide.ports import Jail

async def main():
    readable = tuple(sys.argv[4].split(":"))
    script = f"import time; open('{sys.argv[3]}/alive', 'w').write('1'); time.sleep(600)"
    jail = Jail((readable[0], "-I", "-S", "-c", script), readable, sys.argv[3])
    await SANDBOXES[sys.argv[2]]().start(jail)
    await asyncio.sleep(600)

asyncio.run(main())
"""


def test_it_dies_with_its_parent(sandbox, tmp_path):
    source = str(Path(__file__).parents[2] / "src")
    command = [sys.executable, "-c", PARENT, source, sandbox.name, str(tmp_path)]
    with subprocess.Popen([*command, ":".join(READABLE)]) as parent:

        async def until(condition) -> None:
            async with asyncio.timeout(60):
                while not condition():
                    await asyncio.sleep(0.05)

        try:
            asyncio.run(until((tmp_path / "alive").exists))
            assert running(str(tmp_path))
        finally:
            parent.kill()
            parent.wait()
        asyncio.run(until(lambda: not running(str(tmp_path))))


def running(mark: str) -> bool:
    """Is there a process, other than a zombie, with this text in its arguments?"""
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):
                if mark.encode() in (folder / "cmdline").read_bytes():
                    return True
    return False


def test_an_unknown_sandbox_is_refused():
    for name in ("none", "", "off"):
        with pytest.raises(Misconfigured):
            choose_sandbox(name)


@pytest.mark.attacks("C46")
def test_auto_takes_the_strongest_that_works():
    assert choose_sandbox("auto").name == "bubblewrap"


@pytest.mark.attacks("C46")
def test_no_sandbox_is_an_error_with_every_reason(monkeypatch):
    def broken(name):
        def make():
            raise Unavailable(f"no {name} here")

        return make

    monkeypatch.setattr(
        "bastide.adapters.sandbox.choose.SANDBOXES", {name: broken(name) for name in SANDBOXES}
    )
    with pytest.raises(Unavailable) as caught:
        choose_sandbox("auto")
    assert len(caught.value.reasons) == len(SANDBOXES)
    assert all(name in caught.value.message for name in SANDBOXES)


# The filter itself, also for the machine that these tests do not run on.

ALLOW, KILL = 0x7FFF0000, 0x80000000
EPERM, ENOSYS = 0x50001, 0x50026


def verdict(machine: str, number: int, *arguments: int, arch: int | None = None, pid=None) -> int:
    """Interpret the classic BPF program, as the kernel would."""
    audit = MACHINES[machine].audit if arch is None else arch
    padded = (*arguments, 0, 0, 0, 0, 0, 0)[:6]
    data = struct.pack("<iIQ6Q", number, audit, 0, *padded)
    program = list(struct.iter_unpack("<HBBI", build_filter(machine, pid)))
    assert len(program) <= 4096  # BPF_MAXINSNS
    at, value = 0, 0
    while True:
        code, yes, no, k = program[at]
        at += 1
        if code == 0x20:
            (value,) = struct.unpack_from("<I", data, k)
        elif code == 0x54:
            value &= k
        elif code == 0x15:
            at += yes if value == k else no
        elif code == 0x35:
            at += yes if value >= k else no
        else:
            assert code == 0x06
            return k


@pytest.mark.parametrize("machine", sorted(MACHINES))
def test_the_filter_decides_as_its_table_says(machine):
    column = MACHINES[machine].column
    number = {name: row[column] for name, row in ALLOWED.items() if row[column] is not None}
    listed = set(number.values())
    assert len(listed) == len(number)
    assert verdict(machine, number["read"]) == ALLOW
    assert verdict(machine, number["read"], arch=0x40000003) == KILL
    assert verdict(machine, number["socket"], 1, 1 | 0o2000000) == ALLOW
    assert verdict(machine, number["socket"], 1, 2) == EPERM
    assert verdict(machine, number["socket"], 2, 1) == EPERM
    thread = 0x3D0F00
    assert verdict(machine, number["clone"], thread) == ALLOW
    assert verdict(machine, number["clone"], 17) == EPERM
    for bit in (0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000):
        assert verdict(machine, number["clone"], thread | bit) == EPERM
    assert verdict(machine, number["tgkill"], 42, 42, 6, pid=42) == ALLOW
    assert verdict(machine, number["tgkill"], 43, 43, 6, pid=42) == EPERM
    assert verdict(machine, number["prlimit64"], 1) == EPERM
    for other in set(range(600)) - listed:
        assert verdict(machine, other) == (ENOSYS if other >= 424 else EPERM)


def test_the_filter_kills_the_other_abi_of_x86():
    assert verdict("x86_64", 0x40000000) == KILL


def test_there_is_no_filter_for_an_unknown_machine():
    with pytest.raises(Unavailable, match="riscv64"):
        build_filter("riscv64")
