# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What was denied and let go is denied again with the key that let it go, and can be let go again.

The door, the readers and the audit must agree on it. Before `DenialLog` they did not: a guardian's
key that was compromised denied to every reader what the door took for let go, so nobody could end
it any more, and the door took loads that no reader would open.
"""

from collections.abc import Sequence
from pathlib import Path

import pytest

from bastide.core.errors import NotProven, Refused
from bastide.core.evidence import Statement
from bastide.core.key import Purpose, Scheme
from bastide.core.party import Party
from bastide.core.register import KeyState
from bastide.core.subject import Digest
from bastide.crypto import dsse
from bastide.crypto.dsse import Envelope, Signer
from bastide.ledger.denials import DENIAL_END
from unit.chain_fixture import ChainWorld, make_chain
from unit.ledger_fixture import World, make_ledger, make_signer
from unit.test_decided import RULED, emergency, plant
from unit.test_denials import NAME, deny, end, load, names, sign, state
from unit.test_register import enrolment


@pytest.fixture
def world(tmp_path: Path) -> World:
    return make_ledger(tmp_path)


@pytest.fixture
def chain(tmp_path: Path) -> ChainWorld:
    return make_chain(tmp_path)


def another_guardian(world: World) -> Signer:
    """A second key of the guardian, enrolled by the two other parties."""
    key = make_signer("again", Purpose.PARTY, Scheme.SSHSIG, Party.GUARDIAN)
    by = [world.parties[Party.OPERATOR], world.parties[Party.FIRM], key]
    world.ledger.append_statement(enrolment(key), by)
    return key


def signed_end(of: Digest, by: Sequence[Signer], time_ms: int) -> Envelope:
    return dsse.sign(end(of, time_ms=time_ms).payload(), by)


@pytest.mark.attacks("C286")
@pytest.mark.parametrize("gone", [KeyState.COMPROMISED, KeyState.SUSPENDED])
def test_what_comes_back_with_its_key_is_let_go_again(world: World, gone: KeyState) -> None:
    denied = deny(world, Party.FIRM)
    world.ledger.append([sign(world, end(denied), Party.FIRM, Party.GUARDIAN)])
    other = another_guardian(world)
    assert names(world) == ()
    state(world, gone)
    assert names(world) == (NAME,)
    # The firm denied it, and that still takes the firm: also after a denial of somebody else.
    newest = deny(world, Party.OPERATOR, time_ms=8)
    for ledger in (world.ledger, world.reopen()):
        with pytest.raises(NotProven, match="takes the signature of the firm too"):
            ledger.append([signed_end(newest, [other], 9)])
        with pytest.raises(Refused, match="in force is"):
            ledger.append([signed_end(denied, [other, world.parties[Party.FIRM]], 9)])
    world.ledger.append([signed_end(newest, [other, world.parties[Party.FIRM]], 9)])
    assert names(world) == ()
    world.ledger.audit()


@pytest.mark.attacks("C286")
def test_an_end_of_a_key_that_is_active_again_counts_again(world: World) -> None:
    world.ledger.append([sign(world, end(deny(world, Party.GUARDIAN)), Party.GUARDIAN)])
    other = another_guardian(world)
    state(world, KeyState.SUSPENDED)
    (denied,) = world.ledger.find("denial/v1")
    world.ledger.append([signed_end(denied.digest, [other], 9)])
    assert names(world) == ()
    state(world, KeyState.ACTIVE)
    assert names(world) == ()
    world.ledger.audit()
    with pytest.raises(Refused, match="nothing in the ledger denies"):
        world.ledger.append([signed_end(denied.digest, [other], 11)])


@pytest.mark.attacks("C288")
def test_a_load_is_refused_by_the_door_as_by_the_readers(chain: ChainWorld) -> None:
    world = chain.world
    denied = deny(world, Party.OPERATOR)
    world.ledger.append([sign(world, end(denied), Party.GUARDIAN)])
    other = another_guardian(world)
    world.ledger.append([world.state(load(chain))])
    world.ledger.audit()
    state(world, KeyState.COMPROMISED)
    late = world.state(load(chain, time_ms=2))
    for ledger in (world.ledger, world.reopen()):
        with pytest.raises(Refused, match="denies to everybody"):
            ledger.append([late])
    world.ledger.append([signed_end(denied, [other], 9)])
    world.ledger.append([late])
    world.ledger.audit()
    assert names(world) == ()


@pytest.mark.attacks("C286")
def test_an_end_that_was_written_beside_the_door_ends_nothing_at_the_door(world: World) -> None:
    denied = deny(world, Party.FIRM)
    plant(world, sign(world, end(denied), Party.GUARDIAN))
    ledger = world.reopen()
    with pytest.raises(NotProven, match="takes the signature of the firm too"):
        ledger.append([sign(world, end(denied, time_ms=3), Party.GUARDIAN)])
    ledger.append([sign(world, end(denied, time_ms=3), Party.GUARDIAN, Party.FIRM)])
    assert names(world) == ()


@pytest.mark.attacks("C288")
def test_an_emergency_leaves_what_was_denied_again(tmp_path: Path) -> None:
    """While one is open every entry since is read once more, and each end among them."""
    world = make_ledger(tmp_path, policy=RULED)
    emergency(world)
    first = deny(world, Party.GUARDIAN)
    world.ledger.append([sign(world, end(first), Party.GUARDIAN)])
    again = deny(world, Party.GUARDIAN, time_ms=2)
    world.reopen().append([sign(world, end(again, time_ms=3), Party.GUARDIAN)])
    assert names(world) == ()
    assert len(world.ledger.find(DENIAL_END)) == 2


def test_what_is_admitted_later_makes_no_earlier_load_wrong(chain: ChainWorld) -> None:
    world = chain.world
    deny(world, Party.FIRM, "models/2")
    world.ledger.append([world.state(load(chain, time_ms=2))])
    world.ledger.audit()
    admitted = chain.rows["admission"]
    objects = [{**one, "object": "models/2"} for one in admitted.body["objects"]]
    again = Statement(
        admitted.kind, admitted.statement.subjects, {**admitted.body, "objects": objects}
    )
    world.ledger.append([world.state(again)])
    world.ledger.audit()  # the load opened models/1, and only that was known of the model then
    late = world.state(load(chain, time_ms=3))
    with pytest.raises(Refused, match="denies to everybody"):
        world.ledger.append([late])
    plant(world, late)
    with pytest.raises(NotProven, match="a load of what entry"):
        world.ledger.audit()
