# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Share minutes: a runner learns what is promised, and states every minute what was given.

Promises come with control's snapshots, and what other replicas took of them ten times a second.
Each period becomes statements of at most SHARE_ROWS_MAX tenants, and those that asked for nothing
are left out. While control is away they wait here, a day of them at most: of what is dropped then,
the next statement says how much it was and from when until when. What a killed runner had not yet
stated is lost, which is at most a minute.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Any

import msgspec

from bastide.app.process import log
from bastide.app.turns import Turns
from bastide.app.wiring import ControlClient
from bastide.core.errors import BastideError
from bastide.core.limits import (
    SHARE_PERIOD_S,
    SHARE_PERIODS_KEPT,
    SHARE_ROWS_MAX,
)
from bastide.core.share import Promise, Tally
from bastide.core.subject import Digest
from bastide.core.taken import Exchange, Heard
from bastide.ports import Clock

__all__ = ["ShareKeeper", "kept_in_step"]

_LOOK_S = 0.1  # how soon a changed share counts
_LAST_S = 1.0  # how long a runner that ends tries to state its last period


class ShareKeeper:
    """Keeps one runner's turns and control in step. `life` names this process, and no other."""

    def __init__(
        self,
        turns: Turns,
        control: ControlClient,
        deployment: Digest,
        clock: Clock,
        life: str,
        period_s: float = SHARE_PERIOD_S,
        ended: Callable[[Mapping[str, Tally], float], None] | None = None,
        replica: int = 1,
    ) -> None:
        self._replica = replica
        self._exchanged = Exchange((str(deployment), replica), life)
        self._model = ""  # the last that was known
        self._turns = turns
        self._control = control
        self._deployment = str(deployment)
        self._clock = clock
        self._period_s = period_s
        self._ended = ended
        self._promises: Mapping[str, Promise] = {}
        self._unstated: deque[dict[str, Any]] = deque()
        self._lost: dict[str, int] | None = None  # what was dropped, and no statement says yet
        self._began_ms = clock.now_ms()

    @property
    def promises(self) -> Mapping[str, Promise]:
        """What is promised now, by tenant."""
        return self._promises

    @property
    def model(self) -> str:
        """The deployment's name; empty while it is not known, and after it has ended.

        What is to take another's place counts: it knows what is promised before it serves.
        """
        snapshot = self._control.snapshot
        rows = () if snapshot is None else (*snapshot.served.values(), *snapshot.coming)
        return next((row.name for row in rows if row.deployment == self._deployment), "")

    async def run(self) -> None:
        """Follow the snapshots, and state each period, until it is cancelled."""
        ends = self._clock.monotonic() + self._period_s
        while True:
            self._follow()
            if self._promises:
                await self._exchange()
            if self._clock.monotonic() >= ends:
                ends += self._period_s
                await self.state()
            await asyncio.sleep(min(_LOOK_S, self._period_s))

    async def state(self) -> None:
        """End the period, and state it and all that was not taken before."""
        self._unstated.extend(self._close())
        while len(self._unstated) > SHARE_PERIODS_KEPT:
            self._drop(self._unstated.popleft())
        while self._unstated:
            try:
                body = {**self._unstated[0], "lost": self._lost}
                await self._control.ask("share-minute", body)
            except BastideError as error:
                log("runner", "share-minute-kept", self._clock.now_ms, code=error.code)
                return
            self._unstated.popleft()
            self._lost = None

    def _drop(self, body: dict[str, Any]) -> None:
        """Forget a statement that control did not take in a day, but not that there was one."""
        first = self._lost or {"statements": 0, "start_ms": body["start_ms"]}
        self._lost = {**first, "statements": first["statements"] + 1, "end_ms": body["end_ms"]}
        log("runner", "share-minute-lost", self._clock.now_ms, start_ms=body["start_ms"])

    def _follow(self) -> None:
        snapshot = self._control.snapshot
        # Of a deployment that was replaced, the last promises count until its answers have ended.
        if snapshot is None or not (model := self.model):
            return
        self._model = model
        promises = snapshot.shares.get(model, {})
        if promises != self._promises:
            self._promises = promises
            self._turns.share_out(promises)

    async def _exchange(self) -> None:
        """Tell what was taken of promises here, and learn what was at the other replicas."""
        told = self._exchanged.report(self._model, self._turns.taken(), self._turns.ahead())
        # What control did not take is told with the next: a debt is exact, however late.
        with contextlib.suppress(BastideError):
            heard = msgspec.convert(await self._control.ask("taken", told), Heard)
            if (others := self._exchanged.hear(told, heard)) is not None:
                self._turns.taken_elsewhere(others, heard.replicas, heard.ahead)

    def _close(self) -> list[dict[str, Any]]:
        given = self._turns.close_period()
        tallies = sorted(given.items())
        began_ms, self._began_ms = self._began_ms, self._clock.now_ms()
        if self._ended is not None:
            self._ended(given, (self._began_ms - began_ms) / 1000)
        capacity = self._turns.capacity
        return [
            {
                "deployment": self._deployment,
                "replica": self._replica,
                "start_ms": began_ms,
                "end_ms": self._began_ms,
                "capacity": None if capacity is None else round(capacity, 3),
                "tenants": [
                    _row(tenant, tally) for tenant, tally in tallies[first : first + SHARE_ROWS_MAX]
                ],
            }
            for first in range(0, len(tallies), SHARE_ROWS_MAX)
        ]


@contextlib.asynccontextmanager
async def kept_in_step(keeper: ShareKeeper, stop: asyncio.Event) -> AsyncGenerator[None]:
    """Run a keeper inside the block, and state the last period after it.

    `stop` is set if the keeper fails: a runner that knows no promises must not serve.
    """
    keeping = asyncio.create_task(keeper.run())
    keeping.add_done_callback(lambda _: stop.set())
    try:
        yield
    finally:
        keeping.cancel()
        await asyncio.wait((keeping,))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LAST_S):
                await keeper.state()
    if not keeping.cancelled():
        keeping.result()


def _row(tenant: str, tally: Tally) -> dict[str, Any]:
    return {
        "tenant": tenant,
        "promised": _units(tally.promised),
        "delivered": _units(tally.delivered),
        "borrowed": _units(tally.borrowed),
        "starved_ms": round(1000 * tally.starved_s),
        "refused": tally.refused,
    }


def _units(units: float) -> float:
    # A settlement may give back what an earlier period had counted.
    return round(max(0.0, units), 3)
