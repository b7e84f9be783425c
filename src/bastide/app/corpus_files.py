# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The files of a build: what they are, how they are hashed, and how one is read with what stands
beside it."""

import hashlib
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from io import BufferedReader
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

import msgspec

from bastide.app.config import Home
from bastide.app.corpus_objects import unpacked
from bastide.app.remedies import outside
from bastide.app.wiring_store import far_files
from bastide.core.bucket import SCHEME
from bastide.core.errors import Refused
from bastide.core.limits import MIB
from bastide.filters.pseudonym import pseudonym
from bastide.ports import SealingStore
from bastide.readers.compressed import Unreadable, framed, is_packed
from bastide.readers.openeurollm import Annotations, Tally, load_annotations
from bastide.readers.reader import Piece, Read

__all__ = [
    "ROW_GROUPS",
    "Chunks",
    "Hashing",
    "InputFile",
    "changed",
    "content_of",
    "hash_file",
    "read_file",
]


ROW_GROUPS: Final = "row-groups"  # pieces that are no ranges of bytes


class InputFile(msgspec.Struct, frozen=True):
    """One file of a source. name: its path relative to the recipe. digest: "" until it is known.

    kind: of an annotation, its name. beside: the annotations that are read with the file.
    settings: the reader's for this file; of an annotation, what its FILE.made-for.json says.
    pieces: files of one piece each that together are this one, if it is large and can be cut.
    piece: what this is of a larger file; size and digest are then those of what is read.
    home: for a path that begins with ``s3://``, the home whose settings say how to get there.
    frame: of a piece of a compressed file: where a frame begins in it from which the piece can be
    read, and that frame's place in the content. held: the object that holds the piece instead.
    """

    name: str
    path: str
    size: int
    digest: str = ""
    kind: str = ""
    beside: tuple["InputFile", ...] = ()
    settings: dict[str, Any] = {}
    pieces: tuple["InputFile", ...] = ()
    piece: Piece | None = None
    home: str = ""
    frame: tuple[int, int] | None = None
    held: str = ""

    @property
    def is_handed(self) -> bool:
        """Whether the process that leads must decompress it: no frame begins near it."""
        return self.piece is not None and is_packed(self.name) and self.frame is None

    def open(self) -> BufferedReader:
        """The whole file, to read and to seek in. Raises OSError, NotFound or Unavailable."""
        if not self.home:
            return Path(self.path).open("rb")
        bucket, _, key = self.path.removeprefix(SCHEME).partition("/")
        return far_files(Home(Path(self.home)), SCHEME + bucket).open(key)

    @property
    def identity(self) -> list[Any]:
        """What a build's name is made of. Files of nothing but text keep the names they had."""
        row: list[Any] = [self.name, self.size, self.digest]
        if self.kind or self.beside or self.settings:
            row += [self.kind, self.settings, [one.identity for one in self.beside]]
        return row


def hash_file(file: InputFile) -> InputFile:
    """A file and what stands beside it, with digests. Raises NotFound or Unavailable."""
    try:
        with file.open() as stream:
            size = stream.seek(0, 2)
            stream.seek(0)
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise outside(error, file.name) from error
    beside = tuple(hash_file(one) for one in file.beside)
    return msgspec.structs.replace(file, size=size, digest=digest, beside=beside)


def read_file(
    reader: Any,
    stream: BinaryIO,
    source: str,
    file: InputFile,
    key: bytes,
    tally: Tally | None = None,
) -> Read:
    """Read a file, or a piece of one, with its annotations. `key` is for pseudonyms.

    tally: of an annotated piece, for `verify_tally` over all of them. Raises Refused if an
    annotation is not the one that was hashed.
    """
    mask = partial(pseudonym, key)
    if not file.beside:
        more = (file.piece,) if file.piece is not None else ()
        yield from reader.read(stream, source, file.name, *more)
    elif file.piece is None:
        with _opened(file, source) as beside:
            yield from reader.read_beside(stream, source, file.name, beside, mask)
    else:
        found = _annotations(file, source)
        told = tally if tally is not None else Tally()
        yield from reader.read_joined(stream, source, file.name, found, mask, told, file.piece)


@contextmanager
def _opened(file: InputFile, source: str) -> Generator[dict[str, tuple[str, BinaryIO]]]:
    """The annotations of a file, each with its name. Raises Refused if one changed."""
    with ExitStack() as stack:
        beside = {one.kind: (one.name, stack.enter_context(one.open())) for one in file.beside}
        for one in file.beside:
            if one.digest:
                own = beside[one.kind][1]
                if hashlib.file_digest(own, "sha256").hexdigest() != one.digest:
                    raise changed(one.name, source)
                own.seek(0)
        yield cast(dict[str, tuple[str, BinaryIO]], beside)


# Of the last annotated file of which this process read a piece: others follow.
_held: dict[tuple[str, ...], Annotations] = {}


def _annotations(file: InputFile, source: str) -> Annotations:
    digests = tuple(one.digest for one in file.beside)
    if digests not in _held:
        _held.clear()  # first, for two of them would be too many
        with _opened(file, source) as beside:
            _held[digests] = load_annotations(file.name, beside)
    return _held[digests]


@contextmanager
def content_of(store: SealingStore, file: InputFile, kind: str) -> Generator[BinaryIO]:
    """What a reader gets: the file, or no more than the bytes of its piece, decompressed."""
    if file.held:
        yield cast(BinaryIO, Chunks(unpacked(store, file.held)))
        return
    with file.open() as stream:
        if file.piece is None or kind == ROW_GROUPS:
            yield stream
        elif file.frame is None:
            stream.seek(file.piece.begin)
            yield cast(BinaryIO, _Section(stream, file.size))
        else:
            at, place = file.frame
            stream.seek(at)
            plain = Chunks(framed(stream, file.name, lambda begin: None, bounded=False))
            plain.skip(file.piece.begin - place)
            yield cast(BinaryIO, _Section(cast(BinaryIO, plain), file.size))


class Chunks:
    """Chunks of bytes as a file that is read once. What cannot be decompressed is its end: whoever
    reads it knows the digest that it must have."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._held = b""

    def read(self, size: int = -1) -> bytes:
        """At most so many bytes, and of those that are at hand; of a negative size, all."""
        if size < 0:
            return b"".join(iter(lambda: self.read(MIB), b""))
        while not self._held:
            try:
                self._held = next(self._chunks)
            except (StopIteration, Unreadable):
                return b""
        data, self._held = self._held[:size], self._held[size:]
        return data

    def skip(self, size: int) -> None:
        """Pass over so many bytes."""
        while size and (data := self.read(min(size, MIB))):
            size -= len(data)


class _Section:
    """So many bytes of a file, from where it stands."""

    def __init__(self, stream: BinaryIO, size: int) -> None:
        self._stream = stream
        self._left = size

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(self._left if size < 0 else min(size, self._left))
        self._left -= len(data)
        return data


def changed(name: str, source: str) -> Refused:
    """The refusal of a file that is not the one that was hashed."""
    return Refused(
        f"{name} changed while it was read",
        reasons=(f"{source}: another digest than when the build began",),
        fix="run the build again when nobody writes to the file",
    )


class Hashing:
    """A file that hashes what is read of it. Who jumps around in it has it hashed at the end."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._state = hashlib.sha256()
        self._straight = True

    def read(self, size: int = -1) -> bytes:
        """Read, and hash what was read."""
        data = self._stream.read(size)
        if self._straight:
            self._state.update(data)
        return data

    def seek(self, offset: int, whence: int = 0) -> int:
        """Jump; `finish` then reads the whole file once more."""
        self._straight = False
        return self._stream.seek(offset, whence)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def finish(self) -> str:
        """The digest of the whole file."""
        if not self._straight:
            self._stream.seek(0)
            self._state = hashlib.sha256()
        while data := self._stream.read(MIB):
            self._state.update(data)
        return self._state.hexdigest()
