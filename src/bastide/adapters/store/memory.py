# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""A store in memory. For tests and dry runs: what it holds is gone with the process."""

import contextlib
import threading
from collections.abc import Iterable
from contextlib import AbstractContextManager

from bastide.adapters.store.names import below, check_name
from bastide.core.errors import Misconfigured, NotFound

__all__ = ["MemoryReader", "MemoryStore"]


class MemoryReader:
    """A Reader over bytes."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    @property
    def size(self) -> int:
        """Bytes in the object."""
        return len(self._data)

    def read_at(self, offset: int, length: int) -> bytes:
        """Up to `length` bytes from `offset`."""
        return self._data[offset : offset + length]

    def close(self) -> None:
        """Nothing to free."""


class MemoryStore:
    """Objects in a dictionary."""

    def __init__(self) -> None:
        self._objects: dict[str, bytes] = {}
        self._lock = threading.Lock()

    def put(self, name: str, chunks: Iterable[bytes | memoryview]) -> int:
        """Write one object and return its size."""
        check_name(name)
        data = b"".join(map(bytes, chunks))  # a view may be reused by its owner
        with self._lock:
            for other in self._objects:
                if below(other, name) or below(name, other):
                    raise Misconfigured(
                        f"the name {name} is taken by a folder, or a part of it by an object",
                        fix="choose another name",
                    )
            self._objects[name] = data
        return len(data)

    def open(self, name: str) -> AbstractContextManager[MemoryReader]:
        """Open an object. Raises NotFound."""
        check_name(name)
        try:
            return contextlib.closing(MemoryReader(self._objects[name]))
        except KeyError:
            raise NotFound(f"the store has no object {name}") from None

    def delete(self, name: str) -> None:
        """Remove an object, if there is one."""
        check_name(name)
        with self._lock:
            self._objects.pop(name, None)

    def names(self, prefix: str = "") -> list[str]:
        """All names below a prefix, sorted."""
        with self._lock:
            return sorted(name for name in self._objects if below(name, prefix))
