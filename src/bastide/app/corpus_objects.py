# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What a build keeps between its phases, as sealed objects of bounded size.

* Segments: records one after the other, compressed; a new object every SEGMENT_BYTES.
* Runs: rows of one width, sorted within each object. Any number of runs is read as one sorted
  stream: an external merge sort, whatever the corpus' size.

Nothing here is written to the disk but through the sealed store.
"""

import heapq
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, TypeVar

import msgspec

from bastide.app.extras import require_extra
from bastide.core.errors import Misconfigured, NotFound, NotProven
from bastide.core.limits import CORPUS_MEMORY_MIB_MAX, CORPUS_MEMORY_MIB_MIN, MIB
from bastide.ports import Reader, SealingStore

__all__ = [
    "FAN",
    "RunWriter",
    "SegmentWriter",
    "bytes_of",
    "compressor",
    "copy_object",
    "find_row",
    "merged_rows",
    "put_rows",
    "put_segment",
    "read_object",
    "read_rows",
    "read_segment",
    "read_segments",
    "row_in",
    "unpacked",
]

_T = TypeVar("_T")

SEGMENT_BYTES: Final = 32 * MIB  # of records, before compression
_RUN_MEMORY: Final = 64 * MIB
_ROW_MEMORY: Final = 56  # of a row beside its bytes: its object, its place in the list
FAN: Final = 128  # runs that are read at once
_CHUNK: Final = 64 * 1024
_READER_MEMORY: Final = 4 * _CHUNK  # of one run that is read: rows, and what they are opened from
_LEVEL: Final = 3
_LENGTH_BYTES: Final = 4


def zstandard() -> Any:
    """The library. Raises Misconfigured if the corpus parts are not installed."""
    require_extra("corpus")
    import zstandard as library

    return library


def compressor() -> Any:
    """A compressor whose output depends on nothing but its input and the library's version."""
    return zstandard().ZstdCompressor(level=_LEVEL, write_checksum=True)


def bytes_of(memory_mib: int) -> int:
    """What `--memory` allows, in bytes. Raises Misconfigured if it is out of range."""
    low, high = CORPUS_MEMORY_MIB_MIN, CORPUS_MEMORY_MIB_MAX
    if not low <= memory_mib <= high:
        raise Misconfigured(f"--memory is not between {low} and {high} MiB")
    return memory_mib * MIB


class SegmentWriter:
    """Writes records below a name: `<name>-0`, `<name>-1`, ..."""

    def __init__(self, store: SealingStore, name: str) -> None:
        self._store = store
        self._name = name
        self._maker = compressor()
        self._pieces: list[bytes] = []
        self._stream: Any = None
        self._size = 0
        self.count = 0

    def add(self, record: bytes) -> None:
        """Add one record; the object before it is durable once it is full."""
        if self._stream is None:
            self._stream = self._maker.compressobj()
        head = len(record).to_bytes(_LENGTH_BYTES, "little")
        self._pieces.append(self._stream.compress(head + record))
        self._size += len(head) + len(record)
        if self._size >= SEGMENT_BYTES:
            self.close()

    def close(self) -> int:
        """Write what is left; the number of objects."""
        if self._stream is not None:
            self._pieces.append(self._stream.flush())
            self._store.put(f"{self._name}-{self.count}", self._pieces)
            self._pieces, self._stream, self._size = [], None, 0
            self.count += 1
        return self.count


def read_segments(store: SealingStore, name: str, count: int, kind: type[_T]) -> Iterator[_T]:
    """The records of `count` segments, in order. Raises NotProven if one was changed."""
    for number in range(count):
        yield from read_segment(store, f"{name}-{number}", kind)


def read_segment(store: SealingStore, name: str, kind: type[_T]) -> Iterator[_T]:
    """The records of one segment, in order. Raises NotProven if it was changed."""
    decoder = msgspec.msgpack.Decoder(kind)
    held = b""
    for piece in unpacked(store, name):
        held += piece
        at = 0
        while len(held) - at >= _LENGTH_BYTES:
            end = at + _LENGTH_BYTES + int.from_bytes(held[at : at + _LENGTH_BYTES], "little")
            if end > len(held):
                break
            yield decoder.decode(memoryview(held)[at + _LENGTH_BYTES : end])
            at = end
        held = held[at:]
    if held:
        raise NotProven(f"{name} ends within a record", fix="restore it from a backup")


def put_segment(store: SealingStore, name: str, records: Iterable[bytes]) -> None:
    """Write records as one segment, whatever their size."""
    stream = compressor().compressobj()

    def pieces() -> Iterator[bytes]:
        for record in records:
            yield stream.compress(len(record).to_bytes(_LENGTH_BYTES, "little") + record)
        yield stream.flush()

    store.put(name, pieces())


def copy_object(store: SealingStore, name: str, target: str) -> None:
    """Seal the content of an object under another name as well. Raises NotFound."""
    with store.open(name) as reader:
        store.put(target, (reader.read_at(offset, MIB) for offset in range(0, reader.size, MIB)))


class RunWriter:
    """Writes rows of one width as sorted runs below a name: `<name>-0`, `<name>-1`, ..."""

    def __init__(
        self,
        store: SealingStore,
        name: str,
        width: int,
        *,
        memory: int = _RUN_MEMORY,
        keep_order: bool = False,
    ) -> None:
        self._store = store
        self._name = name
        self._rows: list[bytes] = []
        self._most = max(1, memory // (width + _ROW_MEMORY))
        self._keep_order = keep_order
        self.count = 0

    def add(self, row: bytes) -> None:
        """Add one row."""
        self._rows.append(row)
        if len(self._rows) >= self._most:
            self.close()

    def close(self) -> int:
        """Write what is left; the number of runs."""
        if self._rows:
            if not self._keep_order:
                self._rows.sort()
            put_rows(self._store, f"{self._name}-{self.count}", self._rows)
            self._rows = []
            self.count += 1
        return self.count


def put_rows(store: SealingStore, name: str, rows: Sequence[bytes] | Iterator[bytes]) -> int:
    """Write rows as one object; its size."""

    def chunks() -> Iterator[bytes]:
        held: list[bytes] = []
        size = 0
        for row in rows:
            held.append(row)
            size += len(row)
            if size >= MIB:
                yield b"".join(held)
                held, size = [], 0
        yield b"".join(held)

    return store.put(name, chunks())


def read_rows(store: SealingStore, name: str, width: int, first: int = 0) -> Iterator[bytes]:
    """The rows of one object, in order, from the row `first` on."""
    with store.open(name) as reader:
        if reader.size % width:
            raise NotProven(f"{name} ends within a row", fix="restore it from a backup")
        yield from _rows_in(reader, width, first, reader.size // width)


def _rows_in(reader: Reader, width: int, first: int, end: int) -> Iterator[bytes]:
    step = max(1, _CHUNK // width) * width
    for offset in range(first * width, end * width, step):
        chunk = reader.read_at(offset, min(step, end * width - offset))
        for at in range(0, len(chunk), width):
            yield chunk[at : at + width]


def _read_span(
    store: SealingStore, name: str, width: int, span: tuple[bytes, bytes]
) -> Iterator[bytes]:
    """The rows of one sorted object from a beginning on, up to another."""
    with store.open(name) as reader:
        if reader.size % width:
            raise NotProven(f"{name} ends within a row", fix="restore it from a backup")
        end = _first_at(reader, width, span[1]) if span[1] else reader.size // width
        yield from _rows_in(reader, width, _first_at(reader, width, span[0]), end)


def _first_at(reader: Reader, width: int, key: bytes) -> int:
    """The first row that does not stand before a key."""
    low, high = 0, reader.size // width
    while low < high:
        middle = (low + high) // 2
        if reader.read_at(middle * width, len(key)) < key:
            low = middle + 1
        else:
            high = middle
    return low


def merged_rows(
    store: SealingStore,
    names: Sequence[str],
    width: int,
    scratch: str,
    memory: int = FAN * _READER_MEMORY,
    span: tuple[bytes, bytes] = (b"", b""),
) -> Iterator[bytes]:
    """The rows of all runs as one sorted stream. `scratch` is a name for what is made between.

    span: where they begin and end; b"" is the very beginning or end.
    """
    names, made = list(names), 0
    temporary: list[str] = []

    def rows(name: str) -> Iterator[bytes]:
        inside = name in temporary or span == (b"", b"")
        return read_rows(store, name, width) if inside else _read_span(store, name, width, span)

    fan = max(2, min(FAN, memory // _READER_MEMORY))
    while len(names) > fan:
        head, names = names[:fan], names[fan:]
        name = f"{scratch}-{made}"
        put_rows(store, name, heapq.merge(*map(rows, head)))
        temporary.append(name)
        names.append(name)
        made += 1
    yield from heapq.merge(*map(rows, names))
    for name in temporary:
        store.delete(name)


def find_row(store: SealingStore, name: str, width: int, key: bytes) -> bytes | None:
    """The first row that begins with a key, in one sorted object; None if there is none."""
    try:
        opened = store.open(name)
    except NotFound:
        return None
    with opened as reader:
        return row_in(reader, width, key)


def row_in(reader: Reader, width: int, key: bytes) -> bytes | None:
    """The first row that begins with a key, in an open object; None if there is none."""
    row = reader.read_at(_first_at(reader, width, key) * width, width)
    return row if row.startswith(key) else None


def read_object(store: SealingStore, name: str) -> bytes:
    """A small object as a whole. Raises NotFound."""
    with store.open(name) as reader:
        return reader.read_at(0, reader.size)


def unpacked(store: SealingStore, name: str) -> Iterator[bytes]:
    """The content of a compressed object. Raises NotProven if it was changed or ends too early."""
    stream = zstandard().ZstdDecompressor().decompressobj()
    with store.open(name) as reader:
        for offset in range(0, reader.size, _CHUNK):
            if piece := stream.decompress(reader.read_at(offset, _CHUNK)):
                yield piece
    if not stream.eof:
        raise NotProven(f"{name} ends too early", fix="restore it from a backup")
