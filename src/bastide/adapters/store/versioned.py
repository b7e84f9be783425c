# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What some stores can do besides the port: replace an object only if it is still the one read."""

from typing import Protocol, runtime_checkable

__all__ = ["VersionedStore"]


@runtime_checkable
class VersionedStore(Protocol):
    """A store that is shared by writers who know nothing of each other."""

    def read_version(self, name: str) -> tuple[bytes, str]:
        """A small object and its version; two empty ones if there is none."""
        ...

    def put_over(self, name: str, data: bytes, version: str) -> bool:
        """Replace that version, or make an object where there was none. False if it changed."""
        ...
