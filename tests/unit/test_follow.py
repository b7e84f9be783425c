# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""A replica of the ledger takes the entries that the ledger signed, and no others.

To see these tests fail I once broke the code: with `_seal` not comparing the root, the forged and
the left-out entry got in; without `_register.after` the second ledger key's head was refused.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, select

from bastide.adapters.records.sql import open_records
from bastide.core.errors import NotAllowed, NotProven
from bastide.core.key import Purpose
from bastide.crypto import dsse, merkle, note
from bastide.crypto.note import Checkpoint
from bastide.ledger import Ledger, follow, schema
from bastide.ledger.bundle import export_anchors
from bastide.ledger.follow import Replica, page
from bastide.ledger.tree import Tree
from unit.ledger_fixture import (
    DATABASE_KEY,
    ORIGIN,
    World,
    make_ledger,
    make_signer,
    refusal,
    tenant,
)
from unit.test_acts import log_in
from unit.test_register import PARTIES, enrolment


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = make_ledger(tmp_path)
    for first in range(0, 40, 8):
        made.ledger.append([made.state(refusal(number)) for number in range(first, first + 8)])
    yield made
    made.records.dispose()


@pytest.fixture
def copied(tmp_path: Path) -> Iterator[Engine]:
    records = open_records(tmp_path / "replica.db", DATABASE_KEY)
    yield records
    records.dispose()


def replica_of(world: World, records: Engine) -> Replica:
    return Replica(records, export_anchors(world.ledger))


def catch_up(world: World, replica: Replica) -> int:
    """Ask until nothing is missing; how many answers it took."""
    for count in range(1_000):
        entries, head = page(world.records, replica.size, replica.wanted)
        if not entries:
            return count
        replica.take(entries, head)
    raise AssertionError("it never ends")


def rows(records: Engine) -> dict[str, list[Any]]:
    """Every entry, tile and projected row."""
    tables = (schema.entry, schema.tile, *schema.PROJECTIONS.sorted_tables)
    with records.connect() as connection:
        return {
            table.name: connection.execute(select(table).order_by(*table.primary_key)).all()
            for table in tables
        }


@pytest.mark.attacks("C263")
def test_a_replica_has_the_same_rows_and_passes_the_audit(world: World, copied: Engine) -> None:
    replica = replica_of(world, copied)
    catch_up(world, replica)
    world.ledger.login = log_in(world)  # and an act that names it, in one answer
    world.ledger.append_statement(tenant("acme"), [world.signers[Purpose.EVIDENCE]])
    world.ledger.append([world.state(refusal(number)) for number in range(100, 400)])
    catch_up(world, replica)
    assert rows(copied) == rows(world.records)
    ledger = Ledger(copied, None, world.clock)
    ledger.audit()
    assert ledger.checkpoint() == world.ledger.checkpoint()
    with pytest.raises(NotAllowed):
        ledger.append([world.state(refusal("mine"))])


def test_it_goes_on_where_it_was_after_a_restart(world: World, copied: Engine) -> None:
    catch_up(world, replica_of(world, copied))
    world.ledger.append([world.state(refusal("late"))])
    again = replica_of(world, copied)
    assert again.wanted == world.ledger.size - 1
    catch_up(world, again)
    assert rows(copied) == rows(world.records)


def test_long_commits_come_in_pieces(
    world: World, copied: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follow, "FOLLOW_BYTES", 2_000)
    replica = replica_of(world, copied)
    assert catch_up(world, replica) > 5
    assert rows(copied) == rows(world.records)


def test_the_ledgers_key_may_change_on_the_way(world: World, copied: Engine) -> None:
    old = world.signers[Purpose.LEDGER].public.ident
    new = make_signer("ledger-2", Purpose.LEDGER)
    gone = {"key": old, "state": "deactivated", "trusted_before": None}
    by = [new, *(world.parties[party] for party in PARTIES)]
    world.ledger.append([dsse.sign(enrolment(new, replaces=gone).payload(), by)])
    world.ledger.hold(new)
    world.ledger.append([world.state(refusal("after"))])
    replica = replica_of(world, copied)
    catch_up(world, replica)
    Ledger(copied, None, world.clock).audit()
    assert rows(copied) == rows(world.records)
    # The old key signs no head any more.
    world.ledger.append([world.state(refusal("later"))])
    entries, _ = page(world.records, replica.size, replica.size)
    forged = head_over(world, [*all_entries(world.records)], world.signers[Purpose.LEDGER])
    with pytest.raises(NotProven):
        replica.take(entries, forged)


def all_entries(records: Engine) -> list[bytes]:
    with records.connect() as connection:
        wanted = select(schema.entry.c.data).order_by(schema.entry.c.index)
        return list(connection.execute(wanted).scalars())


def head_over(world: World, entries: list[bytes], signer: Any) -> str:
    """A head that a signer would make of some entries."""
    tree = Tree().grown([merkle.leaf_hash(data) for data in entries])
    return note.sign_checkpoint(Checkpoint(ORIGIN, tree.size, tree.root()), signer)


def changed(data: bytes) -> bytes:
    row = json.loads(data)
    row["signatures"][0]["sig"] = row["signatures"][0]["sig"][::-1]
    return json.dumps(row, separators=(",", ":"), sort_keys=True).encode()


Change = Callable[[World, list[bytes], str], tuple[list[bytes], str]]
_BAD: dict[str, Change] = {
    "entry 5:": lambda world, rows, head: ([*rows[:5], changed(rows[5]), *rows[6:]], head),
    "is not over those that came": lambda world, rows, head: ([*rows[:7], *rows[8:]], head),
    "entry 0:": lambda world, rows, head: (rows[1:], head),
    "SHA256:|key": lambda world, rows, head: (
        rows,
        head_over(world, rows, make_signer("another", Purpose.LEDGER)),
    ),
}


@pytest.mark.attacks("C263")
@pytest.mark.parametrize("reason", _BAD)
def test_what_the_ledger_did_not_sign_is_not_taken(
    world: World, copied: Engine, reason: str
) -> None:
    replica = replica_of(world, copied)
    entries, head = page(world.records, 0, 0)
    with pytest.raises(NotProven, match=reason):
        replica.take(*_BAD[reason](world, entries, head))
    assert replica.size == replica.wanted == 0
    catch_up(world, replica)  # and the right ones afterwards are
    assert replica.size == world.ledger.size


def test_entries_without_a_head_are_not_held_for_ever(
    world: World, copied: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    replica = replica_of(world, copied)
    entries, _ = page(world.records, 0, 0)
    monkeypatch.setattr(follow, "FOLLOW_ENTRIES", len(entries) - 1)
    with pytest.raises(NotProven, match="no head closes it"):
        replica.take(entries, "")
    assert replica.wanted == 0


@pytest.mark.attacks("C263")
def test_another_history_is_not_taken(world: World, copied: Engine, tmp_path: Path) -> None:
    """The ledger key itself signs a second history behind the same charter: a fork."""
    replica = replica_of(world, copied)
    catch_up(world, replica)
    fork = make_ledger(tmp_path, "fork.db")
    fork.ledger.append([fork.state(refusal(f"fork {number}")) for number in range(60)])
    assert fork.ledger.charter().digest == world.ledger.charter().digest
    entries, head = page(fork.records, replica.size, replica.size)
    with pytest.raises(NotProven, match="is not over those that came"):
        replica.take(entries, head)
    assert rows(copied) == rows(world.records)
    fork.records.dispose()


def test_another_environments_charter_is_not_taken(world: World, copied: Engine) -> None:
    anchors = export_anchors(world.ledger)
    anchors["charter"] = "sha256:" + "0" * 64
    entries, head = page(world.records, 0, 0)
    with pytest.raises(NotProven, match="not the charter of keys"):
        Replica(copied, anchors).take(entries, head)
