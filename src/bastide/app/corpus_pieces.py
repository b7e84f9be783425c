# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Large files in pieces, so that several workers share one.

JSON Lines that are not compressed are cut behind a line feed, Parquet between row groups. Where a
file is cut depends on its content and the recipe alone. A piece knows how many lines or rows stand
before it, so names, broken places and documents are those of the whole file. A piece of lines is
verified by its own digest, one of a table by that of the file, for its footer rules every piece.
"""

import hashlib
from collections.abc import Iterator
from typing import Final

import msgspec

from bastide.app.corpus_files import InputFile, hash_file
from bastide.app.remedies import outside
from bastide.core.limits import MIB
from bastide.readers.parquet import row_groups
from bastide.readers.reader import Piece

__all__ = ["hash_and_cut"]

_PACKED: Final = (".gz", ".zst")


def hash_and_cut(file: InputFile, kind: str, piece_bytes: int) -> InputFile:
    """A file with its digest, and in pieces of at least `piece_bytes` if it is longer than that.

    kind: what its reader calls `pieces`, "" for none. Raises NotFound or Unavailable.
    """
    packed = kind == "lines" and file.name.endswith(_PACKED)
    if file.size <= piece_bytes or file.beside or packed or not kind:
        return hash_file(file)
    try:
        if kind == "lines":
            return _of_lines(file, piece_bytes)
        return _of_groups(hash_file(file), piece_bytes)
    except OSError as error:
        raise outside(error, file.name) from error


def _of_lines(file: InputFile, piece_bytes: int) -> InputFile:
    """Read the file once, for its digest and those of its pieces."""
    whole, state = hashlib.sha256(), hashlib.sha256()
    pieces: list[InputFile] = []
    begin = at = before = lines = 0

    def close() -> None:
        piece = Piece(begin, at, before)
        digest = state.hexdigest()
        pieces.append(
            InputFile(file.name, file.path, at - begin, digest, piece=piece, home=file.home)
        )

    with file.open() as stream:
        while chunk := stream.read(min(MIB, piece_bytes)):
            whole.update(chunk)
            # A chunk is no longer than a piece, so no more than one ends in it.
            cut = chunk.find(b"\n", max(0, begin + piece_bytes - at - 1)) + 1
            state.update(chunk[:cut])
            lines += chunk.count(b"\n", 0, cut)
            at += cut
            if cut:
                close()
                begin, before, state = at, lines, hashlib.sha256()
            state.update(chunk[cut:])
            lines += chunk.count(b"\n", cut)
            at += len(chunk) - cut
    if at > begin:
        close()
    cut_up = tuple(pieces) if len(pieces) > 1 else ()
    return msgspec.structs.replace(file, size=at, digest=whole.hexdigest(), pieces=cut_up)


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
