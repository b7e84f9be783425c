# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Runners of one machine, kept as snapshots want them: one for each replica of its deployments."""

import asyncio
import functools
from collections.abc import Callable

from bastide.app.children import Child, Children
from bastide.app.config import Home
from bastide.app.retiring import drained
from bastide.app.snapshots import runner_name, runners
from bastide.core.snapshot import Served, Snapshot
from bastide.core.subject import Digest
from bastide.ports import Clock

__all__ = ["RunnerKeeper"]

_REVOKED_S = 0.5  # gateways cut its answers at once; nothing else is waited for


class RunnerKeeper:
    """keys: the portion of the keyring that a deployment's runner gets. options: of their Python.
    machine: whose deployments; control's own without a name."""

    def __init__(
        self,
        children: Children,
        home: Home,
        clock: Clock,
        keys: Callable[[Served], str],
        options: tuple[str, ...] = (),
        machine: str = "",
    ) -> None:
        self._children, self._home, self._clock = children, home, clock
        self._keys, self._options, self._machine = keys, options, machine
        self._models: dict[str, str] = {}  # of runners
        self._retiring: dict[str, asyncio.Task[None]] = {}

    async def reconcile(self, snapshot: Snapshot) -> None:
        """Start runners that are missing, stop those whose deployment has ended."""
        rows = [*snapshot.served.values(), *snapshot.coming]
        wanted = runners([row for row in rows if row.machine == self._machine])
        for name, (row, replica) in wanted.items():
            if name not in self._children and name not in self._retiring:
                orders = {
                    "keys": self._keys(row),
                    "deployment": row.deployment,
                    "replica": replica,
                    "replicas": len(row.sockets),
                }
                orders_of = functools.partial(dict, orders)
                self._models[name] = row.name
                self._children.start(
                    Child(name, "bastide.app.runner_main", orders_of, options=self._options)
                )
        gone = [name for name in self._children if name.startswith("runner") and name not in wanted]
        # A replica's name begins with that of the first.
        stopped = tuple(runner_name(Digest.parse(digest)) for digest in snapshot.stopped)
        revoked = [name for name in gone if name.startswith(stopped)]
        revoked += [name for name in self._retiring if name.startswith(stopped)]
        await self._children.stop(revoked, _REVOKED_S)
        left = [name for name in gone if name in self._children and name not in self._retiring]
        replaced = [name for name in left if self._models[name] in snapshot.served]
        await self._children.stop([name for name in left if name not in replaced])
        for name in replaced:
            self._retiring[name] = asyncio.create_task(self._retire(name))

    async def _retire(self, name: str) -> None:
        """Let a runner's answers end, and then the runner."""
        try:
            await drained(self._home, name, self._clock)
            await self._children.stop([name])
        finally:
            del self._retiring[name]

    async def stop(self) -> None:
        """End all runners."""
        for task in self._retiring.values():
            task.cancel()
        await self._children.stop([name for name in self._children if name.startswith("runner")])
