# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Questions to the ledger's tables. Each takes a connection and reads one consistent view."""

import base64
from collections.abc import Iterator, Sequence

from sqlalchemy import Connection, Engine, Select, and_, exists, func, select

from bastide.core.errors import NotFound, NotProven
from bastide.core.evidence import Evidence
from bastide.core.subject import Digest
from bastide.crypto.dsse import Envelope
from bastide.ledger import schema, statements

__all__ = [
    "chunks",
    "entry",
    "find",
    "index_of",
    "known_digests",
    "newest",
    "newest_note",
    "newest_of",
    "saying",
    "scan",
    "since",
    "standing",
]

CHUNK = 512  # entries read at once: at most 32 MiB
DIGESTS_AT_ONCE = 500

Row = tuple[bytes, Envelope, Evidence]


def entry(connection: Connection, index: int) -> tuple[Envelope, Evidence]:
    """The signed statement at an index. Raises NotFound."""
    table = schema.entry
    data = connection.execute(select(table.c.data).where(table.c.index == index)).scalar()
    if data is None:
        raise NotFound(f"the ledger has no entry {index}")
    return statements.decode(data, index)


def index_of(connection: Connection, digest: Digest) -> int:
    """The index of the envelope with a digest. Raises NotFound."""
    table = schema.evidence
    wanted = select(table.c.entry).where(table.c.digest == digest.raw)
    index = connection.execute(wanted).scalar()
    if index is None:
        raise NotFound(f"the ledger has no statement {digest}")
    return index


def find(
    connection: Connection,
    kind: str,
    digest: Digest | None = None,
    name: str | None = None,
    since: int = 0,
) -> list[Evidence]:
    """Evidence of a kind, oldest first, of which one subject has the digest and the name.

    `since` is the first entry that is read.
    """
    table = schema.subject
    about = [table.c.kind == kind, table.c.entry >= since]
    if digest is not None:
        about.append(table.c.digest == digest.raw)
    if name is not None:
        about.append(table.c.name == name)
    return _read(connection, select(table.c.entry).where(*about).distinct())


def standing(
    connection: Connection, kinds: tuple[str, ...], ending: str, active: bool, final: bool
) -> list[Evidence]:
    """Evidence of some kinds; if `active`, only what no later `ending` has ended.

    `final` says that nothing comes back: one ending ends its subject for ever.
    """
    table, end = schema.subject, schema.subject.alias()
    wanted = select(table.c.entry).where(table.c.kind.in_(kinds))
    if active:
        ended = and_(end.c.kind == ending, end.c.digest == table.c.digest)
        if not final:
            ended = and_(ended, end.c.entry > table.c.entry)
        wanted = wanted.where(~exists().where(ended))
    return _read(connection, wanted.distinct())


def newest(connection: Connection, kind: str) -> list[Evidence]:
    """The newest evidence of a kind about each name, in the order of the entries."""
    table = schema.subject
    wanted = select(func.max(table.c.entry)).where(table.c.kind == kind).group_by(table.c.name)
    return _read(connection, wanted)


def newest_of(connection: Connection, kinds: tuple[str, ...]) -> int:
    """The index of the newest entry of some kinds, or -1."""
    table = schema.subject
    newest = select(func.max(table.c.entry)).where(table.c.kind.in_(kinds))
    found = connection.execute(newest).scalar()
    return -1 if found is None else found


def since(connection: Connection, kinds: tuple[str, ...], entry: int) -> list[Evidence]:
    """Evidence of some kinds from an entry on, oldest first."""
    table = schema.subject
    wanted = select(table.c.entry).where(table.c.kind.in_(kinds), table.c.entry >= entry)
    return _read(connection, wanted.distinct())


def saying(connection: Connection, row: Evidence) -> Iterator[tuple[Envelope, Evidence]]:
    """The statements of a row's kind and subject that have its payload, whoever signed them.

    An entry has its payload as base64, in one form: so entries are compared without reading them.
    This runs while others wait to write, and there may be hundreds about one subject.
    """
    table, log = schema.subject, schema.entry
    about = table.c.kind == row.kind, table.c.digest == row.subject.digest.raw
    wanted = select(log.c.index, log.c.data).where(
        log.c.index.in_(select(table.c.entry).where(*about))
    )
    payload = base64.b64encode(row.statement.payload())
    for index, data in connection.execute(wanted.order_by(log.c.index)):
        if payload in data:
            yield statements.decode(data, index)


def newest_note(connection: Connection) -> str:
    """The newest signed checkpoint. Raises NotFound."""
    table = schema.checkpoint
    newest = select(table.c.note).order_by(table.c.size.desc()).limit(1)
    found = connection.execute(newest).scalar()
    if found is None:
        raise NotFound("the ledger is empty: it has no checkpoint")
    return found


def known_digests(connection: Connection, digests: Sequence[bytes]) -> set[bytes]:
    """Those of the digests that the ledger has already."""
    column = schema.evidence.c.digest
    known: set[bytes] = set()
    for start in range(0, len(digests), DIGESTS_AT_ONCE):
        some = digests[start : start + DIGESTS_AT_ONCE]
        known.update(connection.execute(select(column).where(column.in_(some))).scalars())
    return known


def chunks(connection: Connection, start: int, end: int) -> Iterator[list[Row]]:
    """The entries from `start` up to `end`, some at a time. Raises NotProven for a gap."""
    table = schema.entry
    for first in range(start, end, CHUNK):
        last = min(first + CHUNK, end)
        wanted = select(table.c.index, table.c.data).order_by(table.c.index)
        rows = connection.execute(wanted.where(table.c.index >= first, table.c.index < last)).all()
        if [index for index, _ in rows] != list(range(first, last)):
            raise NotProven(f"the ledger lacks an entry between {first} and {last}")
        yield [(data, *statements.decode(data, index)) for index, data in rows]


def scan(records: Engine, start: int, end: int) -> Iterator[Row]:
    """The same one by one; between chunks no connection is held."""
    for first in range(start, end, CHUNK):
        with schema.reading(records) as connection:
            (chunk,) = chunks(connection, first, min(first + CHUNK, end))
        yield from chunk


def _read(connection: Connection, indexes: Select[tuple[int]]) -> list[Evidence]:
    """The evidence at some indexes, checked against the digests that the projection has."""
    log, known = schema.entry, schema.evidence
    wanted = (
        select(log.c.index, log.c.data, known.c.digest)
        .join(known, known.c.entry == log.c.index)
        .where(log.c.index.in_(indexes))
        .order_by(log.c.index)
    )
    found = []
    for index, data, digest in connection.execute(wanted):
        evidence = statements.decode(data, index)[1]
        if evidence.digest.raw != digest:
            raise NotProven(
                f"entry {index} is not the one that the index names",
                fix="`bastide ledger rebuild` makes the index again",
            )
        found.append(evidence)
    return found
