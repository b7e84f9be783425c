# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Erasure lists beside a ledger, in the same sealed database.

The ledger names a list by its digest and its day only. The list itself is personal data, also as
hashes, so it can be deleted: when a newer one is in force, the older ones are.
"""

from sqlalchemy import (
    Column,
    Connection,
    Engine,
    LargeBinary,
    MetaData,
    String,
    Table,
    delete,
    insert,
    select,
)

from bastide.core.errors import NotFound
from bastide.core.subject import Digest
from bastide.ledger import schema

__all__ = ["ErasureShelf"]

_SHELF = MetaData()
_list = Table(
    "erasure_list",
    _SHELF,
    Column("digest", String, primary_key=True),
    Column("data", LargeBinary, nullable=False),
)


class ErasureShelf:
    """Keeps the file of the list that is in force."""

    def __init__(self, records: Engine) -> None:
        self._records = records

    def put(self, connection: Connection, data: bytes) -> None:
        """Keep a list instead of all others, in the transaction that states it."""
        _SHELF.create_all(connection)
        connection.execute(delete(_list))
        connection.execute(insert(_list).values(digest=str(Digest.of(data)), data=data))

    def get(self, digest: str) -> bytes:
        """The file of a list. Raises NotFound."""
        with schema.writing(self._records) as connection:
            _SHELF.create_all(connection)
        with schema.reading(self._records) as connection:
            found = connection.execute(select(_list.c.data).where(_list.c.digest == digest))
            data = found.scalar_one_or_none()
        if data is None:
            raise NotFound("the erasure list is not here", fix="bastide guard erasure import FILE")
        return data
