# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Doctor: looks at everything that could make a proof or a start fail, and says the remedy.

Each check is a function from the home directory to a Finding; `CHECKS` is the order.
"""

import hashlib
import os
import shutil
import site
import socket
import sys
from base64 import urlsafe_b64encode
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from bastide.app import wiring
from bastide.app.config import Home, read_settings
from bastide.app.doctor_memory import check_memory
from bastide.app.environment import open_environment
from bastide.app.findings import Bench, Finding, descendants
from bastide.app.remedies import outside
from bastide.app.services import desk_state, running_pid
from bastide.app.setting_checks import split_address
from bastide.core.errors import BastideError
from bastide.gates.access.amendment import LEFT_OUT_FIX
from bastide.gates.access.policy_set import PolicySet
from bastide.gates.access.reach import reach
from bastide.ports import Clock

__all__ = ["CHECKS", "examine"]

_UNMET_FIX = "sign a set whose conditions somebody meets: `bastide policy check FILE` tells"
_FREE_BYTES_MIN = 2 * 1024**3
_FOUNDED_BEFORE_MS = 1_760_000_000_000  # October 2025: an earlier clock is certainly wrong


def examine(home: Home, passphrase: str | None, clock: Clock) -> list[Finding]:
    """Run every check; a check that fails by itself is a finding too."""
    bench = Bench(home, passphrase, clock)
    findings = []
    for ident, check in CHECKS.items():
        try:
            findings += check(bench)
        except BastideError as error:
            findings.append(Finding(ident, "bad", error.message, error.fix))
        except OSError as error:
            told = outside(error)
            findings.append(Finding(ident, "bad", told.message, told.fix))
    return findings


def _clock(bench: Bench) -> list[Finding]:
    now, first = bench.clock.now_ms(), bench.clock.monotonic()
    if now < _FOUNDED_BEFORE_MS or bench.clock.monotonic() < first:
        return [Finding("clock", "bad", f"the clock shows {now} ms", "set the time, run NTP")]
    synchronised = Path("/run/systemd/timesync/synchronized").exists()
    note = "synchronised" if synchronised else "plausible; whether NTP keeps it is not checked"
    return [Finding("clock", "ok", note)]


def _folder(home: Home) -> Path:
    """The home, or the nearest folder above it that exists."""
    return next(path for path in (home.root, *home.root.parents) if path.is_dir())


def _disk(bench: Bench) -> list[Finding]:
    folder = _folder(bench.home)
    free = shutil.disk_usage(folder).free
    state = "ok" if free >= _FREE_BYTES_MIN else "warn"
    return [
        Finding("disk", state, f"{free / 1024**3:.1f} GiB free", "free 2 GiB" * (state != "ok"))
    ]


def _fsync(bench: Bench) -> list[Finding]:
    folder = _folder(bench.home)
    path = folder / ".doctor"
    times = []
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            for _ in range(8):
                started = bench.clock.monotonic()
                os.pwrite(descriptor, b"x" * 4096, 0)
                os.fsync(descriptor)
                times.append(bench.clock.monotonic() - started)
        finally:
            os.close(descriptor)
    finally:
        path.unlink(missing_ok=True)
    middle = sorted(times)[4] * 1000
    seen = f"median {middle:.2f} ms over 8"
    if middle < 0.02:
        fix = "use a disk that honours fsync: this one answers faster than any disk can"
        return [Finding("fsync", "warn", seen, fix)]
    return [Finding("fsync", "ok", seen)]


def _keys(bench: Bench) -> list[Finding]:
    if not bench.home.founded:
        seen = f"there is no environment in {bench.home.root} yet"
        return [Finding("keys", "warn", seen, "bastide up, or bastide init")]
    held = [path for path in sorted(bench.home.keys.glob("*")) if path.suffix != ".pub"]
    secret = (bench.home.keyring, bench.home.unlock, bench.home.metrics_token, *held)
    findings = [
        Finding("keys", "bad", f"{path.name} can be read by others", f"chmod 600 {path}")
        for path in secret
        if path.exists() and path.stat().st_mode & 0o077
    ]
    if bench.passphrase is None:
        findings.append(Finding("keys", "warn", "locked; not read", "give --passphrase-file"))
    else:
        findings.append(_keyring(bench.home, bench.passphrase))
    settings = read_settings(bench.home)
    if bench.home.unlock.exists():
        seen = "the passphrase lies in the file `unlock` beside the keyring"
        findings.append(Finding("unlock", "warn", seen, "keep it elsewhere: --passphrase-file"))
    if settings.parties == "solo":
        seen = "solo: one person holds the keys of all three parties"
        findings.append(Finding("parties", "warn", seen, "bastide init --parties separate"))
    handed_over = [path.name for path in bench.home.keys.glob("*.key")]
    if handed_over:
        seen = f"party keys still lie here: {', '.join(sorted(handed_over))}"
        findings.append(Finding("parties", "warn", seen, "move each to its own party's machine"))
    return findings


def _keyring(home: Home, passphrase: str) -> Finding:
    try:
        keyring = wiring.open_keyring(home.keyring, passphrase)
        opens = wiring.key_service(keyring.identities()).health()
    except BastideError as error:
        return Finding("keys", "bad", error.message, error.fix)
    return Finding("keys", "ok", f"the keyring opens; sealed objects open with: {opens}")


def _ledger(bench: Bench) -> list[Finding]:
    if not bench.home.founded:
        return [Finding("ledger", "warn", "there is none yet", "bastide up, or bastide init")]
    if bench.passphrase is None:
        return [Finding("ledger", "warn", "locked; not read", "give --passphrase-file")]
    with open_environment(bench.home, bench.passphrase) as env:
        env.ledger.audit()
        env.book.audit()
        size, pending = env.ledger.size, env.book.pending
        policies = _policies(env.access.policies())
    seen = f"{size} entries: every hash, signature and the head hold; {pending} receipts unsealed"
    return [Finding("ledger", "ok", seen), policies]


def _policies(policies: PolicySet) -> Finding:
    """A set that was signed before a version brought new actions may give them to nobody."""
    left_out = policies.left_out()
    if left_out:
        seen = f"{policies.file} gives to nobody, and names nowhere: {', '.join(left_out)}"
        return Finding("policies", "warn", seen, LEFT_OUT_FIX)
    reached = reach(policies)
    if unmet := reached.unmet:
        seen = f"{policies.file} permits under conditions that nobody can meet: "
        return Finding("policies", "warn", seen + "; ".join(map(str, unmet)), _UNMET_FIX)
    if reached.unseen:
        seen = f"{policies.file} names too much to see in time whether somebody may: "
        return Finding("policies", "warn", seen + ", ".join(reached.unseen), _UNMET_FIX)
    return Finding("policies", "ok", f"{policies.file} says of each action who may, or names it")


def _sandbox(bench: Bench) -> list[Finding]:
    wanted = read_settings(bench.home).sandbox if bench.home.founded else "auto"
    chosen = wiring.sandbox(wanted)
    if chosen.name != "bubblewrap":
        fix = "bubblewrap is stronger: apt-get install bubblewrap"
        return [Finding("sandbox", "warn", chosen.name, fix)]
    return [Finding("sandbox", "ok", chosen.name)]


def _files(_: Bench) -> list[Finding]:
    """Compare the installed files with the hashes in the wheel's RECORD."""
    try:
        files = distribution("bastide").files or []
    except PackageNotFoundError:
        return [Finding("files", "warn", "runs from source; no hashes to compare", "make up")]
    changed, counted = [], 0
    for file in files:
        if file.hash is None:
            continue
        counted += 1
        path = Path(str(file.locate()))
        digest = hashlib.new(file.hash.mode)
        try:
            digest.update(path.read_bytes())
        except OSError:
            changed.append(str(file))
            continue
        if urlsafe_b64encode(digest.digest()).decode().rstrip("=") != file.hash.value:
            changed.append(str(file))
    if changed:
        seen = f"changed since installation: {', '.join(changed[:5])}"
        return [Finding("files", "bad", seen, "install again: make up")]
    return [Finding("files", "ok", f"{counted} files match the hashes of their installation")]


def _pth(_: Bench) -> list[Finding]:
    """Any .pth line that starts with `import` runs code in every Python of this environment."""
    foreign = []
    for folder in {*site.getsitepackages(), site.getusersitepackages()}:
        for path in sorted(Path(folder).glob("*.pth")):
            lines = path.read_text(errors="replace").splitlines()
            if path.name != "_virtualenv.pth" and any(
                line.startswith(("import ", "import\t")) for line in lines
            ):
                foreign.append(str(path))
    if foreign:
        return [Finding("pth", "warn", f"run code at start: {', '.join(foreign)}", "remove them")]
    return [Finding("pth", "ok", f"no foreign .pth file runs code in {sys.prefix}")]


def _sockets(bench: Bench) -> list[Finding]:
    """Our processes may listen on loopback and talk over Unix sockets, and nothing else.

    But for HTTPS, which may be offered to the world: what comes to its port is left out.
    """
    pid = running_pid(bench.home)
    if pid is None:
        return [Finding("sockets", "ok", "the services are stopped")]
    mine = descendants(pid)
    inodes, hidden = _socket_inodes(mine)
    outward = []
    settings = read_settings(bench.home)
    tls_port = split_address(settings.tls_listen)[1] if settings.tls_listen else 0
    for table, family in (
        ("tcp", socket.AF_INET),
        ("tcp6", socket.AF_INET6),
        ("udp", 2),
        ("udp6", 10),
    ):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            address = fields[2] if fields[3] != "0A" else fields[1]
            if table.startswith("tcp") and fields[1].endswith(f":{tls_port:04X}"):
                continue
            if fields[9] in inodes and not _loopback(address, family):
                outward.append(f"{table} {address}")
    listened = (settings.listen, settings.tls_listen, settings.metrics_listen)
    places = " and ".join(filter(None, listened))
    if outward:
        fix = "stop the services and look: bastide down"
        return [Finding("sockets", "bad", f"beyond loopback: {', '.join(outward)}", fix)]
    if hidden:
        seen = f"{hidden} of {len(mine)} processes hide their sockets from this user"
        return [Finding("sockets", "warn", seen, "run doctor as root to see them")]
    return [Finding("sockets", "ok", f"{len(mine)} processes, listening on {places} only")]


def _desk(bench: Bench) -> list[Finding]:
    if running_pid(bench.home) is None:
        return [Finding("desk", "ok", "the services are stopped")]
    desk = desk_state(bench.home)
    if not desk["running"]:
        fix = f"read {bench.home.log / 'desk.log'}; files and batches are refused meanwhile"
        return [Finding("desk", "bad", "it does not run", fix)]
    if desk["batches_waiting"] is None:
        return [Finding("desk", "warn", "it does not answer", "look again in a moment")]
    seen = f"{desk['batches_running']} batches run, {desk['batches_waiting']} wait"
    return [Finding("desk", "ok", seen)]


def _socket_inodes(pids: set[int]) -> tuple[set[str], int]:
    inodes: set[str] = set()
    hidden = 0
    for pid in pids:
        try:
            links = [str(path.readlink()) for path in Path(f"/proc/{pid}/fd").iterdir()]
        except PermissionError:
            hidden += 1
            continue
        except OSError:
            continue  # it has just ended
        inodes |= {link[8:-1] for link in links if link.startswith("socket:[")}
    return inodes, hidden


def _loopback(address: str, family: int) -> bool:
    raw = bytes.fromhex(address.partition(":")[0])
    if family in (socket.AF_INET, 2):
        return raw[::-1][0] == 127
    words = b"".join(raw[index : index + 4][::-1] for index in range(0, 16, 4))
    return words == bytes(15) + b"\x01" or words[:13] == bytes(10) + b"\xff\xff\x7f"


CHECKS: dict[str, Callable[[Bench], list[Finding]]] = {
    "clock": _clock,
    "disk": _disk,
    "fsync": _fsync,
    "keys": _keys,
    "ledger": _ledger,
    "memory": check_memory,
    "sandbox": _sandbox,
    "files": _files,
    "pth": _pth,
    "sockets": _sockets,
    "desk": _desk,
}
