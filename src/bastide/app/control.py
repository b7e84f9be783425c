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
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import uvloop
from msgspec import structs

from bastide.app import wiring
from bastide.app.book_accounts import BookAccounts
from bastide.app.callers import Callers
from bastide.app.config import Home, Settings, read_settings
from bastide.app.control_far import FarDoor, drop_removed, open_far_door
from bastide.app.control_keys import follow_keys
from bastide.app.control_status import status_of
from bastide.app.control_watch import ControlWatch
from bastide.app.cosigning import Cosigning, cosigning_of
from bastide.app.cut_receipts import cut_receipts, read_receipt
from bastide.app.environment import active_signer, hold_all
from bastide.app.machine_guests import reads
from bastide.app.machines import Own
from bastide.app.metering import metered, own_socket
from bastide.app.nodes import verify_attested
from bastide.app.peers import peer_process, tell
from bastide.app.process import enter_service, log, on_stop, prepare_loop
from bastide.app.promises import delegate
from bastide.app.receipt_queue import ReceiptQueue
from bastide.app.sealed_nodes import node_answers
from bastide.app.snapshots import Known, build_snapshot
from bastide.app.succession import succeed
from bastide.app.takings import Takings
from bastide.core.errors import BastideError, Misconfigured, NotProven, Unavailable
from bastide.core.evidence import Statement
from bastide.core.key import Purpose
from bastide.core.limits import FRAME_BYTES_MAX, MACHINE_FRAME_BYTES_MAX
from bastide.core.metrics import Sample
from bastide.core.service import Caller
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
        self._far: FarDoor | None = None
        self._ledger, self._book, self._keyring = ledger, book, keyring
        self._own = Own(ledger)
        self._settings, self._clock = settings, clock
        self._lists, self._cosigning = lists, cosigning
        self._callers = callers or Callers(None, ledger, clock)  # nobody but guests
        self._answers: dict[str, Callable[[dict[str, Any]], Any]] = {}
        self._run: Path | None = None
        self._peers: dict[asyncio.StreamWriter, Caller] = {}
        self._followers: set[asyncio.StreamWriter] = set()  # that get snapshots
        self._tasks: set[asyncio.Task[None]] = set()
        self._snapshot: Snapshot | None = None
        self._seen, self._known = -1, Known()
        self._accounts = BookAccounts(book)
        self._takings = Takings(settings.cost)
        self._meter = ControlWatch()
        self._queue = ReceiptQueue(book, self._meter, clock)
        self._grown_at = clock.monotonic()  # when the ledger was last seen to grow
        self._pushed_at = float("-inf")  # monotonic: a clock that is set back must not silence us

    def take_over(self, keyring: Keyring) -> None:
        """Go on with a keyring that has the successors of keys, too."""
        hold_all(keyring, self._ledger, self._book)
        self._keyring = keyring

    def serve(self, answers: Mapping[str, Callable[[dict[str, Any]], Any]]) -> None:
        """Answer more kinds of frames, on threads."""
        self._answers.update(answers)

    def open_far(self, door: FarDoor | None) -> None:
        """Serve other machines, too, from when it runs."""
        self._far = door

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
            for job in (self._queue.run, self._seal, self._watch, self._cosign)
        ]
        if self._far is not None:
            jobs.append(asyncio.create_task(self._far.run(self._converse)))
        stopping = asyncio.create_task(stop.wait())
        log("control", "ready", self._clock.now_ms, entries=self._ledger.size)
        done, _ = await asyncio.wait([stopping, *jobs], return_when=asyncio.FIRST_COMPLETED)
        server.close()
        for writer in list(self._peers):
            writer.close()
        for job in [*jobs, *self._tasks]:
            job.cancel()
        await asyncio.gather(*jobs, *self._tasks, return_exceptions=True)
        await self._queue.flush()
        with contextlib.suppress(BastideError):
            await asyncio.to_thread(self._book.seal_batch)
        home.control_socket.unlink(missing_ok=True)
        for job in done - {stopping}:
            job.result()  # a job that ended by itself failed: say so and let the supervisor restart

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._converse(reader, writer, Caller(GUEST, peer_process(writer)))

    async def _converse(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, caller: Caller
    ) -> None:
        guests = self._far.guests if self._far is not None and caller.machine else None
        incoming = frames.FrameReader(MACHINE_FRAME_BYTES_MAX if guests else FRAME_BYTES_MAX)
        self._peers[writer] = caller
        try:
            if caller.machine:
                self._welcome(writer, caller)
            while data := await reader.read(65_536):
                for frame in incoming.feed(data):
                    if frame.kind == "hello" and not caller.machine:
                        caller = replace(
                            caller, role=self._callers.role_of(frames.decode(frame, str))
                        )
                        self._welcome(writer, caller)
                        continue
                    ended = await guests.begin(caller) if guests else None
                    task = asyncio.create_task(self._reply(frame, writer, caller))
                    self._tasks.add(task)
                    task.add_done_callback(self._tasks.discard)
                    if ended is not None:
                        task.add_done_callback(ended)
                await writer.drain()
        except (OSError, Misconfigured) as error:
            log("control", "peer-lost", self._clock.now_ms, reason=type(error).__name__)
        finally:
            self._peers.pop(writer, None)
            self._followers.discard(writer)
            writer.close()

    def _welcome(self, writer: asyncio.StreamWriter, caller: Caller) -> None:
        """Whose role may, gets snapshots from now on."""
        if self._callers.may(caller.role, "snapshot") and not writer.is_closing():
            self._followers.add(writer)  # there is a snapshot before anybody can connect
            writer.write(frames.encode(0, "snapshot", self._snapshot))

    async def _reply(
        self, frame: frames.Frame, writer: asyncio.StreamWriter, caller: Caller
    ) -> None:
        try:
            self._callers.require(caller.role, frame.kind)
            kind, body = await self._answer(frame, writer, caller)
            out = frames.encode(frame.stream, kind, body)
        except BastideError as error:
            out = frames.encode(frame.stream, "error", (error.code, error.whole))
        tell(writer, out)
        if caller.machine:
            with contextlib.suppress(OSError):
                await writer.drain()  # what it does not read counts as in work

    async def _work(self, caller: Caller, deed: Callable[..., Any], *given: Any) -> Any:
        """On a thread: whom machines keep busy, gateways here do not wait for."""
        if self._far is not None and caller.machine:
            return await self._far.guests.run(caller, deed, *given)
        return await asyncio.to_thread(deed, *given)

    async def _answer(
        self, frame: frames.Frame, sender: asyncio.StreamWriter, caller: Caller
    ) -> tuple[str, Any]:
        if caller.machine:
            told = frames.decode(frame, object)
            await self._work(caller, self._own.verify, caller.machine, frame.kind, told)
        if frame.kind == "receipt":
            await self._queue.put([read_receipt(frame)])
            return "ok", None
        if frame.kind == "cut":
            return "settled", await self._settle(frames.decode(frame, Cuts), sender, caller)
        if frame.kind == "erasure" and self._lists is not None:
            digest = frames.decode(frame, str)
            return "erasure", (await self._work(caller, self._lists.get, digest)).decode()
        slow = {
            "loaded": partial(self._load, caller),
            "share-minute": partial(self._state, "share-minute/v1"),
            **self._answers,
        }
        if self._far is not None:
            slow |= {kind: partial(one, caller) for kind, one in self._far.answers.items()}
        if frame.kind in slow:
            body = frames.decode(frame, dict[str, Any])
            return "ok", await self._work(caller, slow[frame.kind], body)
        quick = {"status": self._status, "promise-key": self._delegate, "taken": self._take}
        if frame.kind not in quick:
            raise Misconfigured(f"control knows no {frame.kind!r}")
        return frame.kind, quick[frame.kind](frame)

    async def _settle(self, cuts: Cuts, sender: asyncio.StreamWriter, caller: Caller) -> list[str]:
        """Which rows of a report need not be reported again: those that have a receipt now."""
        idents = [cut.receipt for cut in cuts.rows]
        held = await self._work(caller, self._book.holds, idents)
        if any(
            one.process == cuts.gateway for peer, one in self._peers.items() if peer is not sender
        ):
            # It lives, or what it sent is not read to its end: its own receipt comes yet.
            return sorted(held)
        if self._snapshot is None:
            raise Unavailable("control is starting")
        open_rows = tuple(cut for cut in cuts.rows if cut.receipt not in held)
        if not open_rows:
            return idents
        receipts, refused = await self._work(
            caller,
            cut_receipts,
            self._ledger,
            self._snapshot,
            self._settings.node,
            structs.replace(cuts, rows=open_rows),
            self._clock.now_ms(),
        )
        await self._queue.put(receipts, cut=True)
        for ident, why in refused.items():
            log("control", "cut-refused", self._clock.now_ms, receipt=ident[:28], why=why)
        log("control", "cut", self._clock.now_ms, gateway=cuts.gateway, rows=len(receipts))
        return idents

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
            if self._far is not None:
                await drop_removed(self._far, self._peers, self._clock)
        self._seen, self._snapshot, self._pushed_at = size, fresh, self._clock.monotonic()
        for near in self._meter.newly_near(fresh.budgets):
            log("control", "budget-near", now=self._clock.now_ms, **near)
        data = frames.encode(0, "snapshot", fresh)
        for writer in self._followers:
            near = not self._peers[writer].machine
            if not writer.is_closing() and (near or reads(writer, len(data))):
                writer.write(data)

    def _build(self, run: Path, size: int, now_ms: int) -> Snapshot:
        self._callers.follow()
        accounts = self._accounts.at(now_ms)
        return build_snapshot(
            self._ledger, self._settings, run, size, now_ms, self._known, accounts
        )

    def _load(self, caller: Caller, body: dict[str, Any]) -> None:
        if self._settings.attestation or self._ledger.policy().attested or caller.machine:
            verify_attested(self._ledger, body, self._clock.now_ms())
        self._state("load/v1", {**body, "node": caller.machine or self._settings.node})
        succeed(self._ledger, body["deployment"], self.evidence(), self._clock)

    def _state(self, kind: str, body: dict[str, Any]) -> None:
        about = Digest.parse(str(body.get("deployment")))
        (row,) = self._ledger.find("deployment/v1", subject=about)[-1:]
        stated = {**body, "time_ms": self._clock.now_ms()}
        self._ledger.append_statement(Statement(kind, (row.subject,), stated), [self.evidence()])

    def _take(self, frame: frames.Frame) -> Heard:
        """What other replicas took from promises, for one that says what it took."""
        assert self._snapshot is not None  # there is one before anybody can connect
        told = frames.decode(frame, Report)
        return self._takings.tell(self._clock.monotonic(), self._snapshot, told)

    def _delegate(self, frame: frames.Frame) -> str:
        key, now_ms = frames.decode(frame, str), self._clock.now_ms()
        return delegate(self._settings, key, self.evidence(), now_ms)

    def _status(self, _: frames.Frame) -> dict[str, Any]:
        assert self._snapshot is not None
        witnesses = {} if self._cosigning is None else self._cosigning.told()
        machines = {caller.machine for caller in self._peers.values()}
        facts = self._book.pending, self._known.reasons(), self._callers.alarm(), machines
        return status_of(self._snapshot, self._seen, self._ledger, witnesses, *facts)

    async def tell(self) -> Iterable[Sample]:
        """The metrics of now."""
        book, find, alarm = self._book, self._ledger.find, self._callers.alarm
        facts = await asyncio.to_thread(lambda: (book.pending, len(find("refusal/v1")), alarm()))
        budgets = () if self._snapshot is None else self._snapshot.budgets
        behind = () if self._cosigning is None else self._cosigning.samples()
        age_s = self._clock.monotonic() - self._grown_at
        return self._meter.samples(max(self._seen, 0), age_s, *facts, budgets, behind)


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
        secret = orders.get("services_ca")
        far = open_far_door(home, settings, secret, control.evidence, ledger, records, clock)
        control.open_far(far)
        control.take_over(keyring)
        if settings.attestation or far is not None:
            control.serve(node_answers(home, keyring, ledger, control.evidence, clock, records))
        following = asyncio.create_task(follow_keys(control.take_over, clock))
        prepare_loop()
        async with metered(own_socket(orders), control.tell, clock):
            await control.run(home, stop)
        following.cancel()
    finally:
        records.dispose()


def main() -> None:
    """Enter the control process."""
    uvloop.run(_serve(enter_service("control")))


if __name__ == "__main__":
    main()
