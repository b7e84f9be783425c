# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The supervisor: starts control, desk, gateway and a runner per replica, and keeps them up.

Run as ``python -m bastide.app.supervisor`` by `bastide up`. It holds the unlocked keyring and
gives each child only its portion, on standard input:

* control: database key, evidence keys, ledger keys, and each new one later on; with attestation
  the store identity, too;
* gateway: the pepper of the API keys, its certificate, and each new certificate later on;
* runner:  database key, store identity, but with attestation not that;
* desk:    store identity;
* each that speaks to control: its credential there (app/callers.py);
* metrics: nothing else; it is there only where `metrics_listen` is set.
"""

import asyncio
import contextlib
import fcntl
import functools
import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bastide.app import wiring
from bastide.app.callers import credential_of
from bastide.app.config import Home, child_environment, read_settings
from bastide.app.gateways import Gateways
from bastide.app.metering import meter_socket, metered
from bastide.app.metrics_server import ensure_token
from bastide.app.process import enter_service, log, on_stop
from bastide.app.retiring import drained
from bastide.app.snapshots import runner_name, runners
from bastide.core.errors import BastideError, Unavailable
from bastide.core.key import Purpose
from bastide.core.metrics import CERTIFICATE, RESTARTS, Sample, sample
from bastide.core.snapshot import Snapshot
from bastide.core.subject import Digest
from bastide.ports import Clock, Keyring

__all__ = ["UNCACHED", "Supervisor", "main"]

# How Python starts where nodes are measured: a compiled cache would run in place of the source.
UNCACHED = ("-X", f"pycache_prefix={os.devnull}")

_BACKOFF_S = (0.1, 0.25, 0.5, 1.0, 2.0, 5.0)
_STEADY_S = 10.0  # a child that lived this long starts again without delay
_STOP_S = 10.0
_REVOKED_S = 0.5  # gateways cut its answers at once; nothing else is waited for
_POLL_S = 0.05


@dataclass
class Child:
    """One service process and how to start it again."""

    name: str
    module: str
    orders: Callable[[], dict[str, Any]]
    descriptors: tuple[int, ...] = ()
    told_more: bool = False  # its standard input stays open, for what it is told later
    process: asyncio.subprocess.Process | None = None
    keeper: asyncio.Task[None] | None = None
    failures: int = 0
    restarts: int = 0
    stopping: asyncio.Event = field(default_factory=asyncio.Event)


class Supervisor:
    """Keeps children alive until it is told to stop."""

    def __init__(self, home: Home, unlock: Callable[[], Keyring], clock: Clock) -> None:
        self._home = home
        self._unlock = unlock
        self._stamp = self._stamp_of()
        self._keyring = unlock()
        self._attested = bool(read_settings(home).attestation)
        self._clock = clock
        self._passes = wiring.entropy().token(32)  # what credentials for control are made of
        self._children: dict[str, Child] = {}
        self._gateways: Gateways | None = None
        self._models: dict[str, str] = {}  # of runners
        self._retiring: dict[str, asyncio.Task[None]] = {}

    async def run(self, stop: asyncio.Event) -> None:
        """Start everything, follow the snapshots, stop everything in order."""
        settings = read_settings(self._home)
        gateways = Gateways(self._home, settings, self._keyring, self._clock, wiring.entropy())
        self._gateways = gateways
        control = wiring.control_link(
            str(self._home.control_socket),
            self._clock,
            credential=credential_of(self._passes, "supervisor"),
        )
        try:
            self._start(Child("control", "bastide.app.control", self._control_keys, told_more=True))
            await control.start()
            store = self._keys((Purpose.STORE,))
            self._start(Child("desk", "bastide.gateway.desk", lambda: {"keys": store}))
            self._start_gateways(gateways)
            if settings.metrics_listen:
                ensure_token(self._home, wiring.entropy())
                self._start(Child("metrics", "bastide.app.metrics_server", dict))
            stopping = asyncio.create_task(stop.wait())
            while not stopping.done():
                if control.snapshot is not None:
                    await self._reconcile(control.snapshot)
                await self._renew(gateways)
                await self._follow_keyring()
                await asyncio.wait([stopping], timeout=_POLL_S)
        finally:
            # The gateway first: answers that run get their receipts while control still lives.
            # Our own ends of its sockets before that, or clients would wait at a closed door.
            gateways.close()
            await self._stop([name for name in self._children if name.startswith("gateway")])
            await self._stop(["desk", "metrics"])
            for task in self._retiring.values():
                task.cancel()
            await self._stop([name for name in self._children if name.startswith("runner")])
            await control.close()
            await self._stop(["control"])

    async def tell(self) -> list[Sample]:
        """The metrics of now."""
        ends = {} if self._gateways is None else self._gateways.ends_ms()
        return [
            *(sample(CERTIFICATE, ms / 1000, name) for name, ms in ends.items()),
            *(sample(RESTARTS, row.restarts, row.name) for row in self._children.values()),
        ]

    def _start_gateways(self, gateways: Gateways) -> None:
        for index, name in enumerate(gateways.names):
            orders = functools.partial(gateways.orders, index)
            child = Child(name, "bastide.gateway", orders, gateways.descriptors(index), True)
            self._start(child)

    async def _renew(self, gateways: Gateways) -> None:
        """Tell the gateway of a new certificate."""
        try:
            told = gateways.renewal()
        except BastideError as error:
            log("supervisor", "renewal-failed", self._clock.now_ms, code=error.code)
            return
        if told is None:
            return
        log("supervisor", "renewed", self._clock.now_ms)
        for name in gateways.names:
            self._say(name, told)

    def _say(self, name: str, told: dict[str, Any]) -> None:
        """Tell a child more; who is down gets it with its orders."""
        process = self._children[name].process
        if process is not None and process.stdin is not None:
            with contextlib.suppress(ConnectionError, RuntimeError):
                process.stdin.write(json.dumps(told).encode() + b"\n")

    async def _follow_keyring(self) -> None:
        """Hand over what was put into the keyring's file: a successor is held before it counts."""
        if (stamp := self._stamp_of()) == self._stamp:
            return
        self._stamp = stamp
        try:
            self._keyring = await asyncio.to_thread(self._unlock)
        except BastideError as error:
            log("supervisor", "keyring-not-read", self._clock.now_ms, code=error.code)
            return
        self._say("control", self._control_keys())
        log("supervisor", "keyring-read-again", self._clock.now_ms)

    def _stamp_of(self) -> tuple[int, int]:
        """When the keyring's file was last written, and which it is; nothing while it is away."""
        with contextlib.suppress(OSError):
            found = self._home.keyring.stat()
            return found.st_mtime_ns, found.st_ino
        return 0, 0

    def _control_keys(self) -> dict[str, Any]:
        store = (Purpose.STORE,) if self._attested else ()
        keys = self._keys((Purpose.DATABASE, Purpose.EVIDENCE, Purpose.LEDGER, *store))
        return {"keys": keys, "passes": self._passes.hex()}

    async def _reconcile(self, snapshot: Snapshot) -> None:
        """Start runners that are missing, stop those whose deployment has ended."""
        wanted = runners([*snapshot.served.values(), *snapshot.coming])
        for name, (row, replica) in wanted.items():
            if name not in self._children and name not in self._retiring:
                # An attested node gets what opens its weights from control, for its quoted key.
                asked = self._attested or row.attested is not None
                store = () if asked else (Purpose.STORE,)
                orders = {
                    "keys": self._keys((Purpose.DATABASE, *store)),
                    "deployment": row.deployment,
                    "replica": replica,
                    "replicas": len(row.sockets),
                }
                orders_of = functools.partial(dict, orders)
                self._models[name] = row.name
                self._start(Child(name, "bastide.app.runner_main", orders_of))
        gone = [name for name in self._children if name.startswith("runner") and name not in wanted]
        # A replica's name begins with that of the first.
        stopped = tuple(runner_name(Digest.parse(digest)) for digest in snapshot.stopped)
        revoked = [name for name in gone if name.startswith(stopped)]
        revoked += [name for name in self._retiring if name.startswith(stopped)]
        await self._stop(revoked, _REVOKED_S)
        left = [name for name in gone if name in self._children and name not in self._retiring]
        replaced = [name for name in left if self._models[name] in snapshot.served]
        await self._stop([name for name in left if name not in replaced])
        for name in replaced:
            self._retiring[name] = asyncio.create_task(self._retire(name))

    async def _retire(self, name: str) -> None:
        """Let a runner's answers end, and then the runner."""
        try:
            await drained(self._home, name, self._clock)
            await self._stop([name])
        finally:
            del self._retiring[name]

    def _keys(self, purposes: Sequence[Purpose]) -> str:
        return self._keyring.portion(purposes)

    def _start(self, child: Child) -> None:
        self._children[child.name] = child
        child.keeper = asyncio.create_task(self._keep(child))

    async def _keep(self, child: Child) -> None:
        """Start a child again whenever it ends, slower after every quick failure."""
        while not child.stopping.is_set():
            started = self._clock.monotonic()
            await self._spawn(child)
            assert child.process is not None
            status = await child.process.wait()
            if child.stopping.is_set():
                return
            steady = self._clock.monotonic() - started > _STEADY_S
            child.failures = 0 if steady else child.failures + 1
            child.restarts += 1
            delay = _BACKOFF_S[min(child.failures, len(_BACKOFF_S) - 1)]
            log("supervisor", "restart", self._clock.now_ms, child=child.name, status=status)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(child.stopping.wait(), delay)

    async def _spawn(self, child: Child) -> None:
        path = self._home.log / f"{child.name}.log"
        with path.open("ab") as file:
            child.process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-P",
                *(UNCACHED if self._attested and child.name.startswith("runner") else ()),
                "-m",
                child.module,
                stdin=asyncio.subprocess.PIPE,
                stdout=file,
                stderr=file,
                env=child_environment(),
                cwd=self._home.run,
                pass_fds=child.descriptors,
            )
        assert child.process.stdin is not None
        orders = {"home": str(self._home.root), "parent": os.getpid(), "name": child.name}
        role = child.name.partition("-")[0]
        if role in ("gateway", "desk", "runner"):
            orders["credential"] = credential_of(self._passes, role)
        orders |= child.orders()
        child.process.stdin.write(json.dumps(orders).encode() + b"\n")
        with contextlib.suppress(ConnectionError):
            await child.process.stdin.drain()
        if not child.told_more:
            child.process.stdin.close()

    async def _stop(self, names: Sequence[str], grace_s: float = _STOP_S) -> None:
        children = [self._children.pop(name) for name in names if name in self._children]
        for child in children:
            child.stopping.set()
            if child.process is not None and child.process.returncode is None:
                child.process.terminate()
        for child in children:
            assert child.keeper is not None
            done, _ = await asyncio.wait([child.keeper], timeout=grace_s)
            if not done and child.process is not None:
                log("supervisor", "killed", self._clock.now_ms, child=child.name)
                child.process.kill()
                await child.keeper


def take_lock(home: Home) -> int:
    """Hold the one lock of a home directory. Raises Unavailable if services run already."""
    descriptor = os.open(home.run / "supervisor.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise Unavailable("the services of this environment run already") from error
    os.ftruncate(descriptor, 0)
    os.write(descriptor, f"{os.getpid()}\n".encode())
    return descriptor


async def _serve(orders: dict[str, Any], now: Callable[[], int]) -> None:
    home = Home(Path(orders["home"]))
    lock = take_lock(home)
    try:
        stop = asyncio.Event()
        on_stop(stop)
        log("supervisor", "started", now)
        unlock = functools.partial(wiring.open_keyring, home.keyring, orders["passphrase"])
        supervisor = Supervisor(home, unlock, wiring.clock())
        meter = meter_socket(home.run, "supervisor")
        async with metered(meter, supervisor.tell, wiring.clock()):
            await supervisor.run(stop)
        log("supervisor", "stopped", now)
    finally:
        os.close(lock)


def main() -> None:
    """Enter the supervisor."""
    orders = enter_service("supervisor")
    clock = wiring.clock()
    try:
        asyncio.run(_serve(orders, clock.now_ms))
    except BastideError as error:
        log("supervisor", "refused", clock.now_ms, code=error.code, reason=error.message)
        raise SystemExit(error.exit_status) from error


if __name__ == "__main__":
    main()
