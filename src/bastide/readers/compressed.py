# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Decompressed chunks of a .gz (RFC 1952) or .zst (RFC 8878) file of any number of members.

No step makes more than OUTPUT bytes at once, and a file that expands beyond what text can is a
bomb. A file that ends within a member is reported: many libraries pass over that in silence.
"""

import zlib
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, Final

from bastide.core import limits

__all__ = ["Unreadable", "chunks", "framed", "is_packed"]

_INPUT: Final = 1 << 16
_OUTPUT: Final = 1 << 20
# One zstd block may be 4 bytes that stand for 128 KiB, and the binding has no bound on its output.
_ZSTD_INPUT: Final = 1 << 10
_GZIP: Final = b"\x1f\x8b"
# RFC 8878: a frame, or one of sixteen kinds of skippable frame.
_ZSTD: Final = b"\x28\xb5\x2f\xfd"
_SKIPPABLE: Final = b"\x2a\x4d\x18"


class Unreadable(Exception):
    """Nothing more can be read of this file. `reason` is one of reader.REASONS."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.detail = detail


def is_packed(name: str) -> bool:
    """Whether a file's name says that its content is compressed."""
    return name.endswith((".gz", ".zst", ".zstd"))


def framed(
    stream: BinaryIO, name: str, begun: Callable[[int], None], *, bounded: bool = True
) -> Iterator[bytes]:
    """As `chunks` of a compressed file. begun: told where each frame or member begins, after all
    content before it was given. bounded: not from within a file that was judged as a whole.
    """
    pieces = _gzip(stream, begun) if name.endswith(".gz") else _zstd(stream, begun)
    return _bounded(pieces) if bounded else (piece for _, piece in pieces if piece)


def chunks(stream: BinaryIO, name: str) -> Iterator[bytes]:
    """The content of a file, decompressed as the end of its name says.

    Raises Unreadable after the last sound byte.
    """
    if name.endswith(".gz"):
        return _bounded(_gzip(stream))
    if name.endswith((".zst", ".zstd")):
        return _bounded(_zstd(stream))
    return iter(lambda: stream.read(_OUTPUT), b"")


def _bounded(pieces: Iterator[tuple[int, bytes]]) -> Iterator[bytes]:
    """Pieces as long as what came out stands in proportion to what went in."""
    taken = given = 0
    for read, piece in pieces:
        taken += read
        given += len(piece)
        free = limits.CORPUS_EXPANDED_BYTES_FREE
        if given > free and given > taken * limits.CORPUS_EXPANSION_MAX:
            ratio = f"more than {limits.CORPUS_EXPANSION_MAX} times its size"
            raise Unreadable("bomb", ratio)
        if piece:
            yield piece


def _gzip(
    stream: BinaryIO, told: Callable[[int], None] = lambda at: None
) -> Iterator[tuple[int, bytes]]:
    member: Any = None
    begun = False
    held = b""
    taken = 0
    while True:
        raw = b"" if held else stream.read(_INPUT)
        read, held = len(raw), held or raw
        if member is None:
            if not held:
                return
            read, held = _at_least(len(_GZIP), stream, read, held)
            if not held.startswith(_GZIP):
                raise Unreadable("damaged" if begun else "not-compressed")
            told(taken + read - len(held))
            member, begun = zlib.decompressobj(wbits=31), True
        try:
            # With no input left there may yet be output that the bound held back.
            piece = member.decompress(held, _OUTPUT)
        except zlib.error as error:
            raise Unreadable("damaged") from error
        if not held and not piece and not member.eof:
            raise Unreadable("truncated")
        held = member.unconsumed_tail
        if member.eof:
            held, member = member.unused_data, None
        taken += read
        yield read, piece


def _zstd(
    stream: BinaryIO, told: Callable[[int], None] = lambda at: None
) -> Iterator[tuple[int, bytes]]:
    import zstandard

    maker = zstandard.ZstdDecompressor(max_window_size=limits.CORPUS_ZSTD_WINDOW_BYTES_MAX)
    frame: Any = None
    begun = False
    held = b""
    taken = 0  # of the file, but for what `read` has
    while raw := stream.read(_INPUT):
        read, held = len(raw), held + raw
        while held:
            if frame is None:
                read, held = _at_least(len(_ZSTD), stream, read, held)
                if not held.startswith(_ZSTD) and held[1:4] != _SKIPPABLE:
                    raise Unreadable("damaged" if begun else "not-compressed")
                told(taken + read - len(held))
                frame, begun = maker.decompressobj(), True
            begin, pieces = 0, memoryview(held)
            while begin < len(held) and not frame.eof:
                try:
                    piece = frame.decompress(pieces[begin : begin + _ZSTD_INPUT])
                except zstandard.ZstdError as error:
                    raise Unreadable("damaged") from error
                begin += _ZSTD_INPUT
                yield read, piece
                taken, read = taken + read, 0
            held = held[begin:]
            if frame.eof:
                held, frame = frame.unused_data + held, None
    if frame is not None:
        raise Unreadable("truncated")


def _at_least(count: int, stream: BinaryIO, read: int, held: bytes) -> tuple[int, bytes]:
    """Read on until so many bytes are there, or the file ends."""
    while len(held) < count and (more := stream.read(_INPUT)):
        read, held = read + len(more), held + more
    return read, held
