# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The book of receipts: durable at once, sealed into the ledger in batches.

A receipt is too small and too frequent to be an entry of its own. A batch is a Merkle tree over
consecutive receipts; one entry (`receipts/v1`) carries its root, so that a receipt is proven by
two inclusion proofs: receipt in batch, batch in ledger.

Rules:
* Receipts are numbered without gaps, in the order in which they became durable. A batch is a range
  of numbers, so every batch can be recomputed from the ledger's counts alone (`audit`).
* A batch and its entry become durable in one transaction, so no receipt is sealed twice or never.
* Which batch covers which numbers is a projection: `rebuild` replays it from the entries.
"""

import json
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Engine,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    delete,
    func,
    insert,
    inspect,
    select,
)

from bastide.core.errors import NotFound, NotProven, Refused, Unavailable
from bastide.core.evidence import Evidence, Statement
from bastide.core.key import Purpose
from bastide.core.limits import RECEIPT_BATCH_MAX, RECEIPT_DISORDER_MS
from bastide.core.receipt import Receipt
from bastide.core.subject import Digest, Subject
from bastide.crypto import dsse, merkle
from bastide.crypto.dsse import Signer
from bastide.ledger import queries, schema
from bastide.ledger.ledger import Ledger
from bastide.ports import Clock

__all__ = ["ReceiptBook", "ReceiptProof"]

BOOK = MetaData()
_INDEX = BigInteger().with_variant(Integer, "sqlite")
_IDENTS_PER_QUERY = 500
_READ_AT_ONCE = 4_096  # receipts, about 4 MB

_receipt = Table(
    "receipt",
    BOOK,
    Column("number", _INDEX, primary_key=True, autoincrement=False),
    Column("ident", Text, nullable=False, unique=True),
    Column("time_ms", BigInteger, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    Column("leaf", LargeBinary, nullable=False),
)
_batch = Table(
    "receipt_batch",
    BOOK,
    Column("first", _INDEX, primary_key=True, autoincrement=False),
    Column("size", Integer, nullable=False),
    Column("entry", BigInteger, nullable=False, unique=True),
)


@dataclass(frozen=True, slots=True)
class ReceiptProof:
    """Where a receipt stands: the batch's entry, and its place among the batch's leaves."""

    batch_index: int
    leaf_index: int
    size: int
    proof: tuple[bytes, ...]


class ReceiptBook:
    """Receipts beside a ledger, in the same database. `signer` is an evidence key."""

    def __init__(self, records: Engine, ledger: Ledger, signer: Signer, clock: Clock) -> None:
        self._records = records
        self._ledger = ledger
        self._signers = {signer.public.ident: signer}
        self._clock = clock
        self._sealing = threading.Lock()
        with schema.reading(records) as connection:
            missing = not inspect(connection).has_table(_batch.name)
        if missing:
            with schema.writing(records) as connection:
                BOOK.create_all(connection)

    def hold(self, signer: Signer) -> None:
        """Sign batches with this key, too, while it is the active one."""
        self._signers = {**self._signers, signer.public.ident: signer}

    def put(self, receipts: Sequence[Receipt]) -> None:
        """Write receipts in one transaction; they are durable on return.

        A receipt that is already there is left as it is, so a sender that got no answer may send
        again. Raises Refused if another receipt has the same id; then nothing is written.
        """
        leaves = {receipt.ident: (receipt.time_ms, receipt.leaf()) for receipt in receipts}
        if any(leaves[receipt.ident][1] != receipt.leaf() for receipt in receipts):
            raise Refused("two receipts have one id")
        if not leaves:
            return
        with schema.writing(self._records) as connection:
            for ident, leaf in _known(connection, list(leaves)):
                if leaves.pop(ident)[1] != leaf:
                    raise Refused(f"there is another receipt {ident}")
            _insert(connection, leaves)

    def put_missing(self, receipts: Sequence[Receipt]) -> None:
        """Write those whose id no receipt has, in one transaction; they are durable on return.

        For what is stated in place of a sender that died: what it stated itself stands.
        """
        leaves = {receipt.ident: (receipt.time_ms, receipt.leaf()) for receipt in receipts}
        with schema.writing(self._records) as connection:
            for ident, _ in _known(connection, list(leaves)):
                del leaves[ident]
            _insert(connection, leaves)

    def holds(self, idents: Sequence[str]) -> set[str]:
        """Which of these ids a receipt has."""
        with schema.reading(self._records) as connection:
            return {ident for ident, _ in _known(connection, idents)}

    def seal_batch(self) -> Evidence | None:
        """Append one entry over the oldest pending receipts, at most RECEIPT_BATCH_MAX.

        Returns None if nothing is pending. Raises Unavailable if another process sealed them in
        the meantime, or while the active evidence key is not held here.
        """
        with self._sealing:
            with schema.reading(self._records) as connection:
                first = _sealed(connection)
                rows = _rows(connection, first, RECEIPT_BATCH_MAX)
            if not rows:
                return None
            times = [time_ms for time_ms, _ in rows]
            root = merkle.root([leaf for _, leaf in rows])
            body = {
                "count": len(rows),
                "root": root.hex(),
                "first_ms": min(times),
                "last_ms": max(times),
                "sealed_ms": self._clock.now_ms(),
            }
            statement = Statement("receipts/v1", (Subject("receipts", Digest(root.hex())),), body)
            envelope = dsse.sign(statement.payload(), [self._active()])

            def mark(connection: Connection, entries: range) -> None:
                if _sealed(connection) != first:
                    raise Refused("these receipts are sealed already")
                row = {"first": first, "size": len(rows), "entry": entries[0]}
                connection.execute(insert(_batch), [row])

            try:
                self._ledger.append([envelope], also=mark)
            except Refused as error:
                raise Unavailable(
                    "another process sealed these receipts", fix="try again"
                ) from error
        return self._ledger.by_digest(envelope.digest)

    def _active(self) -> Signer:
        key = self._ledger.register().active(Purpose.EVIDENCE)
        if key is None or key.ident not in self._signers:
            which = "no evidence key is active" if key is None else f"{key.ident} is not held here"
            raise Unavailable(f"receipts cannot be sealed: {which}")
        return self._signers[key.ident]

    @property
    def pending(self) -> int:
        """How many receipts no entry covers yet."""
        with schema.reading(self._records) as connection:
            return _count(connection) - _sealed(connection)

    def find(self, ident: str) -> Receipt:
        """The receipt of an id. Raises NotFound."""
        with schema.reading(self._records) as connection:
            leaf = connection.scalar(select(_receipt.c.leaf).where(_receipt.c.ident == ident))
        if leaf is None:
            raise NotFound(f"there is no receipt {ident!r}", fix="`newest` names the last one")
        return Receipt.from_json(json.loads(leaf))

    def receipts(self, start: int = 0) -> Iterator[Receipt]:
        """All receipts from a number on, in the book's order; between chunks no connection is held.

        What is written meanwhile may or may not be among them.
        """
        while True:
            with schema.reading(self._records) as connection:
                leaves = _leaves(connection, start, _READ_AT_ONCE)
            yield from (Receipt.from_json(json.loads(leaf)) for leaf in leaves)
            if len(leaves) < _READ_AT_ONCE:
                return
            start += len(leaves)

    def since(self, time_ms: int) -> int:
        """A number before which no receipt ended at `time_ms` or later; some after it are older.

        Receipts become durable within minutes of their end, so the book is in the order of time
        but for what RECEIPT_DISORDER_MS allows; searching it reads a few dozen rows of any book.
        """
        with schema.reading(self._records) as connection:
            low, high = 0, connection.scalar(select(func.max(_receipt.c.number)))
            high = -1 if high is None else high
            while low <= high:
                middle = (low + high) // 2
                query = select(_receipt.c.time_ms).where(_receipt.c.number == middle)
                if connection.scalar(query) < time_ms - RECEIPT_DISORDER_MS:
                    low = middle + 1
                else:
                    high = middle - 1
        return low

    def newest(self) -> str | None:
        """The id of the receipt that came last, or None if there is none."""
        query = select(_receipt.c.ident).order_by(_receipt.c.number.desc()).limit(1)
        with schema.reading(self._records) as connection:
            return connection.scalar(query)

    def inclusion(self, ident: str) -> ReceiptProof:
        """Prove that a batch holds a receipt. Raises NotFound, or Unavailable while pending."""
        with schema.reading(self._records) as connection:
            number = connection.scalar(select(_receipt.c.number).where(_receipt.c.ident == ident))
            if number is None:
                raise NotFound(f"there is no receipt {ident!r}", fix="`newest` names the last one")
            query = select(_batch).where(_batch.c.first <= number).order_by(_batch.c.first.desc())
            batch = connection.execute(query.limit(1)).one_or_none()
            if batch is None or number >= batch.first + batch.size:
                raise Unavailable(
                    f"the receipt {ident} is sealed within a second", fix="try again in a second"
                )
            hashes = [leaf for _, leaf in _rows(connection, batch.first, batch.size)]
        place = number - batch.first
        proof = tuple(merkle.inclusion_proof(hashes, place))
        return ReceiptProof(batch.entry, place, batch.size, proof)

    def rebuild(self) -> None:
        """Drop what is known of batches and replay it from the entries, in one transaction."""
        rows: list[dict[str, int | None]] = []
        with self._sealing, schema.writing(self._records) as connection:
            first = 0
            for entry in queries.find(connection, "receipts/v1"):
                rows.append({"first": first, "size": entry.body["count"], "entry": entry.entry})
                first += entry.body["count"]
            connection.execute(delete(_batch))
            if rows:
                connection.execute(insert(_batch), rows)

    def audit(self) -> None:
        """Recompute every batch from the ledger. Raises NotProven with the entry that fails.

        In one consistent view: services may seal the next batch meanwhile.
        """
        first = 0
        with schema.reading(self._records) as connection:
            for entry in queries.find(connection, "receipts/v1"):
                count, place = entry.body["count"], f"entry {entry.entry}"
                leaves = _leaves(connection, first, count)
                batch = connection.execute(select(_batch).where(_batch.c.first == first)).first()
                root = merkle.root([merkle.leaf_hash(leaf) for leaf in leaves])
                if len(leaves) != count or root.hex() != entry.body["root"]:
                    raise NotProven(f"{place}: the book's receipts are not those of the batch")
                if batch is None or (batch.size, batch.entry) != (count, entry.entry):
                    raise NotProven(f"{place}: the book does not know this batch")
                first += count
            if _sealed(connection) != first:
                raise NotProven(f"the book has a batch from receipt {first} without an entry")


def _insert(connection: Connection, leaves: dict[str, tuple[int, bytes]]) -> None:
    """Give receipts, as id to time and leaf, the next numbers."""
    first = _count(connection)
    rows = [
        {
            "number": first + place,
            "ident": ident,
            "time_ms": time_ms,
            "hash": merkle.leaf_hash(leaf),
            "leaf": leaf,
        }
        for place, (ident, (time_ms, leaf)) in enumerate(leaves.items())
    ]
    if rows:
        connection.execute(insert(_receipt), rows)


def _known(connection: Connection, idents: Sequence[str]) -> list[tuple[str, bytes]]:
    known: list[tuple[str, bytes]] = []
    for start in range(0, len(idents), _IDENTS_PER_QUERY):
        some = idents[start : start + _IDENTS_PER_QUERY]
        query = select(_receipt.c.ident, _receipt.c.leaf).where(_receipt.c.ident.in_(some))
        known += [(row.ident, row.leaf) for row in connection.execute(query)]
    return known


def _count(connection: Connection) -> int:
    """The number that the next receipt gets."""
    newest = connection.scalar(select(func.max(_receipt.c.number)))
    return 0 if newest is None else newest + 1


def _sealed(connection: Connection) -> int:
    """The number of the first receipt that no batch covers."""
    query = select(_batch.c.first, _batch.c.size).order_by(_batch.c.first.desc()).limit(1)
    newest = connection.execute(query).one_or_none()
    return 0 if newest is None else newest.first + newest.size


def _rows(connection: Connection, first: int, count: int) -> list[tuple[int, bytes]]:
    number = _receipt.c.number
    query = select(_receipt.c.time_ms, _receipt.c.hash).where(number >= first)
    found = connection.execute(query.where(number < first + count).order_by(number))
    return [(row.time_ms, row.hash) for row in found]


def _leaves(connection: Connection, first: int, count: int) -> list[bytes]:
    number = _receipt.c.number
    query = select(_receipt.c.leaf).where(number >= first, number < first + count)
    return [row.leaf for row in connection.execute(query.order_by(number))]
