# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Large files in pieces, so that several workers share one.

JSON Lines are cut behind a line feed, paragraphs behind a blank line, WARC between records, Parquet
between row groups. Where a file is cut depends on its content and the recipe alone. A piece knows
how many lines, records or rows stand before it, so names, broken places and documents are those of
the whole file. It is verified by its own digest, one of a table by that of the file, for its footer
rules every piece.

A piece of a compressed file is read from the frame (a member of gzip, a block of bgzip) that begins
before it. Where frames are far apart, as in a file of a single one, the process that leads
decompresses while workers read (`HandOver`): a piece is sealed, read by one worker, and deleted.
"""

import math
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from typing import BinaryIO, cast

import msgspec

from bastide.app.corpus_cut import CUTS, Cutter
from bastide.app.corpus_files import ROW_GROUPS, Chunks, Hashing, InputFile, hash_file
from bastide.app.corpus_objects import compressor
from bastide.app.corpus_plan import Part
from bastide.app.remedies import outside
from bastide.core.limits import MIB
from bastide.ports import SealingStore
from bastide.readers.compressed import Unreadable, framed, is_packed
from bastide.readers.parquet import row_groups
from bastide.readers.reader import Piece

__all__ = ["HandOver", "hash_and_cut", "pieces_about"]


def hash_and_cut(file: InputFile, kind: str, piece_bytes: int) -> InputFile:
    """A file with its digest, and in pieces of at least `piece_bytes` if it is longer than that.

    kind: what its reader calls `pieces`, "" for none. Raises NotFound or Unavailable.
    """
    if file.size <= piece_bytes or not kind:
        return hash_file(file)
    # Before the file is cut: each piece names the annotations that it is read with.
    file = msgspec.structs.replace(file, beside=tuple(map(hash_file, file.beside)))
    try:
        if kind == ROW_GROUPS:
            return _of_groups(hash_file(file), piece_bytes)
        return _of_content(file, kind, piece_bytes)
    except OSError as error:
        raise outside(error, file.name) from error


def pieces_about(file: InputFile, kind: str, piece_bytes: int, expansion: float) -> int:
    """In how many pieces a file would be cut, without reading it; the footer of a table is read.

    expansion: bytes of content for each of a compressed file. Raises NotFound or Unavailable.
    """
    if file.size <= piece_bytes or not kind:
        return 1
    if kind != ROW_GROUPS:
        content = file.size * (expansion if is_packed(file.name) else 1.0)
        return max(1, math.ceil(content / piece_bytes))
    try:
        return max(1, len(_of_groups(file, piece_bytes).pieces))
    except OSError as error:
        raise outside(error, file.name) from error


def _of_content(file: InputFile, kind: str, piece_bytes: int) -> InputFile:
    """Read the file once, for its digest and those of its pieces. One that cannot be decompressed
    is not cut: its reader says where it is broken."""
    cutter = Cutter(file, piece_bytes)
    pieces: tuple[InputFile, ...] = ()
    with file.open() as stream:
        hashing = Hashing(cast(BinaryIO, stream))
        try:
            CUTS[kind](cutter.content(cast(BinaryIO, hashing)), cutter)
            pieces = cutter.close()
        except Unreadable:
            pass
        digest = hashing.finish()
        size = stream.tell()
    return msgspec.structs.replace(file, size=size, digest=digest, pieces=pieces)


class HandOver:
    """Decompresses large files for the workers of a build, a piece whenever one is free."""

    def __init__(self, store: SealingStore, folder: str) -> None:
        self._store = store
        self._folder = folder
        self._stack = ExitStack()
        self._path = ""
        self._plain = Chunks(iter(()))
        self._at = 0

    def parts(self, parts: Iterable[Part]) -> Iterator[Part]:
        """The parts, those with pieces that nobody else can read once these are sealed."""
        with self._stack:
            for part in parts:
                files = [self._held(part, file) for file in part.files]
                yield msgspec.structs.replace(part, files=files)

    def done(self, part: Part) -> None:
        """A part was read."""
        for file in part.files:
            if file.held:
                self._store.delete(file.held)

    def _held(self, part: Part, file: InputFile) -> InputFile:
        if not file.is_handed or file.piece is None:
            return file
        try:
            if self._path != file.path or self._at > file.piece.begin:
                self._open(file)
            self._plain.skip(file.piece.begin - self._at)
            name = f"{self._folder}/unpacked/{part.number:06d}-{file.piece.before}"
            self._store.put(name, self._packed(file.size))
        except OSError as error:
            raise outside(error, file.name) from error
        self._at = file.piece.end
        return msgspec.structs.replace(file, held=name)

    def _open(self, file: InputFile) -> None:
        self._stack.close()
        stream = self._stack.enter_context(file.open())
        self._plain = Chunks(framed(cast(BinaryIO, stream), file.name, lambda at: None))
        self._path, self._at = file.path, 0

    def _packed(self, size: int) -> Iterator[bytes]:
        """So much of the content, compressed; less if the file changed: then its digest says so."""
        stream = compressor().compressobj()
        while size and (data := self._plain.read(min(size, MIB))):
            size -= len(data)
            if packed := stream.compress(data):
                yield packed
        yield stream.flush()


def _of_groups(file: InputFile, piece_bytes: int) -> InputFile:
    with file.open() as stream:
        groups = row_groups(stream)
    pieces = list(_gathered(file, groups, piece_bytes))
    return msgspec.structs.replace(file, pieces=tuple(pieces) if len(pieces) > 1 else ())


def _gathered(
    file: InputFile, groups: list[tuple[int, int]], piece_bytes: int
) -> Iterator[InputFile]:
    """Consecutive row groups until they are so many bytes of the file."""
    total = max(1, sum(size for size, _ in groups))
    begin = held = before = rows = 0
    for at, (size, count) in enumerate(groups, 1):
        held += size
        rows += count
        share = file.size * held // total  # a group says its bytes before compression
        if share >= piece_bytes or at == len(groups):
            piece = Piece(begin, at, before)
            yield InputFile(file.name, file.path, share, file.digest, piece=piece, home=file.home)
            begin, held, before = at, 0, rows
