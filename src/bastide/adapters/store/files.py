# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Readers over plain files: what a person brings, and what the local store keeps."""

import os
import stat
from pathlib import Path

from bastide.core.errors import Misconfigured, NotFound, Unavailable

__all__ = ["FileReader"]


class FileReader:
    """A regular file, opened once: a file put in its place later is never seen.

    Raises NotFound, or Misconfigured for what is not a readable regular file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = -1
        try:
            # O_NONBLOCK: opening a named pipe must not wait for its writer.
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except FileNotFoundError as error:
            raise NotFound(f"there is no file {path}", fix="check the path") from error
        except OSError as error:
            raise Misconfigured(
                f"{path} cannot be opened: {error.strerror}", fix="make it readable for this user"
            ) from error
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            os.close(descriptor)
            raise Misconfigured(f"{path} is not a regular file", fix="name a file")
        self._descriptor = descriptor
        self._size = status.st_size

    @property
    def size(self) -> int:
        """Bytes in the file when it was opened."""
        return self._size

    def read_at(self, offset: int, length: int) -> bytes:
        """Up to `length` bytes from `offset`; fewer only at the end. Raises Unavailable."""
        data = bytearray(max(0, min(length, self._size - offset)))
        count = self.read_into(offset, memoryview(data))
        return bytes(memoryview(data)[:count])

    def read_into(self, offset: int, buffer: memoryview) -> int:
        """Fill a buffer from `offset`; return the bytes read. Raises Unavailable."""
        wanted = max(0, min(len(buffer), self._size - offset))
        count = 0
        try:
            while count < wanted:
                more = os.preadv(self._descriptor, [buffer[count:wanted]], offset + count)
                if not more:  # somebody cut the file: the caller sees fewer bytes than `size`
                    break
                count += more
        except OSError as error:
            raise Unavailable(
                f"{self._path} cannot be read: {error.strerror}", fix="check the disk"
            ) from error
        return count

    def close(self) -> None:
        """Close the file."""
        if self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            os.close(descriptor)
