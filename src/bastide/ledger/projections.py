# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Projections: rows that answer questions quickly, and that a replay makes again.

Each projection is a pure function from one entry's evidence to rows, so a commit, `rebuild` and
`audit` all derive the same rows from the same entries.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, Table, select

from bastide.core.evidence import Evidence
from bastide.ledger import schema
from bastide.ledger.commit import Batch

__all__ = ["PROJECTIONS", "drop_rows", "project", "project_batches", "rows_of", "stored_rows"]

Row = tuple[Any, ...]  # in the order of the table's columns; the first is the entry


def _evidence(evidence: Evidence) -> Iterator[Row]:
    yield evidence.entry, evidence.kind, evidence.digest.raw


def _subject(evidence: Evidence) -> Iterator[Row]:
    for position, subject in enumerate(evidence.statement.subjects):
        yield evidence.entry, position, evidence.kind, subject.name, subject.digest.raw


PROJECTIONS: Mapping[Table, Callable[[Evidence], Iterator[Row]]] = {
    schema.evidence: _evidence,
    schema.subject: _subject,
}


def project(connection: Connection, entries: Sequence[Evidence]) -> None:
    """Write the rows of appended entries."""
    for table, rows in rows_of(entries).items():
        schema.insert_rows(connection, table, rows)


def project_batches(connection: Connection, batches: Sequence[Batch]) -> None:
    """Write the rows of batches that a commit has just given their places."""
    placed = ((batch.indexes, batch.items) for batch in batches)
    project(
        connection,
        [
            replace(item.evidence, entry=index)
            for indexes, items in placed
            for index, item in zip(indexes, items, strict=True)
        ],
    )


def rows_of(entries: Iterable[Evidence]) -> dict[Table, list[Row]]:
    """The rows of some entries, per table, in the order of the entries."""
    known = list(entries)
    return {
        table: [row for evidence in known for row in derive(evidence)]
        for table, derive in PROJECTIONS.items()
    }


def stored_rows(connection: Connection, first: int, end: int) -> dict[Table, list[Row]]:
    """The rows that the database has for the entries from `first` up to `end`."""
    found: dict[Table, list[Row]] = {}
    for table in PROJECTIONS:
        wanted = select(table).where(table.c.entry >= first, table.c.entry < end)
        result = connection.execute(wanted.order_by(*table.primary_key.columns))
        found[table] = [tuple(row) for row in result]
    return found


def drop_rows(connection: Connection) -> None:
    """Drop every projection and make the tables anew, empty."""
    schema.PROJECTIONS.drop_all(connection)
    schema.PROJECTIONS.create_all(connection)
