# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Files of other people in a bucket, in clear: texts that a corpus is made of, and exports of it.

They have names of any kind and are not sealed, so this is no `Store`. A file is read by ranges of
one version; one that is written appears when all of it is there.
"""

import io
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any, BinaryIO, Final, cast

import obstore

from bastide.adapters.store.s3 import PART_BYTES, PARTS_AT_ONCE, S3Store
from bastide.core.bucket import Bucket
from bastide.core.errors import NotFound
from bastide.core.limits import MIB
from bastide.ports import Reader

__all__ = ["BucketFiles"]

_MARK: Final = "bastide-made-of"  # a field of the object's own metadata
_BUFFER_BYTES: Final = MIB


class BucketFiles:
    """The files below the prefix of a bucket. Raises Unavailable, Misconfigured, NotFound."""

    def __init__(self, account: Callable[[], Bucket]) -> None:
        self._store = S3Store(account)

    def sizes(self, prefix: str = "") -> list[tuple[str, int]]:
        """Names that begin so, up to a `/`, with bytes; sorted."""
        return self._store.sizes(prefix)

    def open(self, name: str) -> io.BufferedReader:
        """A file to read and to seek in; memory is bounded. Raises NotFound."""
        return io.BufferedReader(_Reading(self._store.open_any(name)), _BUFFER_BYTES)

    def mark(self, name: str) -> str:
        """What was said when a file was written of what it is made of; "" if nothing."""
        try:
            return str(self._store.attributes(name).get(_MARK, ""))
        except NotFound:
            return ""

    @contextmanager
    def writing(self, name: str, mark: str = "") -> Generator[BinaryIO]:
        """A file that is there when the block ends well, and not at all otherwise."""
        attributes: Any = {_MARK: mark} if mark else None
        with (
            self._store.naming(f"write {name}"),
            obstore.open_writer(
                self._store.objects,
                name,
                attributes=attributes,
                buffer_size=PART_BYTES,
                max_concurrency=PARTS_AT_ONCE,
            ) as writer,
        ):
            yield cast(BinaryIO, _Writing(writer))


class _Reading(io.RawIOBase):
    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        begin = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._reader.size}[whence]
        self._at = max(0, begin + offset)
        return self._at

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        data = self._reader.read_at(self._at, len(view))
        view[: len(data)] = data
        self._at += len(data)
        return len(data)


class _Writing(io.RawIOBase):
    """Closing it makes nothing visible: the end of the block does."""

    def __init__(self, writer: Any) -> None:
        self._writer = writer
        self._at = 0

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def write(self, data: Any) -> int:
        count = self._writer.write(bytes(data))
        self._at += count
        return count
