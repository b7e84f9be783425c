# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""How much of a tenant's room for files is taken. What is being written counts from its start."""

import threading
from collections.abc import Callable, Mapping
from typing import Final

from bastide.core.errors import Full
from bastide.core.limits import FILES_MAX, MIB

__all__ = ["Room"]


class Room:
    """Sizes by tenant and file, in bytes, read once and kept up to date. Safe between threads."""

    def __init__(
        self,
        bytes_max: int,
        read: Callable[[str], Mapping[str, int]],
        files_max: int = FILES_MAX,
    ) -> None:
        self._bytes_max: Final = bytes_max
        self._files_max: Final = files_max
        self._read = read
        self._sizes: dict[str, dict[str, int]] = {}
        self._lock = threading.Lock()

    def take(self, tenant: str, ident: str, size: int) -> None:
        """Take room for a file that a tenant brings. Raises Full if there is too little."""
        with self._lock:
            sizes = self._of(tenant)
            if len(sizes) >= self._files_max:
                raise Full(f"A tenant keeps at most {self._files_max} files: delete some.")
            left = self._bytes_max - sum(sizes.values())
            if size > left:
                most = self._bytes_max // MIB
                raise Full(
                    f"This file has {size} bytes, and {max(0, left)} are left of the {most} MiB"
                    " that a tenant may keep: delete some files."
                )
            sizes[ident] = size

    def note(self, tenant: str, ident: str, size: int) -> None:
        """A file is there with this size, even if that is more than the tenant may bring."""
        with self._lock:
            self._of(tenant)[ident] = size

    def leave(self, tenant: str, ident: str) -> None:
        """A file is not there, or not any more."""
        with self._lock:
            self._sizes.get(tenant, {}).pop(ident, None)

    def verify_some(self, tenant: str) -> None:
        """Raises Full if a tenant has no byte left, so that nothing new should be begun."""
        with self._lock:
            if sum(self._of(tenant).values()) >= self._bytes_max:
                most = self._bytes_max // MIB
                raise Full(f"The {most} MiB that a tenant may keep are full: delete some files.")

    def _of(self, tenant: str) -> dict[str, int]:
        if tenant not in self._sizes:
            self._sizes[tenant] = dict(self._read(tenant))
        return self._sizes[tenant]
