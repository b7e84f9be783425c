# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""A store whose headers come from elsewhere: bodies from the inner store, headers as given.

So a node reads objects with headers that were rewrapped to its own key. It has no other.
"""

import contextlib
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager

from bastide.adapters.store.memory import MemoryReader
from bastide.core.errors import NotAllowed, NotFound
from bastide.ports import Reader, Store

__all__ = ["GivenHeaders"]

_HEADER = ".header"


class GivenHeaders:
    """Reads only. What has no given header is not there."""

    def __init__(self, inner: Store, headers: Mapping[str, bytes]) -> None:
        self._inner, self._headers = inner, dict(headers)

    def put(self, name: str, chunks: Iterable[bytes | memoryview]) -> int:
        """Raises NotAllowed."""
        del chunks
        raise NotAllowed(f"a node writes nothing into the store: {name}")

    def open(self, name: str) -> AbstractContextManager[Reader]:
        """Open an object of the inner store, or a given header. Raises NotFound."""
        if not name.endswith(_HEADER):
            return self._inner.open(name)
        given = self._headers.get(name.removesuffix(_HEADER))
        if given is None:
            raise NotFound(f"control gave this node no key to {name.removesuffix(_HEADER)}")
        return contextlib.closing(MemoryReader(given))

    def delete(self, name: str) -> None:
        """Raises NotAllowed."""
        raise NotAllowed(f"a node deletes nothing from the store: {name}")

    def names(self, prefix: str = "") -> list[str]:
        """The headers that were given."""
        return sorted(name + _HEADER for name in self._headers if name.startswith(prefix))
