# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""SQLite sealed by SQLCipher: every page is encrypted and authenticated under one raw key.

A commit is durable when it returns: write-ahead log with ``synchronous=FULL`` (NORMAL lost
acknowledged commits in real power cuts). A transaction begins DEFERRED; with the execution
option ``immediate=True`` it takes the write lock at once, so that what it reads first cannot
be outdated by another process before it writes.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bastide.core.errors import Misconfigured, NotFound, NotProven, Unavailable

if TYPE_CHECKING:
    from sqlalchemy import Engine

__all__ = ["open_records"]

KEY_BYTES = 32
BUSY_TIMEOUT_MS = 10_000
WAL_PAGES = 4_096  # 16 MiB: a large batch does not pay for a WAL checkpoint each time
CONNECTIONS = 4
CONNECTIONS_EXTRA = 28


def open_records(path: Path, key: bytes, readonly: bool = False) -> "Engine":
    """Open the database, and make it if it does not exist (unless `readonly`).

    Raises NotProven if the key is wrong or the file damaged, NotFound if a read-only database does
    not exist, Unavailable if the file cannot be opened.
    """
    from sqlalchemy import create_engine, event
    from sqlalchemy.pool import QueuePool

    if len(key) != KEY_BYTES:
        raise Misconfigured(f"the database key has {len(key)} bytes, not {KEY_BYTES}")
    _prepare(path, readonly)
    engine = create_engine(
        "sqlite://",
        module=_driver(),
        creator=lambda: _connect(path, key, readonly),
        poolclass=QueuePool,
        pool_size=CONNECTIONS,
        max_overflow=CONNECTIONS_EXTRA,
        pool_reset_on_return="rollback",
    )
    event.listen(engine, "begin", _begin)
    engine.connect().close()  # a wrong key is found here, not at the first query
    return engine


def _prepare(path: Path, readonly: bool) -> None:
    if path.exists():
        return
    if readonly:
        raise NotFound(f"there is no database {path}", fix="run `bastide init`")
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)  # the new name must survive a power cut, too
        finally:
            os.close(folder)
    except OSError as error:
        raise Unavailable(f"{path} cannot be made: {error.strerror}") from error


def _connect(path: Path, key: bytes, readonly: bool) -> Any:
    dbapi2 = _driver()
    mode = "ro" if readonly else "rw"
    try:
        connection = dbapi2.connect(
            f"file:{_uri_path(path)}?mode={mode}",
            uri=True,
            timeout=BUSY_TIMEOUT_MS / 1000,
            isolation_level=None,  # transactions begin where `_begin` says so
            check_same_thread=False,  # the pool lends a connection to one thread at a time
            cached_statements=256,
        )
    except dbapi2.Error as error:
        raise Unavailable(f"{path} cannot be opened: {error}") from error
    try:
        _configure(connection, key, readonly)
    except dbapi2.Error as error:
        connection.close()
        raise _translated(error, path) from error
    return connection


def _configure(connection: Any, key: bytes, readonly: bool) -> None:
    # SQLCipher writes to standard error by itself; what went wrong is in our exceptions.
    connection.execute("PRAGMA cipher_log_level = NONE").fetchone()
    # The key comes first: SQLCipher derives nothing from a raw key. It is hex, so it needs no
    # quoting, and PRAGMA takes no parameters.
    connection.execute(f"PRAGMA key = \"x'{key.hex()}'\"")
    connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if not readonly:
        connection.execute("PRAGMA journal_mode = WAL").fetchone()
        connection.execute(f"PRAGMA wal_autocheckpoint = {WAL_PAGES}")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA temp_store = MEMORY")  # no plaintext in a temporary file
    connection.execute("PRAGMA trusted_schema = OFF")


def _driver() -> Any:
    from sqlcipher3 import dbapi2

    return dbapi2


def _translated(error: Exception, path: Path) -> Exception:
    text = str(error)
    if "not a database" in text or "malformed" in text:
        return NotProven(
            f"{path} does not open: the key is wrong or the file is damaged",
            fix="unlock with the passphrase of this environment, or restore a backup",
        )
    fix = "bastide doctor"
    if "readonly" in text:
        fix = "give this user the right to write there"
    elif "disk" in text:  # also where the disk is full: SQLite needs room beside the file to read
        fix = f"free disk space in {path.parent}; `bastide doctor` tries the disk"
    return Unavailable(f"{path} cannot be opened: {text}", fix=fix)


def _begin(connection: Any) -> None:
    immediate = connection.get_execution_options().get("immediate", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")


def _uri_path(path: Path) -> str:
    """The path as SQLite's URI form wants it; only these characters mean something there."""
    text = str(path.absolute())
    return text.replace("%", "%25").replace("?", "%3f").replace("#", "%23")
