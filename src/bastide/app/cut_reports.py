# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Cut reports: a runner tells control what it had handed to a gateway whose link broke.

Control settles what it can: a row that has a receipt, and every row of a gateway that is gone. As
long as the gateway lives, its rows are asked about again, for CUT_REPORT_S: it states them itself.
While control is away they wait here.
"""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator

import msgspec

from bastide.app.clients import Asked
from bastide.app.handed_journal import HandedJournal, Row
from bastide.app.process import log
from bastide.core.errors import BastideError, Unavailable
from bastide.core.limits import CUT_REPORT_S, CUT_ROWS_MAX, CUTS_MAX
from bastide.core.standing import Cut, Cuts
from bastide.core.subject import Digest
from bastide.ports import Clock

__all__ = ["CutReporter", "reporting"]

_AGAIN_S = 0.5
_LAST_S = 1.0  # how long a runner that ends tries to state what is left


class CutReporter:
    """Keeps what is not settled yet, and reports it."""

    def __init__(self, control: Asked, deployment: Digest, clock: Clock) -> None:
        self._control = control
        self._deployment = str(deployment)
        self._clock = clock
        self._rows: dict[str, tuple[int, float, Cut]] = {}  # by receipt: gateway, until when
        self._news = asyncio.Event()

    @property
    def waiting(self) -> int:
        """Rows that are not settled."""
        return len(self._rows)

    def rows(self) -> Iterator[Row]:
        """Those rows, for the journal."""
        for gateway, _, cut in self._rows.values():
            yield gateway, cut

    def take(self, gateway: int, cuts: Iterable[Cut]) -> None:
        """A link to a gateway, which is a process id, has broken."""
        until = self._clock.monotonic() + CUT_REPORT_S
        lost = 0
        for cut in cuts:
            if len(self._rows) < CUTS_MAX:
                self._rows[cut.receipt] = (gateway, until, cut)
            else:
                lost += 1
        if lost:
            log("runner", "cuts-lost", self._clock.now_ms, rows=lost)
        if self._rows:
            self._news.set()

    def resume(self, journal: HandedJournal) -> None:
        """Take what an earlier life of this runner handed over. Raises Unavailable."""
        for gateway, cuts in journal.read().items():
            log("runner", "handed-before", self._clock.now_ms, gateway=gateway, rows=len(cuts))
            self.take(gateway, cuts)

    async def run(self) -> None:
        """Report what comes, until it is cancelled."""
        while True:
            await self._news.wait()
            if await self.report():
                self._forget()
            if not self._rows:
                self._news.clear()
            await asyncio.sleep(_AGAIN_S)

    async def report(self) -> bool:
        """Ask control once about every row. False if it could not answer: then all are kept."""
        by_gateway: dict[int, list[Cut]] = {}
        for gateway, _, cut in self._rows.values():
            by_gateway.setdefault(gateway, []).append(cut)
        for gateway, rows in by_gateway.items():
            for first in range(0, len(rows), CUT_ROWS_MAX):
                some = tuple(rows[first : first + CUT_ROWS_MAX])
                try:
                    body = Cuts(self._deployment, gateway, some)
                    settled = msgspec.convert(await self._control.ask("cut", body), list[str])
                except Unavailable as error:
                    log("runner", "cuts-kept", self._clock.now_ms, rows=len(rows), code=error.code)
                    return False
                except (BastideError, msgspec.ValidationError) as error:
                    # Asked again, it would say the same again.
                    why = type(error).__name__
                    log("runner", "cuts-refused", self._clock.now_ms, rows=len(some), error=why)
                    settled = [cut.receipt for cut in some]
                for ident in settled:
                    self._rows.pop(ident, None)
        return True

    def _forget(self) -> None:
        now = self._clock.monotonic()
        over = [ident for ident, (_, until, _) in self._rows.items() if until <= now]
        for ident in over:
            del self._rows[ident]


@contextlib.asynccontextmanager
async def reporting(
    reporter: CutReporter,
    stop: asyncio.Event,
    journal: HandedJournal | None = None,
    handed: Callable[[], Iterable[Row]] = tuple,
) -> AsyncGenerator[None]:
    """Run a reporter and its journal inside the block, and try once more after it.

    `handed` says what is not yet the reporter's. `stop` is set if one of them fails: what a runner
    hands over must be stated.
    """

    def rows() -> Iterator[Row]:
        return itertools.chain(reporter.rows(), handed())

    running = [asyncio.create_task(reporter.run())]
    if journal is not None:
        reporter.resume(journal)
        running.append(asyncio.create_task(journal.run(rows)))
    for task in running:
        task.add_done_callback(lambda _: stop.set())
    try:
        yield
    finally:
        for task in running:
            task.cancel()
        await asyncio.wait(running)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LAST_S):
                await reporter.report()
        if journal is not None:
            with contextlib.suppress(Unavailable):  # then the file says what it said before
                journal.rewrite(rows())
            journal.close()
    for task in running:
        if not task.cancelled():
            task.result()
