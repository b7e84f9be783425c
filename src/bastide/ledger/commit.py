# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The commit: leaf bytes in, durable entries under a signed checkpoint out.

Rules:
* One commit is one database transaction: entries, tree, checkpoint and whatever the caller
  writes with them become durable together or not at all.
* Group commit: the first caller leads and commits for all who wait; then it hands the lead to
  the oldest of those who came meanwhile. So 128 callers cost a few fsyncs, not 128.
* Other processes may append to the same database. Each commit takes the write lock first, then
  reads the head; the tree in memory is only reused if the head is still the one it stands for.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Engine

from bastide.core.errors import Misconfigured, Unavailable
from bastide.core.limits import ENTRY_BYTES_MAX, LEDGER_BATCH_MAX
from bastide.crypto.merkle import leaf_hash
from bastide.ledger import schema
from bastide.ledger.tree import Tree

__all__ = ["Batch", "Committer"]


def _locked() -> threading.Lock:
    """A lock that somebody else opens: the cheapest way to wait for one event."""
    lock = threading.Lock()
    lock.acquire()
    return lock


@dataclass(slots=True, eq=False)
class Batch:
    """Leaves that one caller appends as a whole.

    items: what the caller's `admit` and `project` see of each leaf; also: called in the same
    transaction with the batch's range of indexes (such a batch gets a commit of its own).
    """

    leaves: Sequence[bytes]
    items: Sequence[Any] = ()
    also: Callable[[Connection, range], None] | None = None
    first: int = -1
    error: BaseException | None = None
    hashes: list[bytes] = field(default_factory=list)
    done: bool = False
    leads: bool = False
    turn: threading.Lock = field(default_factory=_locked)

    @property
    def indexes(self) -> range:
        """The indexes that the leaves got."""
        return range(self.first, self.first + len(self.leaves))


def _admit_all(connection: Connection, size: int, batches: Sequence[Batch]) -> None:
    """Admit every batch."""


def _project_nothing(connection: Connection, batches: Sequence[Batch]) -> None:
    """Keep no projection."""


class Committer:
    """Appends batches for many threads at once.

    seal: makes the signed checkpoint (a note) of a size and a root.
    admit: sees the batches under the write lock before anything is written; it sets the `error` of
    those that must not be written. project: writes what belongs to the admitted batches.
    """

    def __init__(
        self,
        records: Engine,
        seal: Callable[[int, bytes], str],
        admit: Callable[[Connection, int, Sequence[Batch]], None] = _admit_all,
        project: Callable[[Connection, Sequence[Batch]], None] = _project_nothing,
    ) -> None:
        self._records = records
        self._seal = seal
        self._admit = admit
        self._project = project
        self._queue: list[Batch] = []
        self._led = False  # somebody commits, or is about to
        self._lock = threading.Lock()  # guards the queue and who leads; never held in a commit
        self._tree = Tree()

    def append(self, batch: Batch) -> range:
        """Append a batch; it is durable on return.

        Raises Misconfigured for more than LEDGER_BATCH_MAX leaves or too long a leaf, Unavailable
        if the database cannot commit, and whatever `admit` or `also` raised for this batch. After
        an error nothing of the batch is written.
        """
        if len(batch.leaves) > LEDGER_BATCH_MAX:
            raise Misconfigured(f"{len(batch.leaves)} entries at once, over {LEDGER_BATCH_MAX}")
        if any(len(leaf) > ENTRY_BYTES_MAX for leaf in batch.leaves):
            raise Misconfigured(f"an entry has more than {ENTRY_BYTES_MAX} bytes")
        batch.hashes = [leaf_hash(leaf) for leaf in batch.leaves]
        with self._lock:
            self._queue.append(batch)
            batch.leads, self._led = not self._led, True
        if not batch.leads:
            self._wait(batch)
        if not batch.done:
            self._lead(batch)
        if batch.error is not None:
            raise batch.error
        return batch.indexes

    def _wait(self, batch: Batch) -> None:
        """Wait until a leader has committed the batch, or until it is the batch's turn to lead."""
        try:
            batch.turn.acquire()
        except BaseException:  # an interrupt: whoever waits must not wait for us
            with self._lock:
                if batch in self._queue:
                    self._queue.remove(batch)
                if batch.leads and not batch.done:
                    self._pass_on()
            raise

    def _lead(self, batch: Batch) -> None:
        """Commit the oldest waiting batches, of which `batch` is the first; then let another."""
        group = [batch]
        try:
            with self._lock:
                group = self._take()
            with schema.writing(self._records) as connection:
                tree = self._write(connection, group)
            self._tree = tree
        except Exception as error:  # every caller in the group must learn of it
            for member in group:
                member.error = member.error or error
        except BaseException as error:  # an interrupt is for this thread alone
            for member in group:
                member.error = member.error or Unavailable("the commit was interrupted")
            batch.error = error
        with self._lock:
            for member in group:
                member.done = True
                member.turn.release()
            self._pass_on()

    def _pass_on(self) -> None:
        """Make the oldest waiting batch the next leader; the lock is held."""
        self._led = bool(self._queue)
        if self._queue:
            self._queue[0].leads = True
            self._queue[0].turn.release()

    def _take(self) -> list[Batch]:
        """The batches of one commit: as many as the limit allows, one alone if it has an `also`."""
        count = leaves = 0
        for batch in self._queue:
            leaves += len(batch.leaves)
            alone = batch.also is not None
            if count and (alone or leaves > LEDGER_BATCH_MAX):
                break
            count += 1
            if alone:
                break
        group, self._queue = self._queue[:count], self._queue[count:]
        return group

    def _write(self, connection: Connection, group: Sequence[Batch]) -> Tree:
        tree = self._tree.current(connection)
        self._admit(connection, tree.size, group)
        admitted = [batch for batch in group if batch.error is None]
        rows = []
        for batch in admitted:
            batch.first = tree.size + len(rows)
            rows += zip(batch.indexes, batch.hashes, batch.leaves, strict=True)
        if rows:
            schema.insert_rows(connection, schema.entry, rows)
            tree = tree.grown([row[1] for row in rows])
            if tree.completed:
                schema.insert_rows(connection, schema.tile, tree.completed)
            root = tree.root()
            schema.insert_rows(
                connection, schema.checkpoint, [(tree.size, root, self._seal(tree.size, root))]
            )
            self._project(connection, admitted)
        for batch in admitted:
            if batch.also is not None:
                batch.also(connection, batch.indexes)
        return tree
