# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""A replica: the ledger on another machine, which believes nobody's word for it.

It gets entries and a signed head, and takes them only if the charter is the one of its anchors,
every entry is admissible by the door's rules about signatures and keys (`statements.read_signed`,
`core.register`), and the head, signed by the ledger key in force, is the root over exactly these
entries behind those it has. So a replica is a prefix of the ledger, and who would show it another
history must have the ledger's key. It has no key itself: it appends nothing of its own.
"""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Engine, select

from bastide.core.errors import BastideError, Misconfigured, NotProven
from bastide.core.evidence import Evidence
from bastide.core.limits import FOLLOW_BYTES, FOLLOW_ENTRIES
from bastide.core.register import KEY_KINDS, Register
from bastide.crypto.dsse import Envelope
from bastide.ledger import queries, schema, statements
from bastide.ledger.acts import verify_actor
from bastide.ledger.bundle_form import Entry, read_anchors
from bastide.ledger.commit import Batch, Committer
from bastide.ledger.heads import open_head
from bastide.ledger.projections import project_batches
from bastide.ledger.statements import Verified
from bastide.ledger.tree import head
from bastide.ledger.verify import open_charter

__all__ = ["Replica", "page"]


def page(records: Engine, base: int, start: int) -> tuple[list[bytes], str]:
    """Entries from `start` on, for who has those before `base` under a head, and the head over
    all of them; no head if it needs more entries than these.

    Raises Misconfigured for places too far from each other. At most FOLLOW_BYTES, unless one entry
    alone is longer. Nothing is there beyond the newest head.
    """
    if not 0 <= base <= start <= base + FOLLOW_ENTRIES:
        raise Misconfigured(f"{base} and {start} are no places of one replica")
    table, heads = schema.entry, schema.checkpoint
    with schema.reading(records) as connection:
        # A commit has at most so many leaves, so one of its heads is always in reach.
        near = heads.c.size > start, heads.c.size <= base + FOLLOW_ENTRIES
        found = connection.execute(select(heads.c.size, heads.c.note).where(*near)).all()
        ends = {row.size: row.note for row in found}
        if not ends:
            return [], ""
        rows = select(table.c.data).where(table.c.index >= start, table.c.index < max(ends))
        entries: list[bytes] = []
        size = 0
        for (data,) in connection.execute(rows.order_by(table.c.index)):
            size += len(data)
            if entries and size > FOLLOW_BYTES:
                break
            entries.append(data)
        closed = max((end for end in ends if end <= start + len(entries)), default=0)
        return (entries[: closed - start], ends[closed]) if closed else (entries, "")


class Replica:
    """A ledger that follows another. `anchors`: its keys.json, from somebody who is trusted.

    One process writes it; others may read the database at the same time.
    """

    def __init__(self, records: Engine, anchors: Mapping[str, Any]) -> None:
        self._records = records
        self._anchors = read_anchors(anchors)
        self._head = ""
        self._committer = Committer(records, self._seal, project=_project)
        with schema.writing(records) as connection:
            schema.create_tables(connection)
        self._register = Register({})
        self._waiting: list[Verified] = []  # verified, and no head has come yet
        if self.size:
            with schema.reading(records) as connection:
                envelope, _ = queries.entry(connection, 0)
                changes = queries.since(connection, KEY_KINDS, 1)
            charter = open_charter(Entry("entry 0", 0, envelope, ()), self._anchors)
            self._register = statements.read_register(charter)
            for row in changes:
                self._register = self._register.after(row)

    @property
    def size(self) -> int:
        """How many entries are here, under a head."""
        with schema.reading(self._records) as connection:
            return head(connection)[0]

    @property
    def wanted(self) -> int:
        """The index of the next entry."""
        return self.size + len(self._waiting)

    def take(self, entries: Sequence[bytes], signed_head: str) -> None:
        """Take the next entries; they are durable on return if a head closes them.

        Raises NotProven for an entry or a head that does not hold: then all is as it was.
        """
        before = self._register, list(self._waiting)
        try:
            first = self.wanted
            if len(self._waiting) + len(entries) > FOLLOW_ENTRIES:
                raise NotProven(f"entry {first}: no head closes it")
            self._waiting += [self._read(data, first + n) for n, data in enumerate(entries)]
            if signed_head:
                self._head, taken = signed_head, self._waiting
                self._committer.append(Batch([row.data for row in taken], taken))
                self._waiting = []
        except BaseException:
            self._register, self._waiting = before
            raise

    def _read(self, data: bytes, index: int) -> Verified:
        """One entry, by the rules of the ledger's door about signatures, keys and actors.

        What parties decide (`decided`) is not judged here: control's door and every audit do it.
        What of it a node goes by, the denials, it judges itself where it reads them.
        """
        try:
            envelope = Envelope.from_json(json.loads(data))
            if index == 0:
                charter = open_charter(Entry("entry 0", 0, envelope, ()), self._anchors)
                self._register = statements.read_register(charter)
                found = Verified(charter, envelope.encode())
            else:
                found = statements.read_signed(envelope, self._register.signing(index))
            evidence = dataclasses.replace(found.evidence, entry=index)
            if evidence.kind in KEY_KINDS:
                self._register = self._register.after(evidence)
        except (BastideError, ValueError, RecursionError) as error:
            said = error.message if isinstance(error, BastideError) else "no signed statement"
            raise NotProven(f"entry {index}: {said}") from error
        if found.data != data or (evidence.kind == "charter/v1") != (index == 0):
            raise NotProven(f"entry {index}: not in its one form, or not in its place")
        return Verified(evidence, found.data)

    def _seal(self, size: int, root: bytes) -> str:
        """The head that came, if it is the one over these entries; under the write lock."""
        found = open_head(self._head, self._anchors.origin, self._register)
        if (found.size, found.root) != (size, root):
            raise NotProven(f"the head of {found.size} entries is not over those that came")
        return self._head


def _project(connection: Connection, batches: Sequence[Batch]) -> None:
    rows: list[Evidence] = [item.evidence for batch in batches for item in batch.items]
    if [row.entry for row in rows] != [index for batch in batches for index in batch.indexes]:
        raise Misconfigured("two processes write one replica")
    project_batches(connection, batches)
    for row in rows:
        verify_actor(connection, row, row.entry or 0)
