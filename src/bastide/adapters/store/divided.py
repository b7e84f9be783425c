# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Two sealed stores as one: what is only of use while something is made stays near, the rest goes
far."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager

from bastide.core.subject import Digest
from bastide.ports import Reader, SealingStore

__all__ = ["DividedStore"]


class DividedStore:
    """`stays` says of a name, or of a prefix that ends in `/`, whether the near store has it."""

    def __init__(self, near: SealingStore, far: SealingStore, stays: Callable[[str], bool]) -> None:
        self._near, self._far, self._stays = near, far, stays

    def put(self, name: str, chunks: Iterable[bytes | memoryview]) -> int:
        """Write one object and return its size."""
        return self._of(name).put(name, chunks)

    def open(self, name: str) -> AbstractContextManager[Reader]:
        """Open an object. Raises NotFound."""
        return self._of(name).open(name)

    def delete(self, name: str) -> None:
        """Remove an object, if there is one."""
        self._of(name).delete(name)

    def names(self, prefix: str = "") -> list[str]:
        """All names below a prefix, sorted."""
        if self._stays(prefix.rstrip("/") + "/"):
            return self._near.names(prefix)
        near = filter(self._stays, self._near.names(prefix))
        return sorted({*near, *self._far.names(prefix)})

    def header(self, name: str) -> bytes:
        """The age header of an object. Raises NotFound."""
        return self._of(name).header(name)

    def digests(self, name: str) -> tuple[Digest, Digest]:
        """The digests of an object's header and of its body, as stored."""
        return self._of(name).digests(name)

    def export(self, name: str) -> Iterator[bytes]:
        """Header, then body: together a standard age file."""
        return self._of(name).export(name)

    def rewrap(self, name: str) -> None:
        """Give an object a header for the present keys."""
        self._of(name).rewrap(name)

    def header_for(self, name: str, recipient: str) -> bytes:
        """A header of an object for one recipient alone."""
        return self._of(name).header_for(name, recipient)

    def sealed_file(self, name: str, header: bytes) -> AbstractContextManager[Reader]:
        """The age file that a header of this object, made for somebody, and its body are."""
        return self._of(name).sealed_file(name, header)

    def sweep(self, prefix: str = "") -> list[str]:
        """Delete what killed writers left below a prefix. Nobody may be writing there."""
        left = self._near.sweep(prefix)
        if not self._stays(prefix.rstrip("/") + "/"):
            left += self._far.sweep(prefix)
        return left

    def _of(self, name: str) -> SealingStore:
        return self._near if self._stays(name) else self._far
