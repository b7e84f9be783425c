# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The journal of what a runner handed over: the next life of a killed runner reports from it.

A gateway and its runner may be killed at once, and then neither can state what a client was given.
So a row of every answer is in a file before its first piece goes to the gateway, and every
HANDED_JOURNAL_S once more, as it is by then, if it has changed. Rows are `Cut`s: ids, counts,
commitments; no text and no salt.

The file is written and not synced: it outlives every process, and not the machine. A record is
its length and its CRC-32 (uint32 each, little endian) and MessagePack; the last of a receipt
counts, and a torn tail is no record.

Once most of the file is old, and every UNSETTLED_S, it is rewritten: a new file, renamed over the
old one. It is made a few rows at a time: nobody's answer waits for thousands of them. What begins
meanwhile goes into both files.
"""

import asyncio
import contextlib
import errno
import os
import struct
import zlib
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec

from bastide.app.process import log
from bastide.core.errors import Unavailable
from bastide.core.limits import CUTS_MAX, HANDED_JOURNAL_S, UNSETTLED_S
from bastide.core.standing import Cut
from bastide.ports import Clock

__all__ = ["HandedJournal", "Row"]

# The process id of the gateway, and what it was handed; of an answer that runs, how to find out.
Row = tuple[int, Cut | Callable[[], Cut]]
_Records = dict[str, tuple[Cut, bytes]]  # by receipt; with each its record

_HEAD: Final = struct.Struct("<II")
_FLAGS: Final = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(tuple[int, Cut])
_TURN_ROWS: Final = 32  # that are written between two turns of others


class HandedJournal:
    """The file of one replica. Belongs to one event loop."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._descriptor: int | None = None
        self._written: _Records = {}  # what does not change is encoded once
        self._records = 0  # in the file
        self._rewritten_s = float("-inf")  # what an earlier life left may be torn
        self._fresh: int | None = None  # the file that a rewrite is making
        self._old: int | None = None  # the file that it replaced
        self._torn = False  # what comes after a part of a record would not be read
        self._begun = True  # the file has more than was written last, as far as is known

    def read(self) -> dict[int, list[Cut]]:
        """What an earlier life left, by gateway; damage ends it. Raises Unavailable."""
        try:
            data = self._path.read_bytes()
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise self._failed(error) from error
        last = {cut.receipt: (gateway, cut) for gateway, cut in _records(data)}
        found: dict[int, list[Cut]] = {}
        for gateway, cut in last.values():
            found.setdefault(gateway, []).append(cut)
        return found

    def begin(self, gateway: int, cut: Cut) -> None:
        """The first piece of an answer is about to go. Raises Unavailable: then it must not."""
        self._append({cut.receipt: (cut, _record(gateway, cut))})

    def _append(self, rows: _Records) -> None:
        """Write records at the end. Raises Unavailable: then it is torn until it is made anew."""
        if self._torn:
            raise Unavailable(f"{self._path}: what is handed over cannot be kept")
        data = _joined(rows)
        try:
            if self._descriptor is None:
                self._descriptor = os.open(self._path, _FLAGS, 0o600)
            self._begun = True
            _write(self._descriptor, data)
            if self._fresh is not None:
                _write(self._fresh, data)
        except OSError as error:
            self._torn = True
            self._fresh = None  # nor does what is being written count: it may be torn too
            raise self._failed(error) from error
        self._records += len(rows)
        self._written.update(rows)

    def rewrite(self, rows: Iterable[Row]) -> None:
        """Keep these rows and no others. Raises Unavailable: then the ones before are kept."""
        for _ in self._turns(tuple(rows)):
            pass
        if (old := self._replaced()) is not None:
            os.close(old)

    async def run(self, rows: Callable[[], Iterable[Row]]) -> None:
        """Write what is known every HANDED_JOURNAL_S, until it is cancelled."""
        while True:
            try:
                with contextlib.closing(self._kept(tuple(rows()))) as turns:
                    for _ in turns:
                        await asyncio.sleep(0)
                if (old := self._replaced()) is not None:
                    # The last descriptor of a file that was replaced: its blocks are freed now.
                    await asyncio.to_thread(os.close, old)
            except Unavailable as error:
                log("runner", "journal-not-written", self._clock.now_ms, why=error.message)
            await asyncio.sleep(HANDED_JOURNAL_S)

    def _kept(self, rows: Sequence[Row]) -> Generator[None, None, None]:
        """Have the file say what is known now, in turns: by a rewrite, or by what has changed."""
        old = self._clock.monotonic() - self._rewritten_s >= UNSETTLED_S
        # A next life takes CUTS_MAX rows: beyond, what is old would be taken for what is not.
        most = min(2 * len(rows), max(len(rows), CUTS_MAX))
        if old or self._torn or self._descriptor is None or self._records > most:
            yield from self._turns(rows)
            return
        for _, changed in self._parts(rows):
            if changed:
                self._append(changed)
            yield

    def _turns(self, rows: Sequence[Row]) -> Generator[None, None, None]:
        """A rewrite, in turns. Who stops in the middle leaves the old file as it is."""
        if not self._begun and self._is_written(rows):
            return
        assert self._fresh is None, "one rewrite at a time: they would share a file"
        path = self._path.with_name(self._path.name + ".new")
        try:
            self._fresh = fresh = os.open(path, _FLAGS | os.O_TRUNC, 0o600)
            try:
                self._begun = False
                written = yield from self._copy(rows, fresh)
                if self._fresh is None:
                    raise OSError(errno.EIO, "what began meanwhile could not be written")
                path.replace(self._path)
            except BaseException:
                self._begun = True
                os.close(fresh)
                raise
            finally:
                self._fresh = None
        except OSError as error:
            raise self._failed(error) from error
        self._old, self._descriptor = self._descriptor, fresh
        self._written, self._torn = written, False
        self._records, self._rewritten_s = len(written), self._clock.monotonic()

    def _replaced(self) -> int | None:
        old, self._old = self._old, None
        return old

    def _is_written(self, rows: Sequence[Row]) -> bool:
        """Whether the file has these rows and no others."""
        known = self._written
        return len(rows) == len(known) and all(
            isinstance(row, Cut) and row.receipt in known and known[row.receipt][0] is row
            for _, row in rows
        )

    def _copy(self, rows: Sequence[Row], fresh: int) -> Generator[None, None, _Records]:
        written: _Records = {}
        for part, _ in self._parts(rows):
            _write(fresh, _joined(part))
            written.update(part)
            yield
        return written

    def _parts(self, rows: Sequence[Row]) -> Iterator[tuple[_Records, _Records]]:
        """The records of a turn's rows, and of those that are not written so."""
        known = self._written
        for first in range(0, len(rows), _TURN_ROWS):
            part: _Records = {}
            changed: _Records = {}
            for gateway, row in rows[first : first + _TURN_ROWS]:
                cut = row if isinstance(row, Cut) else row()
                one = known.get(cut.receipt)
                if one is None or one[0] is not cut:
                    one = changed[cut.receipt] = (cut, _record(gateway, cut))
                part[cut.receipt] = one
            yield part, changed

    def close(self) -> None:
        """Let go of the file; it stays."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _failed(self, error: OSError) -> Unavailable:
        return Unavailable(f"{self._path}: what is handed over cannot be kept: {error.strerror}")


def _joined(rows: _Records) -> bytes:
    return b"".join([record for _, record in rows.values()])


def _record(gateway: int, cut: Cut) -> bytes:
    body = _ENCODER.encode((gateway, cut))
    return _HEAD.pack(len(body), zlib.crc32(body)) + body


def _write(descriptor: int, data: bytes) -> None:
    """Write all of it; a disk that fills up takes a part first."""
    left = memoryview(data)
    while left:
        left = left[os.write(descriptor, left) :]


def _records(data: bytes) -> Iterator[tuple[int, Cut]]:
    at = 0
    while at + _HEAD.size <= len(data):
        length, crc = _HEAD.unpack_from(data, at)
        at += _HEAD.size
        body = data[at : at + length]
        if len(body) < length or zlib.crc32(body) != crc:
            return
        try:
            yield _DECODER.decode(body)
        except msgspec.MsgspecError:
            return
        at += length
