# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What a witness knows of a log."""

from dataclasses import dataclass

__all__ = ["Seen", "Watched"]


@dataclass(frozen=True, slots=True)
class Seen:
    """The newest head that was cosigned. note: the log's signature and the cosignatures."""

    size: int
    root: bytes
    note: str


@dataclass(frozen=True, slots=True)
class Watched:
    """A log: the keys (vkeys) that may sign its heads, and what was seen of it.

    size 0 with an empty note: nothing was seen yet.
    """

    origin: str
    keys: tuple[str, ...]
    size: int
    root: bytes
    note: str
