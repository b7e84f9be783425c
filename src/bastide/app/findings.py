# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What doctor's checks look at, and what they say."""

from dataclasses import dataclass
from pathlib import Path

from bastide.app.config import Home
from bastide.ports import Clock

__all__ = ["Bench", "Finding", "descendants"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One check: its id, whether it is well (`ok`, `warn`, `bad`), what was seen, the remedy."""

    ident: str
    state: str
    seen: str
    fix: str = ""


@dataclass(frozen=True, slots=True)
class Bench:
    """What the checks look at."""

    home: Home
    passphrase: str | None
    clock: Clock


def descendants(pid: int) -> set[int]:
    """A process and all that it began, and those began."""
    children: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        children.setdefault(int(fields[1]), []).append(int(path.parent.name))
    found, open_ = set(), [pid]
    while open_:
        found.add(here := open_.pop())
        open_ += children.get(here, [])
    return found
