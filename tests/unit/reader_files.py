# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What the tests of readers share: files in memory, files that are made while they are read."""

import gzip
import io
from collections.abc import Iterator
from typing import BinaryIO

import zstandard

from bastide.core.document import Document
from bastide.readers.reader import REASONS, Broken, Reader


class Made(io.RawIOBase):
    """A file that is never in memory as a whole."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._held = b""

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        while not self._held:
            piece = next(self._pieces, None)
            if piece is None:
                return b""
            self._held = piece
        given, self._held = self._held[:size], self._held[size:]
        return given


def read(reader: Reader, raw: bytes | BinaryIO, name: str = "a.jsonl") -> list[Document | Broken]:
    stream = io.BytesIO(raw) if isinstance(raw, bytes) else raw
    found = list(reader.read(stream, "src", name))
    for one in found:
        if isinstance(one, Broken):
            assert one.reason in REASONS
    return found


def faults(found: list[Document | Broken]) -> list[tuple[int, int, str]]:
    return [(one.line, one.byte, one.reason) for one in found if isinstance(one, Broken)]


def texts(found: list[Document | Broken]) -> list[str]:
    return [one.text for one in found if isinstance(one, Document)]


def packed(raw: bytes, suffix: str) -> bytes:
    if suffix == ".gz":
        return gzip.compress(raw, mtime=0)
    return zstandard.compress(raw) if suffix else raw
