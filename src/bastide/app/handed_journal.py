# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The journal of what a runner handed over: the next life of a killed runner reports from it.

A gateway and its runner may be killed at once, and then neither can state what a client was given.
So a row of every answer is in a file before its first piece goes to the gateway, and is written
again, with what it is by then, every HANDED_JOURNAL_S. Rows are `Cut`s: ids, counts, commitments;
no text and no salt.

The file is written and not synced: it outlives every process, and not the machine. A record is
its length and its CRC-32 (uint32 each, little endian) and MessagePack; the last of a receipt
counts, and a torn tail is no record. Every rewrite is a new file, renamed over the old one.
"""

import asyncio
import os
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final

import msgspec

from bastide.app.process import log
from bastide.core.errors import Unavailable
from bastide.core.limits import HANDED_JOURNAL_S
from bastide.core.standing import Cut
from bastide.ports import Clock

__all__ = ["HandedJournal", "Row"]

Row = tuple[int, Cut]  # the process id of the gateway, and what it was handed

_HEAD: Final = struct.Struct("<II")
_FLAGS: Final = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(Row)


class HandedJournal:
    """The file of one replica. Belongs to one event loop."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._descriptor: int | None = None
        self._written: dict[str, tuple[Cut, bytes]] = {}  # what does not change is encoded once
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
        if self._torn:
            raise Unavailable(f"{self._path}: what is handed over cannot be kept")
        try:
            if self._descriptor is None:
                self._descriptor = os.open(self._path, _FLAGS, 0o600)
            self._begun = True
            _write(self._descriptor, _record(gateway, cut))
        except OSError as error:
            self._torn = True  # until it is written anew
            raise self._failed(error) from error

    def rewrite(self, rows: Iterable[Row]) -> None:
        """Keep these rows and no others. Raises Unavailable: then the ones before are kept."""
        known, written = self._written, dict[str, tuple[Cut, bytes]]()
        changed = self._begun
        for gateway, cut in rows:
            before = known.get(cut.receipt)
            if before is None or before[0] is not cut:
                before, changed = (cut, _record(gateway, cut)), True
            written[cut.receipt] = before
        if not changed and len(written) == len(known):
            return
        fresh = self._path.with_name(self._path.name + ".new")
        try:
            descriptor = os.open(fresh, _FLAGS | os.O_TRUNC, 0o600)
            try:
                _write(descriptor, b"".join(record for _, record in written.values()))
                fresh.replace(self._path)
            except OSError:
                os.close(descriptor)
                raise
        except OSError as error:
            raise self._failed(error) from error
        self.close()
        self._descriptor, self._written, self._begun = descriptor, written, False
        self._torn = False

    async def run(self, rows: Callable[[], Iterable[Row]]) -> None:
        """Write what is known every HANDED_JOURNAL_S, until it is cancelled."""
        while True:
            try:
                self.rewrite(rows())
            except Unavailable as error:
                log("runner", "journal-not-written", self._clock.now_ms, why=error.message)
            await asyncio.sleep(HANDED_JOURNAL_S)

    def close(self) -> None:
        """Let go of the file; it stays."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _failed(self, error: OSError) -> Unavailable:
        return Unavailable(f"{self._path}: what is handed over cannot be kept: {error.strerror}")


def _record(gateway: int, cut: Cut) -> bytes:
    body = _ENCODER.encode((gateway, cut))
    return _HEAD.pack(len(body), zlib.crc32(body)) + body


def _write(descriptor: int, data: bytes) -> None:
    """Write all of it; a disk that fills up takes a part first."""
    left = memoryview(data)
    while left:
        left = left[os.write(descriptor, left) :]


def _records(data: bytes) -> Iterator[Row]:
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
