# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Children: processes of ours that are started again whenever they end, until they are stopped."""

import asyncio
import contextlib
import fcntl
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from bastide.app.config import Home, child_environment
from bastide.app.process import log
from bastide.core.ending import ending
from bastide.core.errors import BastideError, Unavailable
from bastide.ports import Clock

__all__ = ["UNCACHED", "Child", "Children", "take_lock"]

# How Python starts where nodes are measured: a compiled cache would run in place of the source.
UNCACHED = ("-X", f"pycache_prefix={os.devnull}")

_BACKOFF_S = (0.1, 0.25, 0.5, 1.0, 2.0, 5.0)
_STEADY_S = 10.0  # a child that lived this long starts again without delay
_STOP_S = 10.0


@dataclass
class Child:
    """One service process and how to start it again."""

    name: str
    module: str
    orders: Callable[[], dict[str, Any]]
    descriptors: tuple[int, ...] = ()
    told_more: bool = False  # its standard input stays open, for what it is told later
    options: tuple[str, ...] = ()  # of Python
    process: asyncio.subprocess.Process | None = None
    keeper: asyncio.Task[None] | None = None
    failures: int = 0
    restarts: int = 0
    stopping: asyncio.Event = field(default_factory=asyncio.Event)


class Children:
    """The children of one process, by name. Belongs to one event loop.

    common: what each child's orders hold besides its own, by the child's name. who: the log's word
    for the process that they are children of.
    """

    def __init__(
        self,
        home: Home,
        clock: Clock,
        common: Callable[[str], dict[str, Any]],
        who: str = "supervisor",
    ) -> None:
        self._home, self._clock, self._common, self._who = home, clock, common, who
        self._children: dict[str, Child] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._children

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._children))

    def restarts(self) -> dict[str, int]:
        """How often each was started again."""
        return {row.name: row.restarts for row in self._children.values()}

    def start(self, child: Child) -> None:
        """Keep a child alive from now on."""
        self._children[child.name] = child
        child.keeper = asyncio.create_task(self._keep(child))

    def say(self, name: str, told: dict[str, Any]) -> None:
        """Tell a child more; who is down gets it with its orders."""
        process = self._children[name].process
        if process is not None and process.stdin is not None:
            with contextlib.suppress(ConnectionError, RuntimeError):
                process.stdin.write(json.dumps(told).encode() + b"\n")

    async def _keep(self, child: Child) -> None:
        """Start a child again whenever it ends, slower after every quick failure."""
        while not child.stopping.is_set():
            started = self._clock.monotonic()
            try:
                status = await (await self._spawn(child)).wait()
            except (OSError, BastideError) as error:  # what is full or locked now may not stay so
                told = error.message if isinstance(error, BastideError) else str(error)
                log(self._who, "not-started", self._clock.now_ms, child=child.name, why=told)
                status, why = None, "it was not started"
            else:
                why = f"it {ending(status)}"
            if child.stopping.is_set():
                return
            steady = self._clock.monotonic() - started > _STEADY_S
            child.failures = 0 if steady else child.failures + 1
            child.restarts += 1
            delay = _BACKOFF_S[min(child.failures, len(_BACKOFF_S) - 1)]
            told = {"child": child.name, "status": status, "why": why}
            log(self._who, "restart", self._clock.now_ms, **told)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(child.stopping.wait(), delay)

    async def _spawn(self, child: Child) -> asyncio.subprocess.Process:
        """Start a child and give it its orders. Raises OSError, and what its orders raise."""
        path = self._home.log / f"{child.name}.log"
        with path.open("ab") as file:
            process = child.process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-P",
                *child.options,
                "-m",
                child.module,
                stdin=asyncio.subprocess.PIPE,
                stdout=file,
                stderr=file,
                env=child_environment(),
                cwd=self._home.run,
                pass_fds=child.descriptors,
            )
        assert process.stdin is not None
        try:
            orders = {"home": str(self._home.root), "parent": os.getpid(), "name": child.name}
            orders |= self._common(child.name)
            orders |= child.orders()
        except BaseException:
            process.kill()  # it would wait for them for ever
            raise
        process.stdin.write(json.dumps(orders).encode() + b"\n")
        with contextlib.suppress(ConnectionError):
            await process.stdin.drain()
        if not child.told_more:
            process.stdin.close()
        return process

    async def stop(self, names: Sequence[str], grace_s: float = _STOP_S) -> None:
        """End children; one that has not ended after `grace_s` is killed."""
        children = [self._children.pop(name) for name in names if name in self._children]
        for child in children:
            child.stopping.set()
            if child.process is not None and child.process.returncode is None:
                child.process.terminate()
        for child in children:
            assert child.keeper is not None
            done, _ = await asyncio.wait([child.keeper], timeout=grace_s)
            if not done and child.process is not None:
                log(self._who, "killed", self._clock.now_ms, child=child.name)
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
