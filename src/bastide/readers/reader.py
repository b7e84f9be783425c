# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Reader: one file format. Bytes go in; documents and broken places come out, in order.

Rules:
* What cannot be read is a `Broken`, never an exception and never silence. Reading goes on behind
  it wherever the format lets it.
* Memory is bounded by the limits, whatever a file says about itself.
* A `Broken` names the place and the reason, and never quotes the text: it may be personal data.
"""

import hashlib
from collections.abc import Iterator
from typing import BinaryIO, ClassVar, Final, Protocol

import msgspec

from bastide.core.document import Document

__all__ = ["REASONS", "Broken", "Piece", "Read", "Reader", "identify"]

# Every reason that a reader may give, and what it means.
REASONS: Final = {
    "not-utf-8": "the bytes are not UTF-8",
    "not-json": "the line is not one sound JSON value",
    "not-an-object": "the line is JSON but no object",
    "duplicate-key": "an object has one key twice",
    "blank": "the line is empty",
    "too-long": "the line, the text or the row is larger than the limit",
    "text-missing": "there is no text",
    "wrong-type": "a field has another type than the format gives it",
    "contradiction": "two fields of a record cannot both be right",
    "surrogate": "a text holds half of a surrogate pair, which UTF-8 cannot carry",
    "not-compressed": "the file is not what its name says (.gz, .zst)",
    "damaged": "the compressed or tabular data is damaged",
    "truncated": "the file ends before its compressed data does",
    "bomb": "the file expands far beyond what text does",
    "not-a-record": "the bytes are no WARC record with an answer of HTTP in it",
    "cut": "the record is not whole",
    "charset": "the bytes are of none of the charsets that they might be",
    "column-missing": "the table has no such column",
}


class Broken(msgspec.Struct, frozen=True):
    """A place that could not be read.

    line: from 1; the row of a table, 0 if the whole file is meant. byte: where the line begins in
    the decompressed file. reason: a key of REASONS. detail: which field, or what the limit is.
    """

    line: int
    byte: int
    reason: str
    detail: str = ""


class Piece(msgspec.Struct, frozen=True):
    """Some of a file, for one worker: a reader that has `pieces` makes of all pieces what it makes
    of the file.

    begin, end: bytes of lines or records, or row groups of a table. before: lines, records or rows
    that stand before.
    """

    begin: int
    end: int
    before: int


Read = Iterator[Document | Broken]


class Reader(Protocol):
    """A format with its settings."""

    ident: ClassVar[str]

    def read(self, stream: BinaryIO, source: str, name: str) -> Read:
        """Read a file from its beginning.

        source: the recipe's name for where it is from. name: the file's path as it is shown; it
        ends in .gz or .zst if the content is compressed. Errors of the disk itself are raised.
        """
        ...


def identify(source: str, name: str, place: int) -> str:
    """The name of a document that has none: 64 hex digits over where it stands."""
    return hashlib.sha256(f"{source}\0{name}\0{place}".encode()).hexdigest()
