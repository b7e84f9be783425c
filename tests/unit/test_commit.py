# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The commit layer: raw leaves, group commit, and errors that reach only whom they concern."""

import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import func, select, text

from bastide.adapters.records.sql import open_records
from bastide.core.errors import Misconfigured, Unavailable
from bastide.crypto import merkle
from bastide.ledger import schema
from bastide.ledger.commit import Batch, Committer
from bastide.ledger.tree import head
from unit.ledger_fixture import DATABASE_KEY


@pytest.fixture
def records(tmp_path):
    engine = open_records(tmp_path / "raw.db", DATABASE_KEY)
    with schema.writing(engine) as connection:
        schema.create_tables(connection)
    yield engine
    engine.dispose()


def _seal(size: int, root: bytes) -> str:
    return f"{size} {root.hex()}"


def _stored(records) -> list[bytes]:
    table = schema.entry
    with schema.reading(records) as connection:
        return list(connection.execute(select(table.c.data).order_by(table.c.index)).scalars())


def _commits(records) -> int:
    with schema.reading(records) as connection:
        return connection.execute(select(func.count()).select_from(schema.checkpoint)).scalar()


class Gate:
    """An `admit` that lets the test hold a commit open."""

    def __init__(self) -> None:
        self.entered, self.free = threading.Event(), threading.Event()

    def __call__(self, *_: object) -> None:
        self.entered.set()
        assert self.free.wait(30)


def test_leaves_become_entries_tiles_and_a_checkpoint(records):
    committer = Committer(records, _seal)
    leaves = [b"leaf %d" % index for index in range(600)]
    assert committer.append(Batch(leaves[:1])) == range(1)
    assert committer.append(Batch(leaves[1:256])) == range(1, 256)
    assert committer.append(Batch(leaves[256:])) == range(256, 600)
    assert _stored(records) == leaves
    hashes = [merkle.leaf_hash(leaf) for leaf in leaves]
    with schema.reading(records) as connection:
        assert head(connection) == (600, merkle.root(hashes))
        stored = connection.execute(select(schema.tile)).all()
        notes = connection.execute(select(schema.checkpoint.c.note)).scalars().all()
    assert stored == [
        (0, index, merkle.root(hashes[first : first + 256]), b"".join(hashes[first : first + 256]))
        for index, first in ((0, 0), (1, 256))
    ]
    assert notes == [_seal(size, merkle.root(hashes[:size])) for size in (1, 256, 600)]


def test_threads_share_commits(records):
    gate = Gate()
    committer = Committer(records, _seal, admit=gate)
    with ThreadPoolExecutor(24) as pool:
        first = pool.submit(committer.append, Batch([b"first"]))
        assert gate.entered.wait(30)
        others = [pool.submit(committer.append, Batch([b"%d" % n])) for n in range(23)]
        _until(lambda: len(committer._queue) == 23)
        gate.free.set()
        indexes = [list(future.result()) for future in (first, *others)]
    assert sorted(indexes) == [[index] for index in range(24)]
    assert _commits(records) == 2
    stored = _stored(records)
    assert all(stored[index] == b"%d" % n for n, (index,) in enumerate(indexes[1:]))


def _until(done: Callable[[], bool]) -> None:
    waiter = threading.Event()
    for _ in range(3_000):
        if done():
            return
        waiter.wait(0.01)
    raise AssertionError("it did not happen within 30 s")


def test_an_error_reaches_only_the_batch_that_it_concerns(records):
    def admit(_connection, _size, batches):
        for batch in batches:
            if b"bad" in batch.leaves:
                batch.error = ValueError("bad")

    committer = Committer(records, _seal, admit)

    def append(number: int) -> range | ValueError:
        try:
            leaf = b"bad" if number % 3 == 0 else b"%d" % number
            return committer.append(Batch([leaf]))
        except ValueError as error:
            return error

    with ThreadPoolExecutor(12) as pool:
        results = list(pool.map(append, range(60)))
    assert [isinstance(result, ValueError) for result in results] == [
        number % 3 == 0 for number in range(60)
    ]
    assert len(_stored(records)) == 40
    assert b"bad" not in _stored(records)


def test_a_failed_commit_reaches_everybody_who_waited_for_it(records):
    gate = Gate()
    fails = [True]

    def seal(size: int, root: bytes) -> str:
        if size > 1 and fails[0]:
            raise Unavailable("no signature")
        return _seal(size, root)

    committer = Committer(records, seal, admit=gate)
    with ThreadPoolExecutor(9) as pool:
        first = pool.submit(committer.append, Batch([b"first"]))
        assert gate.entered.wait(30)
        others = [pool.submit(committer.append, Batch([b"%d" % n])) for n in range(8)]
        _until(lambda: len(committer._queue) == 8)
        gate.free.set()
        assert first.result() == range(1)
        for future in others:
            with pytest.raises(Unavailable, match="no signature"):
                future.result()
    assert _stored(records) == [b"first"]
    fails[0] = False
    assert committer.append(Batch([b"again"])) == range(1, 2)


def test_a_batch_with_a_companion_has_a_commit_of_its_own(records):
    gate = Gate()
    committer = Committer(records, _seal, admit=gate)
    seen = []

    def fail(_connection, indexes):
        seen.append(indexes)
        raise RuntimeError("no")

    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(committer.append, Batch([b"first"]))
        assert gate.entered.wait(30)
        waiting = []
        for count, also in enumerate((None, fail, None), 1):
            waiting.append(pool.submit(committer.append, Batch([b"x"], also=also)))
            _until(lambda count=count: len(committer._queue) == count)
        gate.free.set()
        assert [first.result(), waiting[0].result()] == [range(1), range(1, 2)]
        with pytest.raises(RuntimeError):
            waiting[1].result()
        assert waiting[2].result() == range(2, 3)
    assert seen == [range(2, 3)]


def test_an_interrupted_waiter_stops_nobody(records):
    gate = Gate()
    committer = Committer(records, _seal, admit=gate)

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGUSR1, interrupt)
    try:
        with ThreadPoolExecutor(2) as pool:
            first = pool.submit(committer.append, Batch([b"first"]))
            assert gate.entered.wait(30)
            threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGUSR1)).start()
            with pytest.raises(KeyboardInterrupt):
                committer.append(Batch([b"interrupted"]))
            gate.free.set()
            assert first.result() == range(1)
            assert pool.submit(committer.append, Batch([b"next"])).result() == range(1, 2)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert _stored(records) == [b"first", b"next"]


def test_two_committers_on_one_database_take_turns(records, tmp_path):
    other = open_records(tmp_path / "raw.db", DATABASE_KEY)
    committers = [Committer(records, _seal), Committer(other, _seal)]
    with ThreadPoolExecutor(8) as pool:
        indexes = list(pool.map(lambda n: committers[n % 2].append(Batch([b"%d" % n])), range(80)))
    assert sorted(index for (index,) in indexes) == list(range(80))
    stored = _stored(records)
    assert all(stored[index] == b"%d" % n for n, (index,) in enumerate(indexes))
    with schema.reading(records) as connection:
        assert head(connection) == (80, merkle.root([merkle.leaf_hash(leaf) for leaf in stored]))
    other.dispose()


def test_limits(records):
    committer = Committer(records, _seal)
    assert committer.append(Batch([b"x" * 65_535] * 2)) == range(2)
    assert committer.append(Batch([b"x"] * 4_096)) == range(2, 4_098)
    for leaves in ([b"x" * 65_536], [b"x"] * 4_097):
        with pytest.raises(Misconfigured):
            committer.append(Batch(leaves))


def test_a_database_error_is_unavailable_and_the_next_append_works(records):
    def also(connection, _indexes):
        connection.execute(text("SELECT * FROM nowhere"))

    committer = Committer(records, _seal)
    with pytest.raises(Unavailable, match="nowhere"):
        committer.append(Batch([b"x"], also=also))
    assert committer.append(Batch([b"x"])) == range(1)
