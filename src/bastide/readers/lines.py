# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Lines of a byte stream, each with its number and its place, within bounded memory."""

from collections.abc import Iterator
from typing import BinaryIO, Final

from bastide.core import limits
from bastide.readers.compressed import Unreadable, chunks
from bastide.readers.reader import Broken, Piece

__all__ = ["Line", "lines"]

# number from 1, place of the first byte in the decompressed file, bytes without the line feed
Line = tuple[int, int, bytes]

_BOM: Final = b"\xef\xbb\xbf"


def lines(
    stream: BinaryIO,
    name: str,
    bytes_max: int = limits.CORPUS_LINE_BYTES_MAX,
    piece: Piece | None = None,
) -> Iterator[Line | Broken]:
    """Every line; one that is too long is Broken and takes no memory beyond the limit.

    A byte order mark at the beginning is taken away. A carriage return before the line feed stays:
    JSON counts it as space, and the normalisation knows it. What the decompression cannot go on
    with is one Broken at the place where it stopped, and the end.
    """
    number, begin, at = 1, 0, 0
    if piece is not None:
        number, begin, at = piece.before + 1, piece.begin, piece.begin
    held: list[bytes] = []
    size = 0
    try:
        # A piece of a compressed file comes decompressed.
        for chunk in chunks(stream, name if piece is None else ""):
            start = 0
            while (end := chunk.find(b"\n", start)) >= 0:
                size += end - start
                if size > bytes_max:
                    yield Broken(number, begin, "too-long", f"over {bytes_max} bytes")
                else:
                    line = b"".join(held) + chunk[start:end] if held else chunk[start:end]
                    yield number, begin, line if begin else line.removeprefix(_BOM)
                held.clear()
                size, start = 0, end + 1
                number, begin = number + 1, at + start
            size += len(chunk) - start
            if size > bytes_max:
                held.clear()
            elif start < len(chunk):
                held.append(chunk[start:])
            at += len(chunk)
    except Unreadable as error:
        # A line that lost its end must not pass for a whole one.
        yield Broken(number, begin, error.reason, error.detail)
        return
    if size > bytes_max:
        yield Broken(number, begin, "too-long", f"over {bytes_max} bytes")
    elif line := b"".join(held) if begin else b"".join(held).removeprefix(_BOM):
        yield number, begin, line
