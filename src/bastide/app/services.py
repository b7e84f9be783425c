# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Use cases about the running services: start them in the background, look, stop them."""

import asyncio
import errno
import fcntl
import http.client
import json
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bastide.app import wiring
from bastide.app.config import Home, Settings, child_environment, read_settings
from bastide.app.metering import told_by
from bastide.app.setting_checks import split_address
from bastide.core.bucket import FROM_ENVIRONMENT, SCHEME
from bastide.core.errors import BastideError, Misconfigured, NotFound, Unavailable
from bastide.core.metrics import (
    BATCHES_RUNNING,
    BATCHES_WAITING,
    ENGINE_UP,
    SLOTS,
    SLOTS_FREE,
    WAITING,
)
from bastide.crypto.x509 import LOOPBACK_NAMES
from bastide.ports import Clock

__all__ = [
    "Started",
    "desk_state",
    "gateway_url",
    "prepare_run",
    "running_pid",
    "start_services",
    "status",
    "stop_services",
    "tls_url",
]

_READY_S = 60.0
_STOP_S = 30.0
_PORT_S = 5.0  # services that were killed end within this and free their port


def gateway_url(listen: str) -> str:
    """The base URL of the gateway."""
    host, port = split_address(listen)
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def tls_url(settings: Settings) -> str | None:
    """The base URL of the gateway over HTTPS, by a name that its certificate has; or None."""
    if not settings.tls_listen:
        return None
    host, port = split_address(settings.tls_listen)
    name = host if host in LOOPBACK_NAMES else next(iter(settings.certificate_names), "127.0.0.1")
    return f"https://{f'[{name}]' if ':' in name else name}:{port}"


def prepare_run(home: Home) -> None:
    """Make the folder of the sockets, and make sure that it is ours alone."""
    home.run.mkdir(mode=0o700, exist_ok=True)
    home.log.mkdir(mode=0o700, exist_ok=True)
    _check_run(home)


def _check_run(home: Home) -> None:
    """Raise Unavailable unless the folder of the sockets is ours alone.

    In /tmp another user may have made it first, with sockets to talk to and a process id to kill.
    """
    state = home.run.stat(follow_symlinks=False)
    ours = stat.S_ISDIR(state.st_mode) and state.st_uid == os.getuid()
    if not ours or state.st_mode & 0o077:
        raise Unavailable(
            f"{home.run} is not a private folder of this user", fix=f"remove {home.run}"
        )


def running_pid(home: Home) -> int | None:
    """The supervisor's process id, or None. The lock, not the number, says that it lives.

    Raises Unavailable if the folder of the lock is not ours alone: what it says is then no word
    of ours.
    """
    try:
        _check_run(home)
        descriptor = os.open(home.run / "supervisor.lock", os.O_RDWR | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        text = os.read(descriptor, 32).strip()
        return int(text) if text.isdigit() else None
    finally:
        os.close(descriptor)
    return None


@dataclass(frozen=True, slots=True)
class Started:
    """Services that come up. `process` is the supervisor, or None if it ran before."""

    home: Home
    process: subprocess.Popen[bytes] | None

    def wait_ready(self, entries: int, clock: Clock, sleep: Callable[[float], None]) -> None:
        """Wait until the gateway serves and an engine of every deployment answers.

        `entries` is the size of the ledger that control must have seen, so that a deployment that
        was just made counts. Raises Unavailable with the last lines of the logs if it fails.
        """
        listen = read_settings(self.home).listen
        deadline = clock.monotonic() + _READY_S
        while not _ready(self.home, listen, entries):
            if self.process is not None and self.process.poll() is not None:
                raise Unavailable(
                    "the services did not start",
                    reasons=_tail(self.home),
                    fix=f"read {self.home.log}",
                )
            if clock.monotonic() > deadline:
                raise Unavailable(
                    "the services are not ready", reasons=_tail(self.home), fix="bastide doctor"
                )
            sleep(0.05)

    def stop(self) -> None:
        """Stop what was started, also before it has taken the lock that `stop_services` asks."""
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(_STOP_S)
        except subprocess.TimeoutExpired as error:
            pid = self.process.pid
            raise Unavailable(
                f"the supervisor (process {pid}) does not stop", fix=f"kill -9 {pid}"
            ) from error


def start_services(
    home: Home, passphrase: str, clock: Clock, sleep: Callable[[float], None]
) -> Started:
    """Start the supervisor in the background, unless it runs already.

    Raises Unavailable for a taken port before anything starts.
    """
    prepare_run(home)
    if running_pid(home) is not None:
        return Started(home, None)
    settings = read_settings(home)
    if settings.store.startswith(SCHEME) and settings.s3_credentials == FROM_ENVIRONMENT:
        raise Misconfigured(
            "the services get nothing of the environment, so they have no access key to the store",
            fix='set s3_credentials = "file:PATH#PROFILE" in config.toml',
            place="s3_credentials",
        )
    deadline = clock.monotonic() + _PORT_S
    for name in ("listen", "tls_listen", "metrics_listen"):
        address = getattr(settings, name)
        while address and (refusal := _refusal(address)) is not None:
            if clock.monotonic() > deadline or refusal.errno != errno.EADDRINUSE:
                raise Unavailable(
                    f"the gateway cannot listen on {address}: {refusal.strerror}",
                    fix=f"free it, or change `{name}` in {home.config}",
                )
            sleep(0.1)
    return Started(home, _spawn(home, passphrase))


def stop_services(home: Home, clock: Clock, sleep: Callable[[float], None]) -> bool:
    """Stop them and wait until they are gone. False if none ran."""
    pid = running_pid(home)
    if pid is None:
        return False
    os.kill(pid, signal.SIGTERM)
    deadline = clock.monotonic() + _STOP_S
    while running_pid(home) is not None:
        if clock.monotonic() > deadline:
            raise Unavailable(f"the supervisor (process {pid}) does not stop", fix=f"kill -9 {pid}")
        sleep(0.05)
    return True


def status(home: Home) -> dict[str, Any]:
    """What runs, and where. Needs no key."""
    settings = read_settings(home)
    pid = running_pid(home)
    row: dict[str, Any] = {
        "running": pid is not None,
        "environment": settings.environment,
        "home": str(home.root),
        "parties": settings.parties,
        "gateway_url": gateway_url(settings.listen),
        "gateway_tls_url": tls_url(settings),
        "model": None,
        "models": [],
        "tenant": None,
        "tenants": [],
        "ready": False,
        "entries": None,
        "receipts": settings.receipts,
        "receipts_pending": None,
        "budgets_near": [],
        "stopped": {},
        "witnesses": {},
        "emergency": None,
        "replicas": [],
        "coming": {},
        "coming_elsewhere": {},
        "desk": {"running": False, "batches_waiting": None, "batches_running": None},
        "metrics_url": f"{gateway_url(settings.metrics_listen)}/metrics"
        if settings.metrics_listen
        else None,
    }
    if pid is None:
        return row
    row["desk"] = desk_state(home)
    try:
        told = asyncio.run(_ask(home, "status"))
    except BastideError:
        return row
    row.update(told)
    row["model"] = next(iter(row["models"]), None)
    row["tenant"] = next(iter(row["tenants"]), None)
    row["ready"] = _ready(home, settings.listen)
    del row["sockets"]
    row["replicas"] = asyncio.run(_replicas(home, row.pop("runners")))
    return row


def desk_state(home: Home) -> dict[str, Any]:
    """Whether the desk runs, and how many batches wait and run; None where it does not say."""
    row: dict[str, Any] = {"running": True, "batches_waiting": None, "batches_running": None}
    try:
        told = {name: value for name, _, value in asyncio.run(told_by(home, "desk"))}
    except NotFound:
        return {**row, "running": False}
    except Unavailable:
        return row
    row["batches_waiting"] = told.get(BATCHES_WAITING.name)
    row["batches_running"] = told.get(BATCHES_RUNNING.name)
    return row


async def _replicas(home: Home, runners: Mapping[str, str]) -> list[dict[str, Any]]:
    """One row per runner, from their names and models; None where it does not say."""
    asked = (told_by(home, name) for name in runners)
    answers = await asyncio.gather(*asked, return_exceptions=True)
    rows = []
    for (name, model), answer in zip(runners.items(), answers, strict=True):
        told = {} if isinstance(answer, BaseException) else {row[0]: row[2] for row in answer}
        rows.append(
            {
                "runner": name,
                "model": model,
                "up": bool(told.get(ENGINE_UP.name)),
                "slots": told.get(SLOTS.name),
                "free": told.get(SLOTS_FREE.name),
                "waiting": told.get(WAITING.name),
            }
        )
    return rows


def _refusal(listen: str) -> OSError | None:
    """Why nobody can listen on this address now, or None."""
    host, port = split_address(listen)
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            return error
    return None


def _spawn(home: Home, passphrase: str) -> subprocess.Popen[bytes]:
    with (home.log / "supervisor.log").open("ab") as file:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "bastide.app.supervisor"],
            stdin=subprocess.PIPE,
            stdout=file,
            stderr=file,
            start_new_session=True,
            env=child_environment(),
            cwd=home.run,
        )
    orders = {"home": str(home.root), "passphrase": passphrase, "die_with_parent": False}
    assert process.stdin is not None
    process.stdin.write(json.dumps(orders).encode() + b"\n")
    process.stdin.close()
    return process


def _ready(home: Home, listen: str, entries: int = 0) -> bool:
    """True if the gateway is fresh and of every deployment one replica answers."""
    host, port = split_address(listen)
    connection = http.client.HTTPConnection(host, port, timeout=2)
    try:
        connection.request("GET", "/healthz")
        if connection.getresponse().status != 200:
            return False
        asyncio.run(_all_healthy(home, entries))
    except (OSError, http.client.HTTPException, BastideError):
        return False
    finally:
        connection.close()
    return True


async def _all_healthy(home: Home, entries: int) -> None:
    told = await _ask(home, "status")
    if told["entries"] < entries:
        raise Unavailable("control has not seen the newest entries")
    for sockets in told["sockets"]:
        await _one_healthy(sockets)


async def _one_healthy(sockets: Sequence[str]) -> None:
    """Return if one of some replicas answers. Raises Unavailable."""
    for number, path in enumerate(sockets, 1):
        engine = wiring.remote_engine(path)
        try:
            await engine.health()
            return
        except Unavailable:
            if number == len(sockets):
                raise
        finally:
            await engine.close()


async def _ask(home: Home, kind: str) -> Any:
    link = wiring.control_link(str(home.control_socket), wiring.clock())
    await link.start()
    try:
        return await link.ask(kind, None)
    finally:
        await link.close()


def _tail(home: Home) -> list[str]:
    lines = []
    for path in sorted(home.log.glob("*.log")):
        text = path.read_text(errors="replace").splitlines()[-3:]
        lines += [f"{path.name}: {line}" for line in text]
    return lines
