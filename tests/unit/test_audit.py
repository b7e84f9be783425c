# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Invariant 1, one door: what the projections say is what the entries say, and an audit sees
every change that did not come through the door.

To see these tests fail I once broke the code: with the projection written in a transaction of its
own after the commit, `test_a_failed_commit_leaves_no_row` failed; with a small commit projecting
only the first subject, which a replay does not, `test_rebuild_gives_the_same_rows` failed.
"""

import dataclasses
import shutil

import pytest
from sqlalchemy import select, text

from bastide.adapters.records import sql
from bastide.adapters.records.sql import open_records
from bastide.core.errors import NotProven, Unavailable
from bastide.core.key import Purpose
from bastide.crypto import dsse, note
from bastide.crypto.note import Checkpoint
from bastide.ledger import Ledger, schema
from bastide.ledger.commit import Batch, Committer
from unit.ledger_fixture import DATABASE_KEY, ORIGIN, make_ledger, make_signer, refusal, tenant
from unit.test_door import release


def _rows(world) -> dict[str, list]:
    """Every row of every projection table."""
    with world.records.connect() as connection:
        return {
            table.name: connection.execute(select(table).order_by(*table.primary_key)).all()
            for table in schema.PROJECTIONS.sorted_tables
        }


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    world = make_ledger(tmp_path_factory.mktemp("made"))
    world.ledger.append([world.state(refusal(number)) for number in range(300)])
    two_subjects = dsse.sign(release().payload(), [world.signers[Purpose.RELEASE]])
    world.ledger.append([world.state(tenant("acme")), two_subjects])
    world.records.dispose()  # the last one to close folds the write-ahead log into the file
    return world


@pytest.fixture
def world(made, tmp_path):
    path = shutil.copy(made.path, tmp_path / "ledger.db")
    records = open_records(path, DATABASE_KEY)
    ledger = Ledger(records, made.signers[Purpose.LEDGER], made.clock)
    yield dataclasses.replace(made, path=path, records=records, ledger=ledger)
    records.dispose()


def _sql(world, statement: str) -> None:
    with world.records.begin() as connection:
        assert connection.execute(text(statement)).rowcount != 0


@pytest.mark.attacks("C5")
def test_rebuild_gives_the_same_rows(world):
    before = _rows(world)
    assert len(before["evidence"]) == 303
    assert len(before["subject"]) == 304
    world.ledger.rebuild()
    assert _rows(world) == before
    _sql(world, "DROP TABLE subject")
    _sql(world, "DELETE FROM evidence WHERE entry % 3 = 1")
    world.ledger.rebuild()
    assert _rows(world) == before
    world.ledger.audit()


def test_a_failed_commit_leaves_no_row(world):
    before = _rows(world)

    def fail(connection, indexes):
        assert _count(connection, "evidence") == 304  # the projection is in this transaction
        raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        world.ledger.append([world.state(refusal("new"))], also=fail)
    assert _rows(world) == before
    world.ledger.audit()


def _count(connection, table: str) -> int:
    return connection.execute(text(f"SELECT count(*) FROM {table}")).scalar()


def test_a_failed_rebuild_changes_nothing(world):
    _sql(world, "UPDATE entry SET data = x'7b7d' WHERE \"index\" = 200")
    before = _rows(world)
    with pytest.raises(NotProven, match="entry 200"):
        world.ledger.rebuild()
    assert _rows(world) == before


def test_an_honest_ledger_passes(world):
    world.ledger.audit()
    world.reopen().audit()


@pytest.mark.attacks("C4")
@pytest.mark.parametrize(
    ("statement", "where"),
    [
        ("UPDATE entry SET data = replace(data, '}', ' ') WHERE \"index\" = 7", "entry 7"),
        ('UPDATE entry SET leaf = zeroblob(32) WHERE "index" = 7', "entry 7"),
        ('DELETE FROM entry WHERE "index" = 7', "between 0 and"),
        ('DELETE FROM entry WHERE "index" = 302', "between 0 and"),
        ("UPDATE tile SET hashes = zeroblob(8192)", "tile 0 of level 0"),
        ("UPDATE tile SET root = zeroblob(32)", "tile 0 of level 0"),
        ("DELETE FROM tile", "tile 0 of level 0"),
        ("INSERT INTO tile VALUES (0, 1, zeroblob(32), zeroblob(8192))", "tile 1"),
        ("UPDATE checkpoint SET root = zeroblob(32) WHERE size = 301", "size 301"),
        ("UPDATE checkpoint SET note = replace(note, 'A', 'B') WHERE size = 301", "size 301"),
        ("UPDATE checkpoint SET size = 300 WHERE size = 301", "size 300"),
        ("DELETE FROM checkpoint WHERE size = 303", "entry 302"),
        ("UPDATE evidence SET kind = 'load/v1' WHERE entry = 9", "evidence"),
        ("DELETE FROM evidence WHERE entry = 302", "evidence"),
        ("INSERT INTO evidence VALUES (303, 'load/v1', x'00')", "evidence 303"),
        ("UPDATE subject SET name = 'other' WHERE entry = 9", "subject"),
        ("DELETE FROM subject WHERE position = 1", "subject"),
        ("INSERT INTO subject VALUES (9, 1, 'refusal/v1', 'more', x'00')", "subject"),
    ],
)
def test_every_change_beside_the_door_is_found(world, statement, where):
    _sql(world, statement)
    with pytest.raises(NotProven, match=where):
        world.reopen().audit()


@pytest.mark.attacks("C3")
def test_an_entry_by_a_key_that_is_not_enrolled_is_found(world):
    """An operator with the database key, who even makes hashes and checkpoint fit, is found."""

    def seal(size, root):
        return note.sign_checkpoint(Checkpoint(ORIGIN, size, root), world.signers[Purpose.LEDGER])

    forged = dsse.sign(refusal("forged").payload(), [make_signer("x", Purpose.EVIDENCE)])
    Committer(world.records, seal).append(Batch([forged.encode()]))
    with pytest.raises(NotProven, match=r"entry 303: the signer .* is not enrolled"):
        world.ledger.audit()


def test_hashes_that_do_not_fit_the_checkpoint_stop_the_next_append(world):
    _sql(world, 'UPDATE entry SET leaf = zeroblob(32) WHERE "index" = 302')
    with pytest.raises(NotProven, match="do not lead to its checkpoint"):
        world.reopen().append([world.state(refusal("new"))])


def test_a_wrong_index_is_noticed_when_it_is_read(world):
    digest = world.ledger.envelope(5).digest
    _sql(world, "UPDATE evidence SET digest = zeroblob(32) WHERE entry = 6")
    _sql(world, "UPDATE evidence SET digest = x'01' WHERE entry = 5")
    with pytest.raises(NotProven, match="not the one that the index names"):
        world.ledger.find("refusal/v1")
    world.ledger.rebuild()
    assert world.ledger.index_of(digest) == 5


def test_a_locked_database_is_unavailable_not_wrong(world, monkeypatch):
    monkeypatch.setattr(sql, "BUSY_TIMEOUT_MS", 50)
    other = world.reopen()
    with schema.writing(world.records), pytest.raises(Unavailable, match="locked"):
        other.append([world.state(refusal("new"))])
    assert other.append([world.state(refusal("new"))]) == range(303, 304)
