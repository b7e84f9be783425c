# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The payload of an age file (C2SP age.md, "Payload"): STREAM over ChaCha20-Poly1305.

A payload is a nonce, then chunks of 64 KiB, each with its own tag. The last chunk carries a flag
in its nonce, so a cut file never opens; every chunk opens on its own, so any part can be read.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from bastide.core.errors import NotProven
from bastide.crypto.age.header import derive

__all__ = ["CHUNK_BYTES", "NONCE_BYTES", "Payload", "PayloadReader", "plain_size", "sealed_size"]

CHUNK_BYTES: Final = 64 * 1024
NONCE_BYTES: Final = 16
TAG_BYTES: Final = 16
SEALED_BYTES: Final = CHUNK_BYTES + TAG_BYTES
_BATCH: Final = 16  # chunks per step: 1 MiB keeps memory small and the calls few


def sealed_size(size: int) -> int:
    """Bytes of the payload, nonce included, that seals `size` bytes."""
    chunks = max(1, -(-size // CHUNK_BYTES))
    return NONCE_BYTES + size + chunks * TAG_BYTES


def plain_size(size: int) -> int:
    """Bytes that a payload of `size` bytes opens to. Raises NotProven for an impossible size."""
    chunks, rest = divmod(size - NONCE_BYTES, SEALED_BYTES)
    # A last chunk may be empty only if it is the only one.
    if chunks < 0 or 0 < rest < TAG_BYTES or (rest == TAG_BYTES and chunks > 0) or size == 16:
        raise NotProven("the age payload is cut or has trailing data")
    return chunks * CHUNK_BYTES + max(0, rest - TAG_BYTES)


class Payload:
    """Seals and opens the chunks of one payload."""

    def __init__(self, file_key: bytes, nonce: bytes) -> None:
        self._cipher = ChaCha20Poly1305(derive(file_key, nonce, b"payload"))

    def seal(self, chunks: Iterable[bytes | memoryview]) -> Iterator[bytes]:
        """Seal a stream of any pieces, chunk by chunk."""
        return self._run(chunks, self._seal_chunk, CHUNK_BYTES)

    def open(self, chunks: Iterable[bytes | memoryview]) -> Iterator[bytes]:
        """Open a stream (without its nonce). Raises NotProven; what was yielded is authentic."""
        return self._run(chunks, self._open_chunk, SEALED_BYTES)

    def open_into(self, index: int, last: bool, sealed: memoryview, out: memoryview) -> None:
        """Open one chunk into a buffer of its exact size. Raises NotProven."""
        try:
            self._cipher.decrypt_into(_nonce(index, last), sealed, None, out)
        except (InvalidTag, ValueError) as error:
            raise _broken(index) from error

    def _run(
        self,
        pieces: Iterable[bytes | memoryview],
        convert: Callable[[int, bool, bytearray | memoryview], bytes],
        step: int,
    ) -> Iterator[bytes]:
        # A full chunk waits in `rest` until the next byte tells that it is not the last one.
        index = 0
        rest = bytearray()
        for piece in pieces:
            view = memoryview(piece).cast("B")
            if rest:
                missing = step - len(rest)
                rest += view[:missing]
                view = view[missing:]
                if not view:
                    continue
                yield convert(index, False, rest)
                index += 1
            while len(view) > step:
                yield convert(index, False, view[:step])
                index += 1
                view = view[step:]
            rest = bytearray(view)
        yield convert(index, True, rest)

    def _seal_chunk(self, index: int, last: bool, plain: bytearray | memoryview) -> bytes:
        return self._cipher.encrypt(_nonce(index, last), plain, None)

    def _open_chunk(self, index: int, last: bool, sealed: bytearray | memoryview) -> bytes:
        if len(sealed) <= TAG_BYTES and index > 0:  # only an empty payload ends in an empty chunk
            raise NotProven("the age payload is cut or has trailing data")
        try:
            return self._cipher.decrypt(_nonce(index, last), sealed, None)
        except InvalidTag as error:
            raise _broken(index) from error


class PayloadReader:
    """Random access to a payload behind `read(offset, length)`, which may return less at its end.

    The size is proven when it is built: the last chunk is opened (age.md, "Payload").
    """

    def __init__(
        self, file_key: bytes, read: Callable[[int, int], bytes | memoryview], size: int
    ) -> None:
        self.size: int = plain_size(size)
        self._read = read
        self._payload = Payload(file_key, bytes(self._sealed(0, NONCE_BYTES)))
        self._last = max(0, self.size - 1) // CHUNK_BYTES
        self._cached: tuple[int, bytearray] = (-1, bytearray())
        self._chunk(self._last, memoryview(self._fetch(self._last, 1)))

    def read_at(self, offset: int, length: int) -> bytes:
        """Up to `length` bytes from `offset`; fewer only at the end. Raises NotProven."""
        out = bytearray(max(0, min(length, self.size - offset)))
        self.read_into(offset, memoryview(out))
        return bytes(out)

    def read_into(self, offset: int, out: memoryview) -> int:
        """Fill `out` from `offset`; return the bytes written. Raises NotProven."""
        end = min(offset + len(out), self.size)
        position = offset
        while position < end:
            first = position // CHUNK_BYTES
            count = min((end - 1) // CHUNK_BYTES - first + 1, _BATCH)
            if count == 1 and self._cached[0] == first:
                sealed = memoryview(b"")
            else:
                sealed = memoryview(self._fetch(first, count))
            for index in range(first, first + count):
                start = index * CHUNK_BYTES
                stop = min(start + CHUNK_BYTES, self.size)
                here, there = max(position, start), min(end, stop)
                target = out[here - offset : there - offset]
                place = (index - first) * SEALED_BYTES
                piece = sealed[place : place + stop - start + TAG_BYTES]
                if (here, there) == (start, stop):
                    if self._cached[0] == index:
                        target[:] = self._cached[1]
                    else:
                        self._payload.open_into(index, index == self._last, piece, target)
                else:
                    chunk = self._chunk(index, piece)
                    target[:] = memoryview(chunk)[here - start : there - start]
                position = there
        return max(0, end - offset)

    def close(self) -> None:
        """Nothing to free: whoever gave `read` closes what it reads."""

    def _chunk(self, index: int, sealed: memoryview) -> bytearray:
        """One whole chunk. The newest is kept: readers of headers take small bites."""
        cached, chunk = self._cached
        if cached != index:
            chunk = bytearray(min(CHUNK_BYTES, self.size - index * CHUNK_BYTES))
            self._payload.open_into(index, index == self._last, sealed, memoryview(chunk))
            self._cached = (index, chunk)
        return chunk

    def _fetch(self, index: int, count: int) -> bytes | memoryview:
        start = index * CHUNK_BYTES
        size = min(count * CHUNK_BYTES, self.size - start)
        length = size + count * TAG_BYTES
        return self._sealed(NONCE_BYTES + index * SEALED_BYTES, length)

    def _sealed(self, offset: int, length: int) -> bytes | memoryview:
        data = self._read(offset, length)
        if len(data) != length:
            raise NotProven("the age payload is cut")
        return data


def _broken(index: int) -> NotProven:
    return NotProven(f"chunk {index} of the age payload does not hold")


def _nonce(index: int, last: bool) -> bytes:
    return index.to_bytes(11) + (b"\x01" if last else b"\x00")
