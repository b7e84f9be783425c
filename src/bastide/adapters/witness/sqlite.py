# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""A witness's memory in one SQLite file, durable before anything is answered."""

import contextlib
import json
import sqlite3
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Final

from bastide.core.errors import NotFound, Unavailable
from bastide.core.witnessing import Seen, Watched

__all__ = ["WitnessMemory"]

_REFUSALS_MAX: Final = 1_000  # the newest are kept; each may prove that a log misbehaved
_TABLES: Final = """
CREATE TABLE IF NOT EXISTS log (
    origin TEXT PRIMARY KEY, keys TEXT NOT NULL,
    size INTEGER NOT NULL DEFAULT 0, root BLOB NOT NULL DEFAULT x'', note TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE TABLE IF NOT EXISTS refusal (
    number INTEGER PRIMARY KEY, time_ms INTEGER NOT NULL, origin TEXT NOT NULL,
    reason TEXT NOT NULL, note TEXT NOT NULL
) STRICT;
"""


class WitnessMemory:
    """Logs, their newest cosigned heads, and what was refused. Safe for several processes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with self._connected() as connection:
            connection.executescript(_TABLES)

    def watch(self, origin: str, vkeys: list[str]) -> None:
        """Cosign a log with these keys from now on; what was seen of it stays."""
        with self._connected() as connection, _writing(connection):
            connection.execute(
                "INSERT INTO log (origin, keys) VALUES (?, ?)"
                " ON CONFLICT (origin) DO UPDATE SET keys = excluded.keys",
                (origin, json.dumps(vkeys)),
            )

    def logs(self) -> list[Watched]:
        """Every log, by its origin."""
        with self._connected() as connection:
            return [Watched(*_row(row)) for row in connection.execute(_SELECT + " ORDER BY origin")]

    def log(self, origin: str) -> Watched:
        """One log. Raises NotFound."""
        with self._connected() as connection:
            return _one(connection, origin)

    def advance(self, origin: str, judge: Callable[[Watched], Seen]) -> Seen:
        """Judge what is known of a log, and remember what comes of it, as one step.

        What `judge` raises leaves the memory as it was. Raises NotFound for an unknown log.
        """
        with self._connected() as connection, _writing(connection):
            seen = judge(_one(connection, origin))
            connection.execute(
                "UPDATE log SET size = ?, root = ?, note = ? WHERE origin = ?",
                (seen.size, seen.root, seen.note, origin),
            )
        return seen

    def refuse(self, time_ms: int, origin: str, reason: str, note: str) -> None:
        """Keep a signed head that does not continue the log: it may be proof against it."""
        with self._connected() as connection, _writing(connection):
            connection.execute(
                "INSERT INTO refusal (time_ms, origin, reason, note) VALUES (?, ?, ?, ?)",
                (time_ms, origin, reason, note),
            )
            connection.execute(
                "DELETE FROM refusal WHERE number <= (SELECT max(number) FROM refusal) - ?",
                (_REFUSALS_MAX,),
            )

    def refusals(self) -> list[dict[str, object]]:
        """What was refused, the newest first."""
        names = ("time_ms", "origin", "reason", "note")
        with self._connected() as connection:
            rows = connection.execute(
                f"SELECT {', '.join(names)} FROM refusal ORDER BY number DESC"  # noqa: S608
            )
            return [dict(zip(names, row, strict=True)) for row in rows]

    @contextlib.contextmanager
    def _connected(self) -> Generator[sqlite3.Connection]:
        try:
            connection = sqlite3.connect(self._path, isolation_level=None, timeout=10)
            with contextlib.closing(connection):
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("PRAGMA synchronous = FULL")
                yield connection
        except sqlite3.Error as error:
            raise Unavailable(
                f"{self._path}: {error}", fix="free disk space, then again"
            ) from error


_SELECT: Final = "SELECT origin, keys, size, root, note FROM log"


@contextlib.contextmanager
def _writing(connection: sqlite3.Connection) -> Generator[None]:
    # At once, or two submissions could both read the old size.
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _one(connection: sqlite3.Connection, origin: str) -> Watched:
    row = connection.execute(_SELECT + " WHERE origin = ?", (origin,)).fetchone()
    if row is None:
        raise NotFound(f"the log {origin} is not watched", fix="bastide witness watch keys.json")
    return Watched(*_row(row))


def _row(row: tuple[str, str, int, bytes, str]) -> tuple[str, tuple[str, ...], int, bytes, str]:
    origin, keys, size, root, note = row
    return origin, tuple(json.loads(keys)), size, root, note
