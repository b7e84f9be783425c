# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The control process: the ledger's keeper. Run as ``python -m bastide.app.control``.

It makes receipts durable in groups, seals them into the ledger once a second, pushes a snapshot
of keys and deployments to everyone who is connected, and states what runners have loaded. The
command line appends to the same ledger file from its own process; control sees that within
POLL_S and pushes it on.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from msgspec import structs

from bastide.app import wiring
from bastide.app.book_accounts import BookAccounts
from bastide.app.callers import Callers
from bastide.app.config import Home, Settings, read_settings
from bastide.app.control_keys import follow_keys
from bastide.app.control_status import status_of
from bastide.app.control_watch import ControlWatch
from bastide.app.cosigning import Cosigning, cosigning_of
from bastide.app.cut_receipts import cut_receipts, read_receipt
from bastide.app.environment import active_signer, hold_all
from bastide.app.metering import metered, own_socket
from bastide.app.nodes import verify_attested
from bastide.app.peers import peer_process
from bastide.app.process import enter_service, log, on_stop
from bastide.app.promises import delegate
from bastide.app.sealed_nodes import node_answers
from bastide.app.snapshots import Known, build_snapshot
from bastide.app.succession import succeed
from bastide.app.takings import Takings
from bastide.core.errors import BastideError, Misconfigured, NotProven, Refused, Unavailable
from bastide.core.evidence import Statement
from bastide.core.key import Purpose
from bastide.core.metrics import Sample
from bastide.core.receipt import Receipt
from bastide.core.snapshot import Snapshot
from bastide.core.standing import Cuts
from bastide.core.subject import Digest
from bastide.core.taken import Heard, Report
from bastide.crypto.dsse import Signer
from bastide.dialects import frames
from bastide.gates.access.calls import GUEST
from bastide.ledger import Ledger
from bastide.ledger.erasure import ErasureShelf
from bastide.ledger.receipts import ReceiptBook
from bastide.ports import Clock, Keyring

__all__ = ["Control", "main"]

POLL_S = 0.1  # how soon a revocation reaches the gateways
HEARTBEAT_S = 1.0  # a snapshot is confirmed at least this often; gateways refuse at 5 s
SEAL_S = 1.0  # receipts are sealed into the ledger this often
SEAL_PROMISED_S = 0.25  # where that is promised within a second
_QUEUE_MAX = 8_192


class _Waiting(NamedTuple):
    """Receipts on their way into the book, and who waits for them."""

    receipts: Sequence[Receipt]
    durable: asyncio.Future[None]
    cut: bool = False  # stated for a gateway that is gone: whatever it stated itself stands


class Control:
    """Serves frames on the control socket; see dialects/frames.py."""

    def __init__(
        self,
        ledger: Ledger,
        book: ReceiptBook,
        keyring: Keyring,
        settings: Settings,
        clock: Clock,
        lists: ErasureShelf | None = None,
        cosigning: Cosigning | None = None,
        callers: Callers | None = None,
    ) -> None:
        self._ledger, self._book, self._keyring = ledger, book, keyring
        self._settings, self._clock = settings, clock
        self._lists, self._cosigning = lists, cosigning
        self._callers = callers or Callers(None, ledger, clock)  # nobody but guests
        self._answers: dict[str, Callable[[dict[str, Any]], Any]] = {}
        self._run: Path | None = None
        self._peers: dict[asyncio.StreamWriter, int] = {}  # with the process at the other end
        self._followers: set[asyncio.StreamWriter] = set()  # that get snapshots
        self._tasks: set[asyncio.Task[None]] = set()
        self._queue: asyncio.Queue[_Waiting] = asyncio.Queue(_QUEUE_MAX)
        self._snapshot: Snapshot | None = None
        self._seen, self._known = -1, Known()
        self._accounts = BookAccounts(book)
        self._takings = Takings()
        self._meter = ControlWatch()
        self._grown_at = clock.monotonic()  # when the ledger was last seen to grow
        self._pushed_at = float("-inf")  # monotonic: a clock that is set back must not silence us

    def take_over(self, keyring: Keyring) -> None:
        """Go on with a keyring that has the successors of keys, too."""
        hold_all(keyring, self._ledger, self._book)
        self._keyring = keyring

    def serve(self, answers: Mapping[str, Callable[[dict[str, Any]], Any]]) -> None:
        """Answer more kinds of frames, on threads."""
        self._answers.update(answers)

    def evidence(self) -> Signer:
        """The evidence key in force."""
        return active_signer(self._ledger, self._keyring, Purpose.EVIDENCE)

    async def run(self, home: Home, stop: asyncio.Event) -> None:
        """Serve until `stop`. What is queued is made durable before it returns."""
        self._run = home.run
        home.control_socket.unlink(missing_ok=True)
        await self._refresh()
        server = await asyncio.start_unix_server(self._connect, home.control_socket)
        home.control_socket.chmod(0o600)
        jobs = [
            asyncio.create_task(job())
            for job in (self._write, self._seal, self._watch, self._cosign)
        ]
        stopping = asyncio.create_task(stop.wait())
        log("control", "ready", self._clock.now_ms, entries=self._ledger.size)
        done, _ = await asyncio.wait([stopping, *jobs], return_when=asyncio.FIRST_COMPLETED)
        server.close()
        for writer in list(self._peers):
            writer.close()
        for job in [*jobs, *self._tasks]:
            job.cancel()
        await asyncio.gather(*jobs, *self._tasks, return_exceptions=True)
        await self._flush()
        home.control_socket.unlink(missing_ok=True)
        for job in done - {stopping}:
            job.result()  # a job that ended by itself failed: say so and let the supervisor restart

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        incoming, role = frames.FrameReader(), GUEST
        self._peers[writer] = peer_process(writer)
        try:
            while data := await reader.read(65_536):
                for frame in incoming.feed(data):
                    if frame.kind == "hello":
                        role = self._greet(frame, writer)
                        continue
                    task = asyncio.create_task(self._reply(frame, writer, role))
                    self._tasks.add(task)
                    task.add_done_callback(self._tasks.discard)
                await writer.drain()
        except (ConnectionError, Misconfigured) as error:
            log("control", "peer-lost", self._clock.now_ms, reason=type(error).__name__)
        finally:
            self._peers.pop(writer, None)
            self._followers.discard(writer)
            writer.close()

    def _greet(self, frame: frames.Frame, writer: asyncio.StreamWriter) -> str:
        """The role of who says hello; whose role may, gets snapshots from now on."""
        role = self._callers.role_of(frames.decode(frame, str))
        if self._callers.may(role, "snapshot"):
            self._followers.add(writer)  # there is a snapshot before anybody can connect
            writer.write(frames.encode(0, "snapshot", self._snapshot))
        return role

    async def _reply(self, frame: frames.Frame, writer: asyncio.StreamWriter, role: str) -> None:
        try:
            self._callers.require(role, frame.kind)
            kind, body = await self._answer(frame, writer)
            out = frames.encode(frame.stream, kind, body)
        except BastideError as error:
            out = frames.encode(frame.stream, "error", (error.code, error.message))
        if not writer.is_closing():
            writer.write(out)

    async def _answer(self, frame: frames.Frame, sender: asyncio.StreamWriter) -> tuple[str, Any]:
        if frame.kind == "receipt":
            await self._durable([read_receipt(frame)])
            return "ok", None
        if frame.kind == "cut":
            return "settled", await self._settle(frames.decode(frame, Cuts), sender)
        if frame.kind == "erasure" and self._lists is not None:
            digest = frames.decode(frame, str)
            return "erasure", (await asyncio.to_thread(self._lists.get, digest)).decode()
        slow = {
            "loaded": self._load,
            "share-minute": partial(self._state, "share-minute/v1"),
            **self._answers,
        }
        if frame.kind in slow:
            body = frames.decode(frame, dict[str, Any])
            return "ok", await asyncio.to_thread(slow[frame.kind], body)
        told = {"status": self._status, "promise-key": self._delegate, "taken": self._take}
        if frame.kind not in told:
            raise Misconfigured(f"control knows no {frame.kind!r}")
        return frame.kind, told[frame.kind](frame)

    async def _settle(self, cuts: Cuts, sender: asyncio.StreamWriter) -> list[str]:
        """Which rows of a report need not be reported again: those that have a receipt now."""
        idents = [cut.receipt for cut in cuts.rows]
        held = await asyncio.to_thread(self._book.holds, idents)
        if any(pid == cuts.gateway for peer, pid in self._peers.items() if peer is not sender):
            # It lives, or what it sent is not read to its end: its own receipt comes yet.
            return sorted(held)
        if self._snapshot is None:
            raise Unavailable("control is starting")
        open_rows = tuple(cut for cut in cuts.rows if cut.receipt not in held)
        if not open_rows:
            return idents
        receipts, refused = await asyncio.to_thread(
            cut_receipts,
            self._ledger,
            self._snapshot,
            self._settings.node,
            structs.replace(cuts, rows=open_rows),
            self._clock.now_ms(),
        )
        await self._durable(receipts, cut=True)
        for ident, why in refused.items():
            log("control", "cut-refused", self._clock.now_ms, receipt=ident[:28], why=why)
        log("control", "cut", self._clock.now_ms, gateway=cuts.gateway, rows=len(receipts))
        return idents

    async def _durable(self, receipts: Sequence[Receipt], cut: bool = False) -> None:
        durable: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        await self._queue.put(_Waiting(receipts, durable, cut))
        await durable

    async def _write(self) -> None:
        """Take all receipts that wait, make them durable in one transaction, answer each."""
        while True:
            group = [await self._queue.get()]
            while not self._queue.empty() and len(group) < 4_096:
                group.append(self._queue.get_nowait())
            await self._store(group)

    async def _store(self, group: list[_Waiting]) -> None:
        began = self._clock.monotonic()
        try:
            await asyncio.to_thread(self._put, group)
        except BastideError as error:
            if isinstance(error, Refused) and len(group) > 1:
                # One of them has the id of another receipt: the rest must not suffer for it.
                half = len(group) // 2
                await self._store(group[:half])
                await self._store(group[half:])
                return
            log("control", "receipts-refused", self._clock.now_ms, code=error.code, n=len(group))
            self._meter.refused(len(group))
            for waiting in group:
                if not waiting.durable.done():
                    waiting.durable.set_exception(error)
            return
        count = sum(len(waiting.receipts) for waiting in group)
        self._meter.stored(count, self._clock.monotonic() - began)
        for waiting in group:
            if not waiting.durable.done():
                waiting.durable.set_result(None)

    def _put(self, group: list[_Waiting]) -> None:
        self._book.put([row for waiting in group if not waiting.cut for row in waiting.receipts])
        if cut := [row for waiting in group if waiting.cut for row in waiting.receipts]:
            self._book.put_missing(cut)

    async def _seal(self) -> None:
        promised = self._settings.receipts == "promised"
        while True:
            await asyncio.sleep(SEAL_PROMISED_S if promised else SEAL_S)
            try:
                await asyncio.to_thread(self._book.seal_batch)
            except NotProven:
                raise
            except BastideError as error:
                log("control", "seal-postponed", self._clock.now_ms, code=error.code)

    async def _watch(self) -> None:
        """Push a snapshot when the ledger has grown, and as a heartbeat."""
        while True:
            await asyncio.sleep(POLL_S)
            try:
                await self._refresh()
            except NotProven:
                raise
            except BastideError as error:
                log("control", "snapshot-postponed", self._clock.now_ms, code=error.code)

    async def _cosign(self) -> None:
        while True:
            await asyncio.sleep(SEAL_S)
            if self._cosigning is not None:
                await asyncio.to_thread(self._cosigning.round)

    async def _refresh(self) -> None:
        size = await asyncio.to_thread(lambda: self._ledger.size)
        quiet = self._clock.monotonic() - self._pushed_at < HEARTBEAT_S
        if size == self._seen and quiet:
            return
        now = self._clock.now_ms()
        assert self._run is not None
        fresh = await asyncio.to_thread(self._build, self._run, size, now)
        if size != self._seen:
            self._grown_at = self._clock.monotonic()
        self._seen, self._snapshot, self._pushed_at = size, fresh, self._clock.monotonic()
        for near in self._meter.newly_near(fresh.budgets):
            log("control", "budget-near", now=self._clock.now_ms, **near)
        data = frames.encode(0, "snapshot", fresh)
        for writer in self._followers:
            if not writer.is_closing():
                writer.write(data)

    def _build(self, run: Path, size: int, now_ms: int) -> Snapshot:
        self._callers.follow()
        accounts = self._accounts.at(now_ms)
        return build_snapshot(
            self._ledger, self._settings, run, size, now_ms, self._known, accounts
        )

    def _load(self, body: dict[str, Any]) -> None:
        if self._settings.attestation or self._ledger.policy().attested:
            verify_attested(self._ledger, body, self._clock.now_ms())
        self._state("load/v1", {**body, "node": self._settings.node})
        succeed(self._ledger, body["deployment"], self.evidence(), self._clock)

    def _state(self, kind: str, body: dict[str, Any]) -> None:
        about = Digest.parse(str(body.get("deployment")))
        (row,) = self._ledger.find("deployment/v1", subject=about)[-1:]
        stated = {**body, "time_ms": self._clock.now_ms()}
        self._ledger.append_statement(Statement(kind, (row.subject,), stated), [self.evidence()])

    def _take(self, frame: frames.Frame) -> Heard:
        """What other replicas took from promises, for one that says what it took."""
        shares = {} if self._snapshot is None else self._snapshot.shares
        return self._takings.tell(self._clock.monotonic(), shares, frames.decode(frame, Report))

    def _delegate(self, frame: frames.Frame) -> str:
        key, now_ms = frames.decode(frame, str), self._clock.now_ms()
        return delegate(self._settings, key, self.evidence(), now_ms)

    def _status(self, _: frames.Frame) -> dict[str, Any]:
        assert self._snapshot is not None
        witnesses = {} if self._cosigning is None else self._cosigning.told()
        facts = self._book.pending, self._known.reasons(), self._callers.alarm()
        return status_of(self._snapshot, self._seen, self._ledger, witnesses, *facts)

    async def tell(self) -> Iterable[Sample]:
        """The metrics of now."""
        book, find, alarm = self._book, self._ledger.find, self._callers.alarm
        facts = await asyncio.to_thread(lambda: (book.pending, len(find("refusal/v1")), alarm()))
        budgets = () if self._snapshot is None else self._snapshot.budgets
        behind = () if self._cosigning is None else self._cosigning.samples()
        age_s = self._clock.monotonic() - self._grown_at
        return self._meter.samples(max(self._seen, 0), age_s, *facts, budgets, behind)

    async def _flush(self) -> None:
        group = []
        while not self._queue.empty():
            group.append(self._queue.get_nowait())
        if group:
            await self._store(group)
        with contextlib.suppress(BastideError):
            await asyncio.to_thread(self._book.seal_batch)


async def _serve(orders: dict[str, Any]) -> None:
    home = Home(Path(orders["home"]))
    settings, clock = read_settings(home), wiring.clock()
    keyring = wiring.keyring_from_portion(orders["keys"])
    records = wiring.open_records(home.database, keyring.secret(Purpose.DATABASE))
    try:
        ledger = Ledger(records, keyring.signer(Purpose.LEDGER), clock)
        book = ReceiptBook(records, ledger, keyring.signer(Purpose.EVIDENCE), clock)
        stop = asyncio.Event()
        on_stop(stop)
        cosigning = cosigning_of(settings, ledger, records, wiring.ask_witness, clock)
        callers = Callers(bytes.fromhex(orders["passes"]), ledger, clock)
        lists = ErasureShelf(records)
        control = Control(ledger, book, keyring, settings, clock, lists, cosigning, callers)
        control.take_over(keyring)
        if settings.attestation:
            control.serve(node_answers(home, keyring, ledger, control.evidence, clock, records))
        following = asyncio.create_task(follow_keys(control.take_over, clock))
        async with metered(own_socket(orders), control.tell, clock):
            await control.run(home, stop)
        following.cancel()
    finally:
        records.dispose()


def main() -> None:
    """Enter the control process."""
    asyncio.run(_serve(enter_service("control")))


if __name__ == "__main__":
    main()
