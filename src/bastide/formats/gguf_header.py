# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The header of a GGUF file, read within bounds of bytes, memory and steps.

Rules:
* One buffer, which grows by doubling up to GGUF_HEADER_BYTES_MAX; every step of a loop consumes
  bytes of it, so the work is bounded by the buffer whatever a count claims.
* The items of arrays are counted and skipped, not made into objects; `Array` says where they are.
* A fault of structure ends the reading, because nothing after it can be trusted.
"""

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from bastide.core import limits
from bastide.formats.faults import Faults
from bastide.formats.summary import Source

__all__ = ["ARRAY", "BOOL", "FLOAT32", "INT32", "STRING", "UINT32", "Array", "Entry", "Header"]
__all__ += ["TensorInfo", "read_header"]

UINT32, INT32, FLOAT32, BOOL, STRING, ARRAY = 4, 5, 6, 7, 8, 9
_SCALARS: Final[Mapping[int, struct.Struct]] = {
    0: struct.Struct("<B"),
    1: struct.Struct("<b"),
    2: struct.Struct("<H"),
    3: struct.Struct("<h"),
    UINT32: struct.Struct("<I"),
    INT32: struct.Struct("<i"),
    FLOAT32: struct.Struct("<f"),
    BOOL: struct.Struct("<B"),
    10: struct.Struct("<Q"),
    11: struct.Struct("<q"),
    12: struct.Struct("<d"),
}
_LENGTH: Final = struct.Struct("<Q")
_FIRST_READ: Final = 256 * limits.KIB


class Array(NamedTuple):
    """Where an array's items are in the header, and how many: bytes `start` to `end`."""

    item: int
    count: int
    start: int
    end: int


class Entry(NamedTuple):
    """One key's value: its GGUF type, and the number, text or Array."""

    kind: int
    value: Any


class TensorInfo(NamedTuple):
    """One tensor as the header describes it; `offset` counts from the start of the data."""

    name: str
    shape: tuple[int, ...]
    kind: int
    offset: int

    @property
    def items(self) -> int:
        """How many numbers it holds."""
        return math.prod(self.shape)


@dataclass(frozen=True, slots=True)
class Header:
    """Everything before the data. `buffer` holds its bytes, `end` is where it ends."""

    metadata: Mapping[str, Entry]
    tensors: tuple[TensorInfo, ...]
    buffer: bytearray
    end: int


def read_header(source: Source, faults: Faults) -> Header:
    """Read the whole header. Raises Refused where its structure breaks."""
    cursor = _Cursor(source, faults)
    cursor.skip(4)  # the magic, which `identify` has read
    version = cursor.number(UINT32)
    if version != 3:
        swapped = " (it is big-endian)" if version == 3 << 24 else ""
        raise faults.fatal(f"version {version} is not supported, only 3{swapped}")
    tensor_count, entry_count = cursor.number(10), cursor.number(10)
    if not 0 < tensor_count <= limits.GGUF_TENSORS_MAX:
        raise faults.fatal(f"{tensor_count} tensors are not in 1..{limits.GGUF_TENSORS_MAX}")
    if not 0 < entry_count <= limits.GGUF_METADATA_MAX:
        raise faults.fatal(f"{entry_count} keys are not in 1..{limits.GGUF_METADATA_MAX}")
    metadata: dict[str, Entry] = {}
    for _ in range(entry_count):
        key = cursor.name("key", limits.GGUF_KEY_BYTES_MAX)
        if key in metadata:
            faults.add(f"the key {key} is there twice")
        metadata[key] = cursor.entry(key)
    tensors: dict[str, TensorInfo] = {}
    for _ in range(tensor_count):
        tensor = cursor.tensor()
        if tensor.name in tensors:
            faults.add(f"the tensor {tensor.name} is there twice")
        tensors[tensor.name] = tensor
    if len(tensors) != tensor_count:
        raise faults.refusal()
    return Header(metadata, tuple(tensors.values()), cursor.buffer, cursor.position)


class _Cursor:
    """A position in the header, and the part of the header that has been read."""

    def __init__(self, source: Source, faults: Faults) -> None:
        self._source = source
        self._faults = faults
        self._text_bytes = 0
        self.buffer = bytearray()
        self.position = 0

    def _reach(self, end: int) -> None:
        """Have the bytes up to `end` in the buffer."""
        have = len(self.buffer)
        if end <= have:
            return
        if end > self._source.size:
            raise self._faults.fatal("the file ends inside its header")
        if end > limits.GGUF_HEADER_BYTES_MAX:
            raise self._faults.fatal(f"the header is over {limits.GGUF_HEADER_BYTES_MAX} bytes")
        ahead = min(max(end, 2 * have, _FIRST_READ), limits.GGUF_HEADER_BYTES_MAX)
        self.buffer += self._source.read_at(have, min(ahead, self._source.size) - have)
        if len(self.buffer) < end:
            raise self._faults.fatal("the file ends before its stated size")

    def skip(self, length: int) -> int:
        """Move on by `length` bytes and return where they start."""
        start = self.position
        self._reach(start + length)
        self.position = start + length
        return start

    def number(self, kind: int) -> int:
        form = _SCALARS[kind]
        start = self.skip(form.size)
        return form.unpack_from(self.buffer, start)[0]

    def _bytes(self, what: str, longest: int) -> bytes:
        length = self.number(10)
        if length > longest:
            raise self._faults.fatal(f"{what} of {length} bytes is longer than {longest}")
        start = self.skip(length)
        return bytes(self.buffer[start : self.position])

    def name(self, what: str, longest: int) -> str:
        """A name of visible ASCII characters, as all known keys and tensors have."""
        raw = self._bytes(f"a {what}", longest)
        if not raw or not all(0x20 < byte < 0x7F for byte in raw):
            raise self._faults.fatal(f"the {what} {raw[:64]!r} is empty or not plain ASCII")
        return raw.decode("ascii")

    def entry(self, key: str) -> Entry:
        kind = self.number(UINT32)
        if kind == STRING:
            raw = self._bytes(f"the text of {key}", limits.GGUF_STRING_BYTES_MAX)
            self._text_bytes += len(raw)
            if self._text_bytes > limits.GGUF_TEXT_BYTES_MAX:
                raise self._faults.fatal(f"texts of over {limits.GGUF_TEXT_BYTES_MAX} bytes")
            try:
                return Entry(kind, raw.decode("utf-8"))
            except UnicodeDecodeError:
                self._faults.add(f"the text of {key} is not UTF-8")
                return Entry(kind, "")
        if kind == ARRAY:
            return Entry(kind, self._array(key))
        if kind not in _SCALARS:
            raise self._faults.fatal(f"{key} has the unknown type {kind}")
        value = self.number(kind)
        if kind == BOOL and value > 1:
            self._faults.add(f"{key} is neither true nor false")
        if isinstance(value, float) and not math.isfinite(value):
            self._faults.add(f"{key} is not a finite number")
        return Entry(kind, value)

    def _array(self, key: str) -> Array:
        item, count = self.number(UINT32), self.number(10)
        if count > limits.GGUF_ARRAY_ITEMS_MAX:
            raise self._faults.fatal(f"{key} claims {count} items")
        start = self.position
        if item == STRING:
            self._skip_strings(key, count)
        elif item in _SCALARS:
            self.skip(_SCALARS[item].size * count)
            if item == BOOL and bytes(self.buffer[start : self.position]).strip(b"\0\1"):
                self._faults.add(f"{key} has items that are neither true nor false")
        else:
            raise self._faults.fatal(f"{key} is an array of the unknown or nested type {item}")
        return Array(item, count, start, self.position)

    def _skip_strings(self, key: str, count: int) -> None:
        position, buffer, have = self.position, self.buffer, len(self.buffer)
        length_at = _LENGTH.unpack_from
        for _ in range(count):
            if position + 8 > have:
                self._reach(position + 8)
                have = len(buffer)
            (length,) = length_at(buffer, position)
            position += 8 + length
            if position > have:
                if length > limits.GGUF_STRING_BYTES_MAX:
                    raise self._faults.fatal(f"an item of {key} claims {length} bytes")
                self._reach(position)
                have = len(buffer)
        self.position = position

    def tensor(self) -> TensorInfo:
        name = self.name("tensor name", limits.GGUF_NAME_BYTES_MAX)
        dimensions = self.number(UINT32)
        if not 0 < dimensions <= limits.GGUF_DIMENSIONS_MAX:
            raise self._faults.fatal(f"the tensor {name} has {dimensions} dimensions")
        start = self.skip(8 * dimensions + 12)
        *shape, kind, offset = struct.unpack_from(f"<{dimensions}QIQ", self.buffer, start)
        return TensorInfo(name, tuple(shape), kind, offset)
