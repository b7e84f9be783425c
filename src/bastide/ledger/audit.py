# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Audit: recompute everything that the ledger claims, from the entries alone."""

import functools
from collections.abc import Sequence

from sqlalchemy import Connection, Engine, func, select

from bastide.core.errors import BastideError, NotProven
from bastide.core.evidence import Evidence
from bastide.core.policy import Policy
from bastide.core.register import KEY_KINDS, Register
from bastide.core.subject import Digest
from bastide.crypto import merkle, note
from bastide.ledger import queries, schema, statements
from bastide.ledger.acts import verify_actor
from bastide.ledger.decided import DECIDED, FOLLOWED, Decisions
from bastide.ledger.denials import DenialLog
from bastide.ledger.projections import PROJECTIONS, rows_of, stored_rows
from bastide.ledger.tree import Tree, head

__all__ = ["audit"]


def audit(records: Engine) -> None:
    """Check a whole ledger in one consistent view, in memory that does not grow with it.

    Raises NotProven, naming the first entry, tile or checkpoint that does not hold.
    """
    with schema.reading(records) as connection:
        _check_pages(connection)
        size, _ = head(connection)
        _check_counts(connection, size)
        if size == 0:
            return
        # 1. The charter holds by its own keys.
        envelope, _ = queries.entry(connection, 0)
        charter = statements.read_charter(envelope)
        policy = Policy.from_json(charter.body["policy"])
        keys = _Keys(statements.read_register(charter), policy)
        tree = Tree()
        for chunk in queries.chunks(connection, 0, size):
            # 2. Every entry is admissible, in its one form, and only the first is a charter.
            leaves = [_check_entry(connection, row, keys) for row in chunk]
            # 3. Its leaf hash, the tiles and the checkpoints are those of these entries.
            first = tree.size
            _check_leaves(connection, first, leaves)
            tree = _check_growth(connection, tree, leaves, charter.body["origin"], keys.register)
            # 4. The projections say what these entries say.
            _check_projections(connection, first, [row[2] for row in chunk])


class _Keys:
    """The register as it grows with the entries, the keys that may sign the next one, and what was
    decided and denied so far.
    """

    def __init__(self, register: Register, policy: Policy) -> None:
        self.register, self.decisions, self.denials = register, Decisions(policy), DenialLog()
        self.signing = register.signing(1)

    def learn(self, evidence: Evidence) -> None:
        self.register = self.register.after(evidence)
        assert evidence.entry is not None
        self.signing = self.register.signing(evidence.entry + 1)


def _check_entry(connection: Connection, row: queries.Row, keys: _Keys) -> bytes:
    data, envelope, evidence = row
    try:
        verified = statements.read_signed(envelope, keys.signing)
        verify_actor(connection, evidence, evidence.entry or 0)
        if evidence.kind in KEY_KINDS:
            keys.learn(evidence)
        if evidence.kind in DECIDED:
            keys.decisions.verify(evidence, keys.signing)
        earlier = functools.partial(_earlier, connection, evidence.entry or 0)
        keys.denials.verify(evidence, keys.register, earlier)
        keys.denials.follow(evidence)
        if evidence.kind in FOLLOWED or keys.decisions.open:
            keys.decisions.follow(evidence, keys.register.known())
    except BastideError as error:
        raise NotProven(f"entry {evidence.entry}: {error.message}") from error
    if verified.data != data:
        raise NotProven(f"entry {evidence.entry}: not in canonical form")
    if (evidence.kind == "charter/v1") != (evidence.entry == 0):
        raise NotProven(f"entry {evidence.entry}: a charter is the first entry, and only the first")
    return merkle.leaf_hash(data)


def _earlier(connection: Connection, entry: int, kind: str, digest: Digest) -> list[Evidence]:
    """Statements of a kind about a digest that the ledger had before an entry: all it could ask."""
    found = queries.find(connection, kind, digest)
    return [row for row in found if row.entry is not None and row.entry < entry]


def _check_leaves(connection: Connection, first: int, leaves: Sequence[bytes]) -> None:
    table = schema.entry
    wanted = select(table.c.leaf).where(table.c.index >= first, table.c.index < first + len(leaves))
    stored = connection.execute(wanted.order_by(table.c.index)).scalars().all()
    for index, (have, want) in enumerate(zip(stored, leaves, strict=True), first):
        if have != want:
            raise NotProven(f"entry {index}: the stored leaf hash is of other bytes")


def _check_growth(
    connection: Connection, tree: Tree, leaves: Sequence[bytes], origin: str, register: Register
) -> Tree:
    """Grow the tree checkpoint by checkpoint, comparing roots and completed tiles."""
    table = schema.checkpoint
    first, end = tree.size, tree.size + len(leaves)
    wanted = select(table).where(table.c.size > first, table.c.size <= end)
    for row in connection.execute(wanted.order_by(table.c.size)).all():
        tree = _grow(connection, tree, leaves[tree.size - first : row.size - first])
        where = f"the checkpoint of size {row.size}"
        try:
            signed = note.open_checkpoint(row.note, origin, register.ledger_key(row.size))
        except NotProven as error:
            raise NotProven(f"{where}: {error.message}") from error
        if not (signed.size, signed.root) == (row.size, row.root) == (tree.size, tree.root()):
            raise NotProven(f"{where}: it is not over these entries")
    return _grow(connection, tree, leaves[tree.size - first :])


def _grow(connection: Connection, tree: Tree, leaves: Sequence[bytes]) -> Tree:
    grown = tree.grown(leaves)
    table = schema.tile
    for level, index, root, hashes in grown.completed:
        wanted = select(table.c.root, table.c.hashes)
        row = connection.execute(
            wanted.where(table.c.level == level, table.c.index == index)
        ).first()
        if row is None or (row.root, row.hashes) != (root, hashes):
            raise NotProven(f"tile {index} of level {level}: not the hashes of the entries")
    return grown


def _check_projections(connection: Connection, first: int, entries: Sequence) -> None:
    expected = rows_of(entries)
    stored = stored_rows(connection, first, first + len(entries))
    for table in PROJECTIONS:
        if stored[table] != expected[table]:
            raise NotProven(
                f"the projection {table.name} differs between the entries {first} and "
                f"{first + len(entries) - 1}",
                fix="`bastide ledger rebuild` makes it again",
            )


def _check_pages(connection: Connection) -> None:
    """Every page of a sealed file is authentic, also those that no table uses."""
    if connection.dialect.name == "sqlite":
        faults = connection.exec_driver_sql("PRAGMA cipher_integrity_check").scalars().all()
        if faults:
            raise NotProven(f"the ledger's database: {faults[0]}", fix="restore a backup")


def _check_counts(connection: Connection, size: int) -> None:
    """Nothing stands behind the head: no entry, tile or row that no checkpoint covers."""
    columns = [(schema.entry.c.index, size), (schema.tile.c.index, size >> 8)]
    columns += [(table.c.entry, size) for table in PROJECTIONS]
    for column, bound in columns:
        newest = connection.execute(select(func.max(column))).scalar()
        if newest is not None and newest >= bound:
            raise NotProven(f"{column.table.name} {newest}: no checkpoint covers it")
