# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The agent of a machine that joined: follows the ledger, keeps its runners and its certificate.

It is to a machine what the supervisor is to control's, with less in its hands: no key of the store,
no database but a replica that it has verified entry by entry (ledger/follow.py), and no secret of
anybody but its own. When control says that the machine counts no more, its runners end, the sealed
bodies that it fetched are removed, and it ends.
"""

import asyncio
import json
import os
from collections.abc import Callable

from bastide.app import wiring, wiring_services
from bastide.app.children import UNCACHED, Children, take_lock
from bastide.app.config import Home, Settings, read_settings
from bastide.app.hiding import hide_memory
from bastide.app.machine_home import MachineHome
from bastide.app.machine_objects import drop_all, drop_unneeded
from bastide.app.process import log
from bastide.app.runner_keeper import RunnerKeeper
from bastide.app.services import prepare_run
from bastide.app.setting_checks import split_address
from bastide.core.errors import BastideError, Misconfigured, NotAllowed, Unavailable
from bastide.core.snapshot import Served, Snapshot
from bastide.ledger import Ledger
from bastide.ledger.follow import Replica
from bastide.ports import Clock

__all__ = ["run_machine"]

_POLL_S = 0.05
_AGAIN_S = 1.0
_RENEW_AGAIN_S = 60.0
_TIDY_AGAIN_S = 60.0


async def run_machine(home: Home, clock: Clock, stop: asyncio.Event) -> None:
    """Serve what deployments name this machine, until `stop`.

    Raises NotFound before it has joined, NotAllowed once control lets it in no more, NotProven if
    control shows it another ledger than before.
    """
    settings, place = read_settings(home), MachineHome(home)
    if not settings.control:
        raise Misconfigured(
            f"{home.root} is no machine's home", fix="bastide up runs services here"
        )
    place.verify_lasts(clock.now_ms())  # before anything starts
    hide_memory()
    prepare_run(home)
    lock = take_lock(home)
    records = wiring.open_records(home.database, place.replica_key())
    try:
        replica = Replica(records, json.loads(home.anchors.read_text()))
        ledger = Ledger(records, None, clock)
        agent = _Agent(home, settings, place, replica, ledger, clock)
        await agent.run(stop)
    finally:
        records.dispose()
        os.close(lock)


class _Agent:
    def __init__(
        self,
        home: Home,
        settings: Settings,
        place: MachineHome,
        replica: Replica,
        ledger: Ledger,
        clock: Clock,
    ) -> None:
        self._home, self._ledger = home, ledger
        self._place, self._replica, self._clock = place, replica, clock
        self._tidied: frozenset[str] | None = None  # deployments, when bodies were looked through
        self._tidy_from = float("-inf")  # on our monotonic clock: after a failure not at once
        self._name = settings.node
        self._control = wiring_services.far_control(
            split_address(settings.control, "control"),
            settings.environment,
            place.credential,
            clock,
        )
        children = Children(home, clock, lambda _: {}, "machine")
        self._runners = RunnerKeeper(children, home, clock, self._keys, UNCACHED, settings.node)

    async def run(self, stop: asyncio.Event) -> None:
        await self._control.start()
        jobs = [asyncio.create_task(job()) for job in (self._keep, self._follow, self._renew)]
        stopping = asyncio.create_task(stop.wait())
        log("machine", "started", self._clock.now_ms, machine=self._name)
        try:
            done, _ = await asyncio.wait([stopping, *jobs], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for job in (stopping, *jobs):
                job.cancel()
            await self._runners.stop()
            await self._control.close()
            if isinstance(self._control.refused, NotAllowed):
                await self._drop(drop_all, self._home)
            log("machine", "stopped", self._clock.now_ms, machine=self._name)
        for job in done - {stopping}:
            job.result()

    async def _keep(self) -> None:
        """Runners as the snapshots want them. Raises what control refuses this machine for."""
        while True:
            if (refused := self._control.refused) is not None:
                raise refused
            if (snapshot := self._control.snapshot) is not None and not self._behind():
                await self._runners.reconcile(snapshot)
                await self._tidy(snapshot)
            await asyncio.sleep(_POLL_S)

    async def _tidy(self, snapshot: Snapshot) -> None:
        """Keep no body of an object whose deployments have ended: their runners are stopped."""
        rows = [*snapshot.served.values(), *snapshot.coming]
        here = frozenset(row.deployment for row in rows if row.machine == self._name)
        if here == self._tidied or self._clock.monotonic() < self._tidy_from:
            return
        if await self._drop(drop_unneeded, self._home, self._ledger, self._name):
            self._tidied = here
        else:
            self._tidy_from = self._clock.monotonic() + _TIDY_AGAIN_S

    async def _drop(self, deed: Callable[..., int], *given: object) -> bool:
        """Remove bodies, and say so; False if that failed."""
        try:
            gone = await asyncio.to_thread(deed, *given)
        except (BastideError, OSError) as error:
            why = error.message if isinstance(error, BastideError) else str(error)
            log("machine", "bodies-kept", self._clock.now_ms, why=why)
            return False
        if gone:
            log("machine", "bodies-dropped", self._clock.now_ms, files=gone)
        return True

    async def _follow(self) -> None:
        """Have every entry that a snapshot is of. Raises NotProven."""
        last = -1
        while True:
            try:
                while self._behind():
                    base, start = await asyncio.to_thread(self._places)
                    given = await self._control.ask("ledger", {"base": base, "from": start})
                    await asyncio.to_thread(self._replica.take, given["entries"], given["head"])
            except Unavailable as error:
                log("machine", "behind", self._clock.now_ms, why=error.message)
                await asyncio.sleep(_AGAIN_S)
            known = self._control.snapshot is not None and not self._behind()
            if known and (size := self._replica.size) != last:
                log("machine", "follows", self._clock.now_ms, entries=size)
                last = size
            await asyncio.sleep(_POLL_S)

    def _behind(self) -> bool:
        snapshot = self._control.snapshot
        return snapshot is not None and self._replica.size < snapshot.version

    def _places(self) -> tuple[int, int]:
        return self._replica.size, self._replica.wanted

    async def _renew(self) -> None:
        """Get another certificate each day. Raises NotProven when the last one has ended."""
        while True:
            now_ms = self._clock.now_ms()
            self._place.verify_lasts(now_ms)
            if self._place.due(now_ms):
                try:
                    given = await self._control.ask(
                        "certificate", {"request": self._place.request()}
                    )
                    self._place.keep(given)
                    log("machine", "renewed", self._clock.now_ms)
                except Unavailable as error:  # good for days: tried again
                    log("machine", "not-renewed", self._clock.now_ms, why=error.message)
            await asyncio.sleep(_RENEW_AGAIN_S)

    def _keys(self, row: Served) -> str:
        """What a runner opens: the replica. What opens weights it gets by itself, as a node."""
        del row
        return wiring.database_portion(self._place.replica_key())
