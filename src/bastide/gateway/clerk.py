# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The clerk goes through batches: each line is asked as a live request is, by the same code.

What a key may do, its guard and its budget are those of the snapshot of that moment, so a key that
is revoked stops its batches. A result is kept before its line counts as done. After a kill the
batch goes on with the lines that have no result; the few that were being asked are asked again,
and each answer has its receipt and is billed, the lost one too, as a live answer that a client
lost would be.
"""

import asyncio
from collections.abc import AsyncIterator, Generator, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Final

from bastide.app.shelf import Result, Shelf, lines_of
from bastide.core.batch import ENDED, Batch, Fault, Status
from bastide.core.errors import BastideError, NotFound
from bastide.core.limits import (
    BATCH_FAULTS_MAX,
    BATCH_INFLIGHT_MAX,
    BATCH_LINES_MAX,
    BATCHES_RUNNING_MAX,
    REQUEST_BODY_BYTES_MAX,
)
from bastide.dialects.batch_lines import LineReader, read_line, write_line, write_unasked
from bastide.gateway.answering import Log
from bastide.gateway.asker import Asker, KeyGone, TimeOver
from bastide.ports import Clock

__all__ = ["Clerk"]

_AGAIN_S: Final = 30.0
_EXTRA: Final = 4_096  # of a line besides its body: custom_id, method, url


@dataclass
class _Running:
    """What is known of a batch that runs, besides its state."""

    batch: Batch
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    results: asyncio.Queue[Result] = field(
        default_factory=lambda: asyncio.Queue(BATCH_INFLIGHT_MAX)
    )
    done: set[int] = field(default_factory=set)
    task: asyncio.Task[None] | None = None


class Clerk:
    """Runs the batches of a shelf, one of each tenant at a time."""

    def __init__(self, shelf: Shelf, asker: Asker, clock: Clock, log: Log) -> None:
        self._shelf = shelf
        self._asker = asker
        self._clock = clock
        self._log = log
        self._waiting: dict[str, Batch] = {}  # by id, oldest first
        self._running: dict[str, _Running] = {}
        self._saving = asyncio.Lock()

    async def resume(self) -> None:
        """Take up what a killed or stopped desk left."""
        for batch in await asyncio.to_thread(self._shelf.unended):
            self._waiting[batch.ident] = batch
        self._next()

    def waiting(self, tenant: str) -> int:
        """How many batches of a tenant have not ended."""
        running = (row.batch for row in self._running.values())
        return sum(row.tenant == tenant for row in (*self._waiting.values(), *running))

    @property
    def counts(self) -> tuple[int, int]:
        """How many batches wait, and how many run."""
        return len(self._waiting), len(self._running)

    def take(self, batch: Batch) -> None:
        """Run a batch that the shelf keeps, when its turn has come."""
        self._waiting[batch.ident] = batch
        self._next()

    def current(self, batch: Batch) -> Batch:
        """The newest state of a batch: what runs knows more than the shelf."""
        running = self._running.get(batch.ident)
        if running is None or batch.status in ENDED:
            return self._waiting.get(batch.ident, batch)
        return running.batch

    async def cancel(self, batch: Batch) -> Batch:
        """Stop a batch: answers that are under way end, and what there is becomes its results."""
        batch = self.current(batch)
        if batch.status in ENDED or batch.status in (Status.CANCELLING, Status.FINALIZING):
            return batch
        running = self._running.get(batch.ident)
        changed = self._stamped(replace(batch, ending=Status.CANCELLED), Status.CANCELLING)
        if running is not None:
            running.batch = changed
            running.stop.set()
        else:
            self._waiting[batch.ident] = changed
        await self._save(changed)
        return changed

    async def close(self) -> None:
        """Stop. What has no result yet is asked when the desk runs again."""
        tasks = [row.task for row in self._running.values() if row.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _next(self) -> None:
        busy = {row.batch.tenant for row in self._running.values()}
        for batch in list(self._waiting.values()):
            if len(self._running) >= BATCHES_RUNNING_MAX:
                return
            if batch.tenant not in busy:
                busy.add(batch.tenant)
                del self._waiting[batch.ident]
                running = self._running[batch.ident] = _Running(batch)
                if batch.status is Status.CANCELLING:
                    running.stop.set()
                running.task = asyncio.create_task(self._run(running))

    async def _run(self, running: _Running) -> None:
        ident = running.batch.ident
        try:
            await self._go_through(running)
        except (BastideError, ExceptionGroup) as error:
            # A disk that is full, say: what is kept is kept, and the batch goes on from it later.
            self._log("batch-interrupted", batch=ident, error=type(error).__name__)
            later = asyncio.get_running_loop().call_later
            later(_AGAIN_S, self.take, running.batch)
        except Exception as error:  # our bug: the next start tries again
            self._log("bug", batch=ident, error=type(error).__name__)
        del self._running[ident]
        self._next()

    async def _go_through(self, running: _Running) -> None:
        if running.batch.status is Status.VALIDATING:
            await self._validate(running)
        known = await asyncio.to_thread(lambda: dict(self._known(running.batch)))
        running.done.update(known)
        answered = sum(known.values())
        batch = running.batch
        running.batch = replace(batch, completed=answered, failed=len(known) - answered)
        if batch.ending is not Status.COMPLETED:
            running.stop.set()
        if batch.status is not Status.FINALIZING:
            try:
                await asyncio.to_thread(self._shelf.file, batch.tenant, batch.input_file)
            except NotFound as error:
                self._end(running, Status.FAILED, "invalid_input_file", error.message)
            await self._ask_all(running)
        await self._finish(running)

    def _known(self, batch: Batch) -> Iterator[tuple[int, bool]]:
        for row in self._shelf.results(batch):
            yield row.number, row.answered

    async def _validate(self, running: _Running) -> None:
        batch = running.batch
        try:
            total, faults = await asyncio.to_thread(self._check, batch)
        except NotFound as error:
            total, faults = 0, [Fault("invalid_input_file", error.message)]
        if running.stop.is_set():
            return
        if not faults and not total:
            faults = [Fault("empty_file", "The input file has no lines.")]
        if faults:
            batch = replace(batch, faults=tuple(faults), ending=Status.FAILED)
            running.stop.set()
        running.batch = self._stamped(replace(batch, total=total), Status.IN_PROGRESS)
        if faults:
            running.batch = replace(running.batch, total=0, times={})
        await self._save(running.batch)

    def _check(self, batch: Batch) -> tuple[int, list[Fault]]:
        """Count the lines, and find what is wrong with them."""
        reader, total, faults = LineReader(batch.endpoint), 0, list[Fault]()
        for number, line in self._lines(batch):
            total += 1
            if total > BATCH_LINES_MAX:
                message = f"The file has more than {BATCH_LINES_MAX} lines."
                return 0, [Fault("too_many_lines", message)]
            if len(line) > REQUEST_BODY_BYTES_MAX + _EXTRA:
                faults.append(Fault("line_too_long", "This line is too long.", number))
            elif (fault := reader.check(number, line)) is not None:
                faults.append(fault)
            if len(faults) == BATCH_FAULTS_MAX:
                break
        return total, faults

    def _lines(self, batch: Batch) -> Generator[tuple[int, bytes], None, None]:
        with self._shelf.open_file(batch.tenant, batch.input_file) as reader:
            for number, line in enumerate(lines_of(reader), 1):
                if line.strip():
                    yield number, line

    async def _ask_all(self, running: _Running) -> None:
        """Ask every line that has no result, a few at once, and keep what comes."""
        if running.stop.is_set():
            return
        lines = self._lines(running.batch)
        try:
            async with asyncio.TaskGroup() as keeping:
                keeper = keeping.create_task(self._keep(running))
                async with asyncio.TaskGroup() as asking:
                    for _ in range(BATCH_INFLIGHT_MAX):
                        asking.create_task(self._ask_some(running, lines))
                await running.results.join()
                keeper.cancel()
        finally:
            lines.close()

    async def _ask_some(self, running: _Running, lines: Iterator[tuple[int, bytes]]) -> None:
        async for number, line in self._due(running, lines):
            asked = read_line(line)
            try:
                answer = await self._asker.ask(running.batch, asked.body, running.stop)
            except KeyGone as gone:
                self._end(running, Status.FAILED, gone.code, gone.message)
                return
            except TimeOver:
                self._end(running, Status.EXPIRED, "", "")
                return
            if answer is None:
                return
            row = write_line(
                asked.custom_id, answer.ident, answer.status, answer.receipt, answer.body
            )
            result = Result(number, answer.status == 200, row.decode())
            await running.results.put(result)

    async def _due(
        self, running: _Running, lines: Iterator[tuple[int, bytes]]
    ) -> AsyncIterator[tuple[int, bytes]]:
        while not running.stop.is_set():
            found = next(lines, None)
            if found is None:
                return
            if found[0] not in running.done:
                yield found
            else:
                await asyncio.sleep(0)

    def _end(self, running: _Running, status: Status, code: str, message: str) -> None:
        if running.stop.is_set():
            return
        faults = (Fault(code, message),) if code else ()
        running.batch = replace(running.batch, ending=status, faults=faults)
        running.stop.set()

    async def _keep(self, running: _Running) -> None:
        """Write results as they come: while one part is written, others gather for the next."""
        number = await asyncio.to_thread(self._shelf.parts, running.batch)
        while True:
            rows = [await running.results.get()]
            while not running.results.empty():
                rows.append(running.results.get_nowait())
            number += 1
            await asyncio.to_thread(self._shelf.put_part, running.batch, number, rows)
            answered = sum(row.answered for row in rows)
            batch = running.batch
            running.batch = replace(
                batch,
                completed=batch.completed + answered,
                failed=batch.failed + len(rows) - answered,
            )
            for row in rows:
                running.done.add(row.number)
                running.results.task_done()

    async def _finish(self, running: _Running) -> None:
        batch = running.batch
        if batch.status is not Status.FINALIZING:
            batch = running.batch = self._stamped(batch, Status.FINALIZING)
            await self._save(batch)
        batch = await asyncio.to_thread(self._write_results, batch)
        ending = self._stamped(batch, batch.ending)
        running.batch = replace(ending, secret="")  # nothing kept can open its receipts now
        await self._save(running.batch)
        await asyncio.to_thread(self._shelf.drop_parts, running.batch)
        self._log("batch-ended", batch=batch.ident, status=str(batch.ending), lines=batch.total)

    def _write_results(self, batch: Batch) -> Batch:
        """The two files of results; written again after a kill, they are the same files."""
        known = dict(self._known(batch))
        answered = sum(known.values())
        batch = replace(batch, completed=answered, failed=len(known) - answered)
        if answered:
            rows = (row.line.encode() for row in self._shelf.results(batch) if row.answered)
            self._put(batch, batch.output_file, "output", rows)
        if batch.total > answered:
            self._put(batch, batch.error_file, "error", self._errors(batch, set(known)))
        return batch

    def _put(self, batch: Batch, ident: str, what: str, rows: Iterator[bytes]) -> None:
        name = f"{batch.ident}_{what}.jsonl"
        seconds = batch.output_seconds
        self._shelf.put_file(ident, batch.tenant, name, "batch_output", rows, seconds=seconds)

    def _errors(self, batch: Batch, known: set[int]) -> Iterator[bytes]:
        for row in self._shelf.results(batch):
            if not row.answered:
                yield row.line.encode()
        code = {Status.EXPIRED: "batch_expired", Status.CANCELLED: "batch_cancelled"}.get(
            batch.ending, "batch_failed"
        )
        with suppress(NotFound):
            for number, line in self._lines(batch):
                if number not in known:
                    custom_id = read_line(line).custom_id
                    message = "This request was not asked before the batch ended."
                    yield write_unasked(custom_id, number, batch.ident, code, message)

    async def _save(self, batch: Batch) -> None:
        """Keep the newest state of a batch: a state that was overtaken must not come last."""
        async with self._saving:
            await asyncio.to_thread(self._shelf.put_batch, self.current(batch))

    def _stamped(self, batch: Batch, status: Status, **changes: Any) -> Batch:
        times = {**batch.times, str(status): self._clock.now_ms() // 1000}
        return replace(batch, status=status, times=times, **changes)
