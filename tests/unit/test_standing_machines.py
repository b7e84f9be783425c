# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Which machines the ledger knows, after keys that signed about them count no more.

To see these tests fail I once broke the code: with `newest_of(*MACHINE_KINDS)` alone the forged
machine stayed in what is asked again; without `past` a fresh `Machines` raised for ever; with the
ends of machines dropped like all else, a removed one came back.
"""

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from bastide.app.machines import Machines, Standing, machine_statement
from bastide.core.errors import NotAllowed, NotProven
from bastide.core.key import Purpose
from bastide.core.party import Party
from bastide.core.service import Caller
from bastide.core.subject import Digest
from bastide.crypto import dsse
from bastide.ledger import schema
from unit.ledger_fixture import World, make_ledger, make_signer
from unit.test_register import enrolment


def state(world: World, kind: str, name: str, **body: Any) -> int:
    """State something of a machine; its entry."""
    row = world.ledger.append_statement(
        machine_statement(kind, name, 1, **body), [world.signers[Purpose.EVIDENCE]]
    )
    return row.entry or 0


def join(world: World, name: str, invitation: str) -> int:
    """A machine is invited and joins; the entry of its invitation."""
    given = {"invitation": str(Digest.of(invitation.encode()))}
    entry = state(world, "machine/v1", name, **given, expires_ms=9)
    state(world, "machine-key/v1", name, **given, key=key_of(invitation))
    return entry


def key_of(invitation: str) -> str:
    """The key that a machine made when it came with this."""
    return str(Digest.of(b"the key for " + invitation.encode()))


def stolen(world: World, since: int) -> None:
    """The evidence key is replaced: it was stolen, and what it signed before `since` counts."""
    old, new = world.signers[Purpose.EVIDENCE], make_signer("another evidence", Purpose.EVIDENCE)
    gone = {"key": old.public.ident, "state": "compromised", "trusted_before": since}
    by = [world.parties[party] for party in (Party.OPERATOR, Party.GUARDIAN)]
    world.ledger.append_statement(enrolment(new, replaces=gone), [new, *by])
    world.signers[Purpose.EVIDENCE] = new


@pytest.mark.attacks("C262")
def test_a_machine_that_a_stolen_key_let_in_is_out_and_the_others_stay(tmp_path: Path) -> None:
    world = make_ledger(tmp_path)
    asked = Machines(world.ledger)
    join(world, "b", "b")
    forged = join(world, "c", "c")
    assert set(asked.now()) == {"b", "c"}
    thief = Caller("machine", machine="c", key=key_of("c"))
    asked.verify(thief)
    stolen(world, forged)
    for machines in (asked, Machines(world.ledger)):
        assert {name: row.standing for name, row in machines.now().items()} == {
            "b": Standing.JOINED
        }
        with pytest.raises(NotAllowed, match="there is no machine c"):
            machines.verify(thief)
        assert machines.reasons_against("c") == ["there is no machine c"]
    # The name is free, and the successor of the key invites.
    join(world, "c", "d")
    assert asked.now()["c"].key == key_of("d")


def test_an_end_goes_on_ending_and_an_invitation_before_a_forged_one_counts_again(
    tmp_path: Path,
) -> None:
    world = make_ledger(tmp_path)
    join(world, "b", "b")
    join(world, "c", "c")
    since = state(world, "machine-end/v1", "b", reason="sold")
    join(world, "c", "e")
    stolen(world, since)
    found = Machines(world.ledger).now()
    assert found["b"].standing is Standing.REMOVED
    assert (found["c"].standing, found["c"].key) == (Standing.JOINED, key_of("c"))


def test_a_planted_statement_stops_everything(tmp_path: Path) -> None:
    """A key that could never sign is no key that counts no more."""
    world = make_ledger(tmp_path)
    entry = join(world, "b", "b")
    machines = Machines(world.ledger)
    stranger = make_signer("stranger", Purpose.EVIDENCE)
    given = {"invitation": str(Digest.of(b"x")), "expires_ms": 9}
    forged = dsse.sign(machine_statement("machine/v1", "b", 1, **given).payload(), [stranger])
    log, index = schema.entry, schema.evidence
    with world.records.begin() as connection:
        connection.execute(update(log).where(log.c.index == entry).values(data=forged.encode()))
        planted = update(index).where(index.c.entry == entry)
        connection.execute(planted.values(digest=forged.digest.raw))
    with pytest.raises(NotProven, match="not enrolled"):
        machines.now()
