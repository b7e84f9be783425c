# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Where large files are cut: behind a line, behind a blank line, or between records of a crawl.

A cut depends on the content and on the length of a piece alone, not on how the bytes come. A
reader that begins there makes what it would make of the whole file from there on.
"""

import hashlib
import re
from collections import deque
from collections.abc import Callable, Iterator
from types import MappingProxyType
from typing import BinaryIO, Final

import msgspec

from bastide.app.corpus_files import InputFile
from bastide.core.limits import MIB
from bastide.readers.compressed import Unreadable, framed, is_packed
from bastide.readers.reader import Piece
from bastide.readers.warc import record_ends

__all__ = ["CUTS", "Cutter"]

_BLANK_BYTES: Final = 1_000  # of space in a blank line behind which is cut
_BLANK: Final = re.compile(rb"\n[ \t\r\x0b\x0c]{0,%d}\n" % _BLANK_BYTES)


class Cutter:
    """Makes pieces of content: it is told what was taken of it, and where it may be cut."""

    def __init__(self, file: InputFile, piece_bytes: int) -> None:
        self._file = file
        self._piece_bytes = piece_bytes
        self._pieces: list[InputFile] = []
        self._begin = self._before = self._at = self._made = 0
        self._state = hashlib.sha256()
        # Frames that begin where something will be taken, and the last one before: of the file,
        # and of the content. Of those behind only the one is remembered that a piece is read from.
        self._frames: deque[tuple[int, int]] = deque()
        self._own: tuple[int, int] | None = None
        self._near = self._sound = True

    @property
    def left(self) -> int:
        """How many bytes the present piece needs before it may end."""
        return max(0, self._begin + self._piece_bytes - self._at)

    def content(self, stream: BinaryIO) -> Iterator[bytes]:
        """All of the file, decompressed. Raises Unreadable; then there are no pieces."""
        name = self._file.name
        chunks: Iterator[bytes] = iter(lambda: stream.read(MIB), b"")
        if is_packed(name):
            chunks = framed(stream, name, self._frame)
        try:
            for chunk in chunks:
                self._made += len(chunk)
                yield chunk
        except Unreadable:
            self._sound = False
            raise

    def take(self, data: bytes) -> None:
        """The next of the content."""
        first = self._at == self._begin
        if first and data:
            self._pass()
            self._own = self._frames[0] if self._frames else None
        self._state.update(data)
        self._at += len(data)
        self._pass()

    def cut(self, before: int) -> None:
        """Here the file may be cut. before: lines or records so far."""
        if not self.left:
            self._end()
            self._begin, self._before, self._state = self._at, before, hashlib.sha256()

    def close(self) -> tuple[InputFile, ...]:
        """The pieces; none if it is only one, or if the content could not be read to its end."""
        if self._at > self._begin:
            self._end()
        if len(self._pieces) < 2 or not self._sound:
            return ()
        if self._near:
            return tuple(self._pieces)
        return tuple(msgspec.structs.replace(one, frame=None) for one in self._pieces)

    def _frame(self, place: int) -> None:
        self._frames.append((place, self._made))

    def _pass(self) -> None:
        while len(self._frames) > 1 and self._frames[1][1] <= self._at:
            self._frames.popleft()

    def _end(self) -> None:
        file = self._file
        if self._own is not None and self._begin - self._own[1] > self._piece_bytes:
            self._near = False
        self._pieces.append(
            InputFile(
                file.name,
                file.path,
                self._at - self._begin,
                self._state.hexdigest(),
                piece=Piece(self._begin, self._at, self._before),
                home=file.home,
                beside=file.beside,
                settings=file.settings,
                frame=self._own,
            )
        )


def _lines(content: Iterator[bytes], cutter: Cutter) -> None:
    """Behind a line feed."""
    lines = 0
    for chunk in content:
        at = 0
        while cut := chunk.find(b"\n", at + max(0, cutter.left - 1)) + 1:
            cutter.take(chunk[at:cut])
            lines += chunk.count(b"\n", at, cut)
            cutter.cut(lines)
            at = cut
        cutter.take(chunk[at:])
        lines += chunk.count(b"\n", at)


def _paragraphs(content: Iterator[bytes], cutter: Cutter) -> None:
    """Behind a blank line, where no document goes on."""
    lines, held = 0, b""
    for chunk in content:
        held += chunk
        at = 0
        while found := _BLANK.search(held, at + max(0, cutter.left - 1)):
            cutter.take(held[at : found.end()])
            lines += held.count(b"\n", at, found.end())
            cutter.cut(lines)
            at = found.end()
        # What may yet be the beginning of a blank line is looked at with what follows.
        edge = max(at, len(held) - _BLANK_BYTES - 2)
        cutter.take(held[at:edge])
        lines += held.count(b"\n", at, edge)
        held = held[edge:]
    cutter.take(held)


def _records(content: Iterator[bytes], cutter: Cutter) -> None:
    """Behind a record that is whole."""
    for records in record_ends(content, cutter.take):
        cutter.cut(records)


# By what a reader calls `pieces`.
CUTS: Final = MappingProxyType[str, Callable[[Iterator[bytes], Cutter], None]](
    {"lines": _lines, "paragraphs": _paragraphs, "records": _records}
)
