# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Heads that witnesses have cosigned, and whose witnesses count.

A party's witness is enrolled by a statement that the party signs itself, so who runs the ledger can
enrol none for another. The newest statement of each party counts, as long as its key does.
"""

from collections.abc import Iterable
from typing import Final

from sqlalchemy import Engine, delete, insert, select

from bastide.core.errors import NotProven
from bastide.core.evidence import Evidence
from bastide.crypto.cosignature import Cosigner, cosigned_by, read_cosigner
from bastide.ledger import schema
from bastide.ledger.ledger import Ledger
from bastide.ledger.once import first_said

__all__ = ["CosignedHeads", "cosigner_of", "enrolled", "witnesses_by_party"]

_NEWEST: Final = 1_000  # heads that are kept anyhow; of older ones, one for each _EVERY entries
_EVERY: Final = 10_000


def enrolled(ledger: Ledger, before: int | None = None) -> list[Evidence]:
    """The statements that say whose witness is whose: the newest of each party that counts.

    before: only entries below this index.
    """
    register = ledger.register()
    newest: dict[str, Evidence] = {}
    for row in first_said(ledger.find("witness/v1")):
        entry = row.entry or 0
        if register.counts(row) and (before is None or entry < before):
            newest[row.body["party"]] = row
    return sorted(newest.values(), key=lambda row: row.entry or 0)


def cosigner_of(row: Evidence) -> Cosigner:
    """The witness that a statement enrols. Raises Misconfigured."""
    return read_cosigner(row.body["keys"])


def witnesses_by_party(note: str, rows: Iterable[Evidence]) -> dict[str, int]:
    """Which parties' witnesses cosigned a head, and when (POSIX seconds).

    Raises NotProven if a cosignature does not hold, or if one key is two parties' witness.
    """
    found: dict[str, int] = {}
    known: set[bytes] = set()
    for row in rows:
        cosigner = cosigner_of(row)
        keys = {raw for _, raw in cosigner.keys}
        if keys & known:
            raise NotProven(f"the witness {cosigner.name} is enrolled for two parties")
        known |= keys
        time_s = cosigned_by(note, cosigner)
        if time_s is not None:
            found[row.body["party"]] = time_s
    return found


class CosignedHeads:
    """The cosigned heads of a ledger, beside it in its database."""

    def __init__(self, records: Engine) -> None:
        self._records = records

    def put(self, size: int, note: str) -> None:
        """Keep a head with its cosignatures, instead of one of the same size; drop old ones."""
        table = schema.cosigned
        with schema.writing(self._records) as connection:
            connection.execute(delete(table).where(table.c.size == size))
            connection.execute(insert(table).values(size=size, note=note))
            sizes = connection.execute(select(table.c.size).order_by(table.c.size)).scalars().all()
            landmarks = {old // _EVERY: old for old in sizes[:-_NEWEST]}
            gone = set(sizes[:-_NEWEST]) - set(landmarks.values())
            if gone:
                connection.execute(delete(table).where(table.c.size.in_(gone)))

    def newest(self) -> tuple[int, str] | None:
        """The newest one: its size and its note."""
        table = schema.cosigned
        wanted = select(table.c.size, table.c.note).order_by(table.c.size.desc()).limit(1)
        with schema.reading(self._records) as connection:
            row = connection.execute(wanted).first()
        return None if row is None else (row.size, row.note)

    def all(self) -> list[tuple[int, str]]:
        """All that are kept, the oldest first."""
        table = schema.cosigned
        with schema.reading(self._records) as connection:
            rows = connection.execute(select(table.c.size, table.c.note).order_by(table.c.size))
            return [(row.size, row.note) for row in rows]
