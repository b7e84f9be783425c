# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Rows that somebody wrote beside the door: they deny nothing, end nothing, and bar nothing.

Broken once to prove the tests: with a door that takes every row of the index for a statement, a
row without a name ended readers and door by a KeyError, and one with a bad signature made the true
statement one that was there already. While `Decisions` followed denials, too, such a row ended
whoever asked for emergencies, or for what parties decided.
"""

from pathlib import Path

import pytest

from bastide.app.emergencies import spans
from bastide.app.snapshots import verify_decisions
from bastide.core.errors import NotProven
from bastide.core.evidence import Statement
from bastide.core.party import Party
from bastide.crypto import dsse
from bastide.crypto.dsse import Envelope
from bastide.ledger.denials import DENIAL, DENIAL_END, denial_subject
from unit.ledger_fixture import World, make_ledger
from unit.test_decided import RULED, emergency, plant
from unit.test_denials import NAME, denial, deny, end, names, sign


@pytest.fixture
def world(tmp_path: Path) -> World:
    return make_ledger(tmp_path)


@pytest.mark.attacks("C286")
@pytest.mark.parametrize("kind", [DENIAL, DENIAL_END])
def test_a_row_that_names_nothing_stops_neither_reader_nor_door(world: World, kind: str) -> None:
    denied = deny(world, Party.FIRM)
    plant(world, _nameless(world, kind))
    assert names(world) == (NAME,)
    ledger = world.reopen()
    ledger.append([sign(world, denial(Party.GUARDIAN, "corpora/"), Party.GUARDIAN)])
    assert set(names(world)) == {NAME, "corpora/"}
    ledger.append([sign(world, end(denied), Party.FIRM, Party.GUARDIAN)])
    assert names(world) == ("corpora/",)
    with pytest.raises(NotProven):
        ledger.audit()


@pytest.mark.attacks("C286")
@pytest.mark.parametrize("kind", [DENIAL, DENIAL_END])
def test_a_row_that_names_nothing_stops_no_reader_of_decisions(tmp_path: Path, kind: str) -> None:
    world = make_ledger(tmp_path, policy=RULED)
    opened = emergency(world)
    plant(world, _nameless(world, kind))
    verify_decisions(world.ledger)
    (span,) = spans(world.ledger)
    assert str(span.row.digest) == opened


def _nameless(world: World, kind: str) -> Envelope:
    empty = Statement(kind, (denial_subject(NAME),), {"time_ms": 1})
    return dsse.sign(empty.payload(), [world.parties[Party.OPERATOR]])


@pytest.mark.attacks("C285")
def test_a_row_with_a_bad_signature_does_not_keep_the_true_one_out(world: World) -> None:
    said = sign(world, denial(Party.FIRM), Party.FIRM)
    ((ident, signature),) = said.signatures
    plant(world, Envelope(said.payload, ((ident, signature[:-1] + b"x"),)))
    assert names(world) == ()
    ledger = world.reopen()
    ledger.append([said])
    assert names(world) == (NAME,)
    ledger.append([sign(world, end(said.digest), Party.FIRM, Party.GUARDIAN)])
    assert names(world) == ()
