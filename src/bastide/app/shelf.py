# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Files and batches of tenants, as sealed objects of a store of their own.

Names: ``files/<tenant>/<id>/content`` and ``.../row``, which is written last and deleted first;
``batches/<tenant>/<id>/state`` and ``.../part-<number>``. For a tenant stands a hash, so that no
folder is named after a customer. They are sealed to the store's identity alone: what tenants bring
is no asset of the owner, so the owner's exit does not open it.

Nothing here waits for another; whoever calls has one thing done to one batch at a time.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, suppress
from typing import Any, Final, TypeVar

import msgspec

from bastide.app.room import Room
from bastide.core.batch import ENDED, Batch, KeptFile
from bastide.core.errors import BastideError, Misconfigured, NotFound
from bastide.core.limits import MIB
from bastide.ports import Clock, Reader, SealingStore

__all__ = ["Result", "Shelf", "lines_of"]

_T = TypeVar("_T")
_IDENT: Final = re.compile(r"(?:file-|batch_)[0-9a-z]{26}")
_encode = msgspec.json.Encoder().encode


class Result(msgspec.Struct, frozen=True, array_like=True):
    """What came of one line of a batch: its number from 1, whether it was answered, the line."""

    number: int
    answered: bool
    line: str


class Shelf:
    """Finds nothing that is another tenant's. Every method may wait for a disk."""

    def __init__(self, store: SealingStore, clock: Clock, retention_s: int, bytes_max: int) -> None:
        self._store = store
        self._clock = clock
        self._retention_s = retention_s
        self._room = Room(bytes_max, self._sizes)

    # Files.

    def put_file(
        self,
        ident: str,
        tenant: str,
        name: str,
        purpose: str,
        chunks: Iterable[bytes],
        *,
        size: int | None = None,
        seconds: int = 0,
    ) -> KeptFile:
        """Keep a file; nothing of it is left if that fails.

        `size` is what a tenant will bring, None for results of ours, which are never refused.
        `seconds` is how long it is to be kept, 0 for as long as we do. Raises Full if the tenant
        keeps too much, Misconfigured for a time that is too long.
        """
        self.verify_seconds(seconds)
        if size is not None:
            self._room.take(tenant, ident, size)
        try:
            folder, now_s = _folder("files", tenant, ident), self._now_s()
            size = self._store.put(f"{folder}/content", chunks)
            until_s = now_s + (seconds or self._retention_s)
            row = KeptFile(ident, tenant, name, purpose, size, now_s, until_s)
            self._write(f"{folder}/row", row)
        except BaseException:
            self._room.leave(tenant, ident)
            with suppress(BastideError):  # without a row, the next sweep finds it
                self._store.delete(f"{_folder('files', tenant, ident)}/content")
            raise
        self._room.note(tenant, ident, size)
        return row

    def verify_room(self, tenant: str) -> None:
        """Raises Full if a tenant keeps all that it may."""
        self._room.verify_some(tenant)

    def verify_seconds(self, seconds: int) -> None:
        """Raises Misconfigured if files are not kept that long."""
        if seconds > self._retention_s:
            raise Misconfigured(f"Files are kept at most {self._retention_s} seconds here.")

    def file(self, tenant: str, ident: str) -> KeptFile:
        """One file. Raises NotFound, also for one whose time is over."""
        row = self._read(f"{_folder('files', tenant, ident)}/row", KeptFile, "file")
        if row.expires_s <= self._now_s():
            raise NotFound(f"No such file: {ident}", reasons=["file_not_found"])
        return row

    def open_file(self, tenant: str, ident: str) -> AbstractContextManager[Reader]:
        """The content of a file. Raises NotFound."""
        self.file(tenant, ident)
        return self._store.open(f"{_folder('files', tenant, ident)}/content")

    def files(
        self, tenant: str, after: str, limit: int, newest_first: bool, purpose: str
    ) -> tuple[list[KeptFile], bool]:
        """A page of files, and whether there are more."""
        found: list[KeptFile] = []
        for ident in _after(self._idents("files", tenant), after, newest_first):
            try:
                row = self.file(tenant, ident)
            except NotFound:
                continue
            if purpose in ("", row.purpose):
                if len(found) == limit:
                    return found, True
                found.append(row)
        return found, False

    def delete_file(self, tenant: str, ident: str) -> None:
        """Remove a file: its keys first, without which nobody can read it. Raises NotFound."""
        self.file(tenant, ident)
        self._delete(_folder("files", tenant, ident), ("row", "content"))
        self._room.leave(tenant, ident)

    # Batches.

    def put_batch(self, batch: Batch) -> None:
        """Keep the state of a batch, in the place of the one before."""
        self._write(f"{_folder('batches', batch.tenant, batch.ident)}/state", batch)

    def batch(self, tenant: str, ident: str) -> Batch:
        """One batch. Raises NotFound."""
        return self._read(f"{_folder('batches', tenant, ident)}/state", Batch, "batch")

    def batches(
        self, tenant: str, after: str, limit: int, newest_first: bool
    ) -> tuple[list[Batch], bool]:
        """A page of batches, and whether there are more."""
        idents = _after(self._idents("batches", tenant), after, newest_first)
        found: list[Batch] = []
        for ident in idents[:limit]:
            with suppress(NotFound):  # it expired meanwhile
                found.append(self.batch(tenant, ident))
        return found, len(idents) > limit

    def unended(self) -> list[Batch]:
        """All batches of all tenants that have not ended, oldest first."""
        found = [
            self._read(name, Batch, "batch")
            for name in self._store.names("batches")
            if name.endswith("/state")
        ]
        return sorted((b for b in found if b.status not in ENDED), key=lambda batch: batch.ident)

    def put_part(self, batch: Batch, number: int, results: Iterable[Result]) -> None:
        """Keep results: once this returns, their lines are never asked again."""
        folder = _folder("batches", batch.tenant, batch.ident)
        self._store.put(f"{folder}/part-{number:06}", [_encode(row) + b"\n" for row in results])

    def results(self, batch: Batch) -> Iterator[Result]:
        """All results, in the order in which they came."""
        decoder = msgspec.json.Decoder(Result)
        for name in self._parts(batch):
            with self._store.open(name) as reader:
                for line in lines_of(reader):
                    yield decoder.decode(line)

    def parts(self, batch: Batch) -> int:
        """The number of the newest part, or 0."""
        return max((int(name[-6:]) for name in self._parts(batch)), default=0)

    def drop_parts(self, batch: Batch) -> None:
        """Delete the results, once they stand in files."""
        for name in self._parts(batch):
            self._store.delete(name)

    def sweep(self) -> None:
        """Delete what killed writers left. Nobody may be writing meanwhile."""
        self._store.sweep()
        names = set(self._store.names("files"))
        for name in names:
            folder, _, what = name.rpartition("/")
            if what == "content" and f"{folder}/row" not in names:
                self._store.delete(name)

    def expire(self) -> int:
        """Delete files and ended batches whose time is over; how many."""
        count, now_s = 0, self._now_s()
        for name in self._store.names():
            with suppress(NotFound):  # another has deleted it meanwhile
                count += self._expire(name, now_s)
        return count

    def _expire(self, name: str, now_s: int) -> bool:
        folder, _, what = name.rpartition("/")
        if what == "row":
            row = self._read(name, KeptFile, "file")
            if row.expires_s <= now_s:
                self._delete(folder, ("row", "content"))
                self._room.leave(row.tenant, row.ident)
                return True
        elif what == "state":
            batch = self._read(name, Batch, "batch")
            if batch.status in ENDED and batch.expires_s + self._retention_s <= now_s:
                self._delete(folder, ("state",))
                return True
        return False

    def _sizes(self, tenant: str) -> dict[str, int]:
        sizes: dict[str, int] = {}
        for ident in self._idents("files", tenant):
            with suppress(NotFound):
                sizes[ident] = self.file(tenant, ident).size
        return sizes

    def _now_s(self) -> int:
        return self._clock.now_ms() // 1000

    def _parts(self, batch: Batch) -> list[str]:
        folder = _folder("batches", batch.tenant, batch.ident)
        return [name for name in self._store.names(folder) if "/part-" in name]

    def _idents(self, kind: str, tenant: str) -> list[str]:
        last = "/row" if kind == "files" else "/state"
        names = self._store.names(f"{kind}/{_hashed(tenant)}")
        return [name.split("/")[2] for name in names if name.endswith(last)]

    def _write(self, name: str, value: Any) -> None:
        self._store.put(name, [_encode(value)])

    def _read(self, name: str, kind: type[_T], what: str) -> _T:
        try:
            with self._store.open(name) as reader:
                return msgspec.json.decode(reader.read_at(0, reader.size), type=kind)
        except NotFound as error:
            ident = name.split("/")[2]
            raise NotFound(f"No such {what}: {ident}", reasons=[f"{what}_not_found"]) from error

    def _delete(self, folder: str, names: tuple[str, ...]) -> None:
        for name in names:
            self._store.delete(f"{folder}/{name}")


def lines_of(reader: Reader) -> Iterator[bytes]:
    """The lines of an object without their ends; a last one may have none."""
    rest = b""
    for offset in range(0, reader.size, MIB):
        *lines, rest = (rest + reader.read_at(offset, MIB)).split(b"\n")
        yield from lines
    if rest:
        yield rest


def _after(idents: list[str], after: str, newest_first: bool) -> list[str]:
    """What comes behind `after`. Ids sort by their time, so one that is gone has a place too."""
    ordered = sorted(idents, reverse=newest_first)
    if not after:
        return ordered
    return [row for row in ordered if (row < after if newest_first else row > after)]


def _folder(kind: str, tenant: str, ident: str) -> str:
    if not _IDENT.fullmatch(ident):
        what = "file" if kind == "files" else "batch"
        raise NotFound(f"No such {what}: {ident[:64]}", reasons=[f"{what}_not_found"])
    return f"{kind}/{_hashed(tenant)}/{ident}"


def _hashed(tenant: str) -> str:
    return hashlib.sha256(tenant.encode()).hexdigest()[:32]
