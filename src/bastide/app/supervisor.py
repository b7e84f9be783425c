# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The supervisor: starts control, desk, gateway and a runner per replica, and keeps them up.

Run as ``python -m bastide.app.supervisor`` by `bastide up`. It holds the unlocked keyring and
gives each child only its portion, on standard input:

* control: database key, evidence keys, ledger keys, and each new one later on; with attestation
  the store identity, too; with `control_listen` the key of the services' certificates;
* gateway: the pepper of the API keys, its certificate, and each new certificate later on;
* runner:  database key, store identity, but with attestation not that;
* desk:    store identity;
* each that speaks to control: its credential there (app/callers.py);
* metrics: nothing else; it is there only where `metrics_listen` is set.
"""

import asyncio
import contextlib
import functools
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bastide.app import wiring
from bastide.app.callers import credential_of
from bastide.app.certificates import services_secret
from bastide.app.children import UNCACHED, Child, Children, take_lock
from bastide.app.config import Home, read_settings
from bastide.app.gateways import Gateways
from bastide.app.metering import meter_socket, metered
from bastide.app.metrics_server import ensure_token
from bastide.app.process import enter_service, log, on_stop
from bastide.app.runner_keeper import RunnerKeeper
from bastide.core.errors import BastideError
from bastide.core.key import Purpose
from bastide.core.metrics import CERTIFICATE, RESTARTS, Sample, sample
from bastide.core.snapshot import Served
from bastide.ports import Clock, Keyring

__all__ = ["Supervisor", "main"]

_POLL_S = 0.05


class Supervisor:
    """Keeps children alive until it is told to stop."""

    def __init__(
        self,
        home: Home,
        unlock: Callable[[], Keyring],
        clock: Clock,
        children: type[Children] = Children,
    ) -> None:
        self._home = home
        self._unlock = unlock
        self._stamp = self._stamp_of()
        self._keyring = unlock()
        settings = read_settings(home)
        self._attested = bool(settings.attestation)
        self._far = bool(settings.control_listen)
        self._clock = clock
        self._passes = wiring.entropy().token(32)  # what credentials for control are made of
        self._children = children(home, clock, self._common)
        self._gateways: Gateways | None = None
        self._runners = RunnerKeeper(
            self._children, home, clock, self._runner_keys, UNCACHED if self._attested else ()
        )

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
            self._children.start(
                Child("control", "bastide.app.control", self._control_keys, told_more=True)
            )
            await control.start()
            store = self._keys((Purpose.STORE,))
            self._children.start(Child("desk", "bastide.gateway.desk", lambda: {"keys": store}))
            self._start_gateways(gateways)
            if settings.metrics_listen:
                ensure_token(self._home, wiring.entropy())
                self._children.start(Child("metrics", "bastide.app.metrics_server", dict))
            stopping = asyncio.create_task(stop.wait())
            while not stopping.done():
                if control.snapshot is not None:
                    await self._runners.reconcile(control.snapshot)
                await self._renew(gateways)
                await self._follow_keyring()
                await asyncio.wait([stopping], timeout=_POLL_S)
        finally:
            # The gateway first: answers that run get their receipts while control still lives.
            # Our own ends of its sockets before that, or clients would wait at a closed door.
            gateways.close()
            await self._children.stop(
                [name for name in self._children if name.startswith("gateway")]
            )
            await self._children.stop(["desk", "metrics"])
            await self._runners.stop()
            await control.close()
            await self._children.stop(["control"])

    async def tell(self) -> list[Sample]:
        """The metrics of now."""
        ends = {} if self._gateways is None else self._gateways.ends_ms()
        return [
            *(sample(CERTIFICATE, ms / 1000, name) for name, ms in ends.items()),
            *(sample(RESTARTS, count, name) for name, count in self._children.restarts().items()),
        ]

    def _start_gateways(self, gateways: Gateways) -> None:
        for index, name in enumerate(gateways.names):
            orders = functools.partial(gateways.orders, index)
            child = Child(name, "bastide.gateway", orders, gateways.descriptors(index), True)
            self._children.start(child)

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
            self._children.say(name, told)

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
        self._children.say("control", self._control_keys())
        log("supervisor", "keyring-read-again", self._clock.now_ms)

    def _stamp_of(self) -> tuple[int, int]:
        """When the keyring's file was last written, and which it is; nothing while it is away."""
        with contextlib.suppress(OSError):
            found = self._home.keyring.stat()
            return found.st_mtime_ns, found.st_ino
        return 0, 0

    def _control_keys(self) -> dict[str, Any]:
        store = (Purpose.STORE,) if self._attested or self._far else ()
        keys = self._keys((Purpose.DATABASE, Purpose.EVIDENCE, Purpose.LEDGER, *store))
        given = {"keys": keys, "passes": self._passes.hex()}
        return given | ({"services_ca": services_secret(self._keyring).hex()} if self._far else {})

    def _common(self, name: str) -> dict[str, Any]:
        """What says to control who a child is."""
        role = name.partition("-")[0]
        if role not in ("gateway", "desk", "runner"):
            return {}
        return {"credential": credential_of(self._passes, role)}

    def _runner_keys(self, row: Served) -> str:
        # An attested node gets what opens its weights from control, for its quoted key.
        asked = self._attested or row.attested is not None
        return self._keys((Purpose.DATABASE, *(() if asked else (Purpose.STORE,))))

    def _keys(self, purposes: Sequence[Purpose]) -> str:
        return self._keyring.portion(purposes)


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
