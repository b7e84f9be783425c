# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The tables of the ledger, and the two kinds of transaction that touch them.

`LOG` holds what was appended and its tree: append-only. `PROJECTIONS` holds what can be dropped
and replayed from it (DESIGN.md invariant 1).

* entry: the appended bytes, and their leaf hash.
* tile: the 256 hashes of each full tlog-tile, and their root. Partial tiles are not stored:
  their hashes are the leaf hashes, or the roots, of what stands below.
* checkpoint: the signed head after each commit.
* cosigned: heads with the cosignatures of witnesses, which come later.
* evidence, subject: which entry states what about whom.
"""

import contextlib
import functools
from collections.abc import Generator, Sequence
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Dialect,
    Engine,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    insert,
)
from sqlalchemy.exc import DBAPIError, IntegrityError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from bastide.core.errors import NotProven, Unavailable

__all__ = [
    "PROJECTIONS",
    "checkpoint",
    "create_tables",
    "entry",
    "evidence",
    "insert_rows",
    "reading",
    "subject",
    "tile",
    "writing",
]

LOG = MetaData()
PROJECTIONS = MetaData()

# SQLite makes only an INTEGER PRIMARY KEY the table's own key; other databases need 64 bits.
_INDEX = BigInteger().with_variant(Integer, "sqlite")

# In each table the small columns come first: SQLite reads them without the long ones.
entry = Table(
    "entry",
    LOG,
    Column("index", _INDEX, primary_key=True, autoincrement=False),
    Column("leaf", LargeBinary, nullable=False),
    Column("data", LargeBinary, nullable=False),
)

tile = Table(
    "tile",
    LOG,
    Column("level", Integer, primary_key=True, autoincrement=False),
    Column("index", BigInteger, primary_key=True, autoincrement=False),
    Column("root", LargeBinary, nullable=False),
    Column("hashes", LargeBinary, nullable=False),
)

checkpoint = Table(
    "checkpoint",
    LOG,
    Column("size", _INDEX, primary_key=True, autoincrement=False),
    Column("root", LargeBinary, nullable=False),
    Column("note", Text, nullable=False),
)

cosigned = Table(
    "cosigned",
    LOG,
    Column("size", _INDEX, primary_key=True, autoincrement=False),
    Column("note", Text, nullable=False),
)

evidence = Table(
    "evidence",
    PROJECTIONS,
    Column("entry", _INDEX, primary_key=True, autoincrement=False),
    Column("kind", Text, nullable=False),
    Column("digest", LargeBinary, nullable=False, unique=True),
)

subject = Table(
    "subject",
    PROJECTIONS,
    Column("entry", BigInteger, primary_key=True, autoincrement=False),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("kind", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Index("subject_by_digest", "digest", "kind", "entry"),
    Index("subject_by_name", "kind", "name", "entry"),
    sqlite_with_rowid=False,
)


def create_tables(connection: Connection) -> None:
    """Make the tables that do not exist yet."""
    LOG.create_all(connection)
    PROJECTIONS.create_all(connection)


def insert_rows(connection: Connection, table: Table, rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert whole rows: one compiled statement and plain tuples, a third of the usual time."""
    if rows:
        connection.exec_driver_sql(_insertion(connection.dialect, table), rows)


@functools.cache
def _insertion(dialect: Dialect, table: Table) -> str:
    return str(insert(table).compile(dialect=dialect))


@contextlib.contextmanager
def reading(records: Engine) -> Generator[Connection]:
    """One consistent view of the database. Raises Unavailable or NotProven for its errors."""
    with _translated(), records.connect() as connection:
        yield connection


@contextlib.contextmanager
def writing(records: Engine) -> Generator[Connection]:
    """One transaction that holds the write lock from its beginning, durable when it ends.

    Nothing is written if it is left by an error. Raises Unavailable if the disk is full or the lock
    is not free in time, NotProven if a page is damaged.
    """
    with _translated(), records.execution_options(immediate=True).begin() as connection:
        yield connection


@contextlib.contextmanager
def _translated() -> Generator[None]:
    try:
        yield
    except (IntegrityError, ProgrammingError):
        raise  # a mistake of ours, not of the world
    except DBAPIError as error:
        text = str(error.orig)
        if "not a database" in text or "malformed" in text:
            raise NotProven(
                f"the ledger's database is damaged: {text}", fix="restore a backup"
            ) from error
        raise Unavailable(
            f"the ledger's database did not answer: {text}",
            fix="`bastide doctor` shows free disk space and who holds the file",
        ) from error
    except PoolTimeoutError as error:
        raise Unavailable("the ledger's database has no free connection") from error
