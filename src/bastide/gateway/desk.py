# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The desk process: keeps tenants' files and runs their batches.

Run as ``python -m bastide.gateway.desk`` by the supervisor. It has one secret, the store's
identity: no database, no pepper, no signing key. It listens on a Unix socket and speaks frames;
every call is one connection, and says for which tenant it is. The gateway has checked the key.
"""

import asyncio
import functools
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Final

import uvloop

from bastide.app import wiring
from bastide.app.config import Home, read_settings
from bastide.app.far_engines import Engines
from bastide.app.metering import metered, own_socket
from bastide.app.peers import tell
from bastide.app.process import enter_service, log, on_stop, prepare_loop
from bastide.app.shelf import Shelf
from bastide.core.batch import Batch
from bastide.core.errors import BastideError, Busy, Misconfigured, Unavailable
from bastide.core.limits import (
    BATCH_WAITING_MAX,
    BATCH_WINDOW_S,
    DESK_CALLS_MAX,
    DESK_PIECE_BYTES,
    FILES_SWEEP_S,
    MIB,
    REQUEST_READ_TIMEOUT_S,
    UPLOAD_BYTES_MAX,
)
from bastide.core.metrics import BATCHES_RUNNING, BATCHES_WAITING, Sample, sample
from bastide.dialects import frames
from bastide.gateway.answering import Answering, Control, fresh_snapshot
from bastide.gateway.asker import Asker
from bastide.gateway.clerk import Clerk
from bastide.gateway.watch import Watch, gateway_samples
from bastide.gateway.window import EnginePool
from bastide.ports import Clock

__all__ = ["Desk", "denied_names", "main", "run_desk"]

_READ_BYTES: Final = 262_144
_DAY_S: Final = 86_400
Incoming = AsyncIterator[frames.Frame]


class Desk:
    """Serves frames on its socket; see dialects/frames.py."""

    def __init__(self, shelf: Shelf, clerk: Clerk, clock: Clock) -> None:
        self._shelf = shelf
        self._clerk = clerk
        self._clock = clock
        self._calls = 0
        self._deeds: dict[str, Callable[[dict[str, Any], Incoming], Any]] = {
            "put_file": self._put_file,
            "file": self._file,
            "list_files": self._list_files,
            "delete_file": self._delete_file,
            "create_batch": self._create_batch,
            "batch": self._batch,
            "list_batches": self._list_batches,
            "cancel_batch": self._cancel_batch,
        }

    async def run(self, socket: Path, stop: asyncio.Event) -> None:
        """Serve until `stop`."""
        await asyncio.to_thread(self._shelf.sweep)
        await self._clerk.resume()
        server = await asyncio.start_unix_server(self._connect, socket)
        await asyncio.to_thread(socket.chmod, 0o600)
        sweeping = asyncio.create_task(self._expire())
        log("desk", "ready", self._clock.now_ms)
        await stop.wait()
        server.close()
        sweeping.cancel()
        await self._clerk.close()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._calls += 1
        try:
            incoming = _frames(reader)
            await self._answer(incoming, writer)
            await writer.drain()
        except (OSError, Misconfigured, Unavailable) as error:
            log("desk", "peer-lost", self._clock.now_ms, reason=type(error).__name__)
        finally:
            self._calls -= 1
            writer.close()

    async def _answer(self, incoming: Incoming, writer: asyncio.StreamWriter) -> None:
        call = await anext(incoming)
        fields = frames.decode(call, dict[str, Any])
        try:
            if self._calls > DESK_CALLS_MAX:
                raise Busy("The desk has too much to do.")
            if call.kind == "get_file":
                await self._get_file(fields, writer)
                return
            deed = self._deeds.get(call.kind)
            if deed is None:
                raise Misconfigured(f"the desk knows no {call.kind!r}")
            tell(writer, frames.encode(1, "ok", await deed(fields, incoming)))
        except BastideError as error:
            after_s = getattr(error, "retry_after_s", 0.0)
            told = (error.code, error.message, list(error.reasons), after_s)
            tell(writer, frames.encode(1, "error", told))

    async def _put_file(self, fields: dict[str, Any], incoming: Incoming) -> Any:
        pieces: SimpleQueue[bytes | None] = SimpleQueue()
        keep = functools.partial(
            self._shelf.put_file,
            *(fields["ident"], fields["tenant"], fields["name"], fields["purpose"]),
            _drained(pieces),
            size=fields["size"],
            seconds=fields["seconds"],
        )
        keeping = asyncio.create_task(asyncio.to_thread(keep))
        size, whole = 0, False
        try:
            async for frame in incoming:
                if frame.kind == "end":
                    whole = True
                    pieces.put(b"")
                    return await keeping
                piece = frames.decode(frame, bytes)
                size += len(piece)
                if size > min(fields["size"], UPLOAD_BYTES_MAX):
                    raise Misconfigured("the file is too large")
                if not keeping.done():  # a refusal is told when all has come
                    pieces.put(piece)
            raise Unavailable("the file broke off")
        finally:
            if not whole:
                pieces.put(None)
                await asyncio.gather(keeping, return_exceptions=True)

    async def _get_file(self, fields: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        opened = await asyncio.to_thread(self._shelf.open_file, fields["tenant"], fields["ident"])
        with opened as reader:
            for at in range(0, reader.size, DESK_PIECE_BYTES):
                piece = await asyncio.to_thread(reader.read_at, at, DESK_PIECE_BYTES)
                tell(writer, frames.encode(1, "piece", piece))
                await writer.drain()
            tell(writer, frames.encode(1, "end"))

    async def _file(self, fields: dict[str, Any], _: Incoming) -> Any:
        return await asyncio.to_thread(self._shelf.file, fields["tenant"], fields["ident"])

    async def _list_files(self, fields: dict[str, Any], _: Incoming) -> Any:
        return await asyncio.to_thread(self._shelf.files, **fields)

    async def _delete_file(self, fields: dict[str, Any], _: Incoming) -> Any:
        await asyncio.to_thread(self._shelf.delete_file, fields["tenant"], fields["ident"])
        return fields["ident"]

    async def _create_batch(self, fields: dict[str, Any], _: Incoming) -> Any:
        tenant, ident, now_s = fields["tenant"], fields["ident"], self._now_s()
        if self._clerk.waiting(tenant) >= BATCH_WAITING_MAX:
            raise Busy(f"{BATCH_WAITING_MAX} batches have not ended.", retry_after_s=60.0)
        self._shelf.verify_seconds(fields["output_seconds"])
        await asyncio.to_thread(self._shelf.verify_room, tenant)
        file = await asyncio.to_thread(self._shelf.file, tenant, fields["input_file"])
        if file.purpose != "batch":
            raise Misconfigured("The purpose of the input file is not batch.")
        own = ident.removeprefix("batch_")
        batch = Batch(
            **{name: fields[name] for name in ("ident", "tenant", "key", "secret", "endpoint")},
            input_file=file.ident,
            # Both begin with the time of the batch, and differ in their last letter.
            output_file=f"file-{own[:-1]}{'o' if own[-1] != 'o' else 'p'}",
            error_file=f"file-{own[:-1]}{'u' if own[-1] != 'u' else 'v'}",
            created_s=now_s,
            expires_s=now_s + BATCH_WINDOW_S,
            output_seconds=fields["output_seconds"],
            metadata=fields["metadata"],
        )
        await asyncio.to_thread(self._shelf.put_batch, batch)
        self._clerk.take(batch)
        return _told(batch)

    async def _batch(self, fields: dict[str, Any], _: Incoming) -> Any:
        batch = await asyncio.to_thread(self._shelf.batch, fields["tenant"], fields["ident"])
        return _told(self._clerk.current(batch))

    async def _list_batches(self, fields: dict[str, Any], _: Incoming) -> Any:
        fields.pop("purpose")
        rows, more = await asyncio.to_thread(self._shelf.batches, **fields)
        return [_told(self._clerk.current(row)) for row in rows], more

    async def _cancel_batch(self, fields: dict[str, Any], _: Incoming) -> Any:
        batch = await asyncio.to_thread(self._shelf.batch, fields["tenant"], fields["ident"])
        return _told(await self._clerk.cancel(batch))

    async def _expire(self) -> None:
        while True:
            try:
                count = await asyncio.to_thread(self._shelf.expire)
                log("desk", "expired", self._clock.now_ms, count=count)
            except BastideError as error:
                log("desk", "expiry-postponed", self._clock.now_ms, code=error.code)
            await asyncio.sleep(FILES_SWEEP_S)

    def _now_s(self) -> int:
        return self._clock.now_ms() // 1000


def _told(batch: Batch) -> Batch:
    """A batch as others may know it."""
    return replace(batch, secret="")


def _frames(reader: asyncio.StreamReader) -> Incoming:
    """The frames of one call. Raises Unavailable if they do not come."""

    async def read() -> bytes:
        try:
            async with asyncio.timeout(REQUEST_READ_TIMEOUT_S):
                data = await reader.read(_READ_BYTES)
        except TimeoutError as error:
            raise Unavailable("nothing comes") from error
        if not data:
            raise Unavailable("the peer has gone")
        return data

    return frames.frames_of(read)


def _drained(pieces: "SimpleQueue[bytes | None]") -> Iterator[bytes]:
    """Pieces until an empty one. Raises Unavailable at a None: then nothing is kept."""
    while piece := pieces.get():
        yield piece
    if piece is None:
        raise Unavailable("the file broke off")


async def run_desk(orders: dict[str, Any], stop: asyncio.Event) -> None:
    """Serve until `stop`."""
    home = Home(Path(orders["home"]))
    settings, clock, entropy = read_settings(home), wiring.clock(), wiring.entropy()
    keyring = wiring.keyring_from_portion(orders["keys"])
    heard = asyncio.Event()
    link = (str(home.control_socket), clock, lambda _: heard.set())
    control = wiring.control_link(*link, credential=orders.get("credential", ""))
    denied = functools.partial(denied_names, control, clock)
    store = wiring.open_store(home.desk, keyring.identities(), (), entropy, denied)
    shelf = Shelf(store, clock, settings.file_days * _DAY_S, settings.file_mb * MIB)
    note = functools.partial(log, "desk", now=clock.now_ms)
    pool = EnginePool(Engines(control, clock, entropy, note).engine, clock)
    watch = Watch()
    answering = Answering(control, pool, clock, note, watch=watch)
    clerk = Clerk(shelf, Asker(answering, control, clock, entropy), clock, note)

    async def tell() -> list[Sample]:
        waiting, running = clerk.counts
        batches = [sample(BATCHES_WAITING, waiting), sample(BATCHES_RUNNING, running)]
        age_s = clock.monotonic() - control.received_at
        return [*batches, *gateway_samples(watch, pool, None, age_s)]

    await control.start()
    home.desk_socket.unlink(missing_ok=True)
    try:
        # What it left it opens at once, and until control has spoken nothing may be opened.
        await _either(heard, stop)
        if not stop.is_set():
            async with metered(own_socket(orders), tell, clock):
                await Desk(shelf, clerk, clock).run(home.desk_socket, stop)
    finally:
        await pool.close()
        await control.close()
        note("stopped")


async def _either(one: asyncio.Event, other: asyncio.Event) -> None:
    waits = [asyncio.ensure_future(event.wait()) for event in (one, other)]
    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    for wait in waits:
        wait.cancel()


def denied_names(control: Control, clock: Clock) -> Sequence[str]:
    """What parties denied in the ledger, which this process does not hold: as control says.

    Raises Unavailable before control has spoken, and once it has been silent for longer than
    SNAPSHOT_AGE_MAX_S: what it said then may lack a denial.
    """
    if (snapshot := fresh_snapshot(control, clock)) is None:
        raise Unavailable(
            "control does not say what may be opened now",
            fix="`bastide status` says whether it runs",
        )
    return snapshot.denied


async def _serve(orders: dict[str, Any]) -> None:
    prepare_loop()
    stop = asyncio.Event()
    on_stop(stop)
    await run_desk(orders, stop)


def main() -> None:
    """Enter the desk process."""
    clock = wiring.clock()
    try:
        uvloop.run(_serve(enter_service("desk")))
    except BastideError as error:
        log("desk", "refused", clock.now_ms, code=error.code, reason=error.message)
        raise SystemExit(error.exit_status) from error


if __name__ == "__main__":
    main()
