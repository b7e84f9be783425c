# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What some readers can do besides the port: fill the caller's buffer without a copy."""

from typing import Protocol, runtime_checkable

__all__ = ["FillingReader"]


@runtime_checkable
class FillingReader(Protocol):
    """A Reader that also reads straight into a buffer."""

    def read_into(self, offset: int, buffer: memoryview) -> int:
        """Fill `buffer` from `offset`; return the bytes read, fewer only at the end."""
        ...
