# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""A denial is a party's statement: who holds the machine neither lifts nor replays it unseen.

Broken once to prove the tests: with ends that need the guardian alone, that need not name the
newest denial, that readers take from the database unchecked, and with an audit that asks nothing
of loads, they fail.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete

from bastide.app.denials import SignedDenials, reasons_against
from bastide.app.loading import prove_stated
from bastide.app.revocations import recalled, stopped
from bastide.core.errors import Misconfigured, NotProven, Refused
from bastide.core.evidence import Evidence, Statement
from bastide.core.key import Purpose
from bastide.core.party import Party
from bastide.core.register import KeyState
from bastide.core.subject import Digest
from bastide.crypto import dsse
from bastide.crypto.dsse import Envelope
from bastide.ledger import schema
from bastide.ledger.denials import DENIAL, DENIAL_END, denial_subject, objects_of
from unit.chain_fixture import ChainWorld, make_chain
from unit.ledger_fixture import World, make_ledger
from unit.test_decided import plant
from unit.test_register import change

NAME = "models/"


@pytest.fixture
def world(tmp_path: Path) -> World:
    return make_ledger(tmp_path)


@pytest.fixture
def chain(tmp_path: Path) -> ChainWorld:
    return make_chain(tmp_path)


def denial(party: Party, name: str = NAME, **said: Any) -> Statement:
    body = {"name": name, "party": party.value, "reason": "a test", "time_ms": 1, **said}
    return Statement(DENIAL, (denial_subject(name),), body)


def end(of: Digest, name: str = NAME, time_ms: int = 1) -> Statement:
    body = {"name": name, "denial": str(of), "reason": "a test", "time_ms": time_ms}
    return Statement(DENIAL_END, (denial_subject(name),), body)


def sign(world: World, statement: Statement, *parties: Party) -> Envelope:
    return dsse.sign(statement.payload(), [world.parties[party] for party in parties])


def deny(world: World, party: Party, name: str = NAME, **said: Any) -> Digest:
    envelope = sign(world, denial(party, name, **said), party)
    world.ledger.append([envelope])
    return envelope.digest


def state(world: World, new: KeyState, trusted_before: int | None = None) -> None:
    """Two parties change the state of the guardian's first key."""
    key = world.parties[Party.GUARDIAN].public.ident
    by = [world.parties[Party.OPERATOR], world.parties[Party.FIRM]]
    world.ledger.append_statement(change(key, new.value, trusted_before), by)


def names(world: World) -> tuple[str, ...]:
    return SignedDenials(world.reopen())()


# Who denies, and who lets go on


@pytest.mark.attacks("C285")
@pytest.mark.parametrize("signer", [*Party, Purpose.EVIDENCE])
@pytest.mark.parametrize("named", Party)
def test_each_party_denies_for_itself_alone(world: World, signer: Any, named: Party) -> None:
    by = world.parties[signer] if signer in world.parties else world.signers[signer]
    envelope = dsse.sign(denial(named).payload(), [by])
    if signer is named:
        world.ledger.append([envelope])
        assert names(world) == (NAME,)
    else:
        with pytest.raises(NotProven, match="exactly one key of the party"):
            world.ledger.append([envelope])
        assert names(world) == ()


@pytest.mark.attacks("C286")
@pytest.mark.parametrize(
    ("deniers", "signers", "ends"),
    [
        ([Party.GUARDIAN], [Party.GUARDIAN], True),
        ([Party.OPERATOR], [Party.GUARDIAN], True),
        ([Party.OPERATOR], [Party.OPERATOR], False),
        ([Party.OPERATOR], [Party.OPERATOR, Party.FIRM], False),
        ([Party.FIRM], [Party.GUARDIAN], False),
        ([Party.FIRM], [Party.FIRM], False),
        ([Party.FIRM], [Party.OPERATOR, Party.GUARDIAN], False),
        ([Party.FIRM], [Party.FIRM, Party.GUARDIAN], True),
        # A denial of another party on top does not take the firm's away.
        ([Party.FIRM, Party.OPERATOR], [Party.GUARDIAN], False),
        ([Party.FIRM, Party.OPERATOR], [Party.FIRM, Party.GUARDIAN], True),
    ],
)
def test_who_ends_a_denial(
    world: World, deniers: list[Party], signers: list[Party], ends: bool
) -> None:
    newest = [deny(world, party) for party in deniers][-1]
    envelope = sign(world, end(newest), *signers)
    if ends:
        world.ledger.append([envelope])
    else:
        with pytest.raises(NotProven, match="takes the signature of the"):
            world.ledger.append([envelope])
        plant(world, envelope)  # beside the door: readers and auditors do not believe it
        with pytest.raises(NotProven, match="takes the signature of the"):
            world.ledger.audit()
    assert names(world) == (() if ends else (NAME,))


@pytest.mark.attacks("C286")
def test_services_end_nothing(world: World) -> None:
    statement = end(deny(world, Party.GUARDIAN))
    for signers in (
        [world.signers[Purpose.EVIDENCE]],
        [world.signers[Purpose.EVIDENCE], world.parties[Party.GUARDIAN]],
    ):
        with pytest.raises(NotProven, match="parties' keys alone"):
            world.ledger.append_statement(statement, signers)


def used_before(world: World, kept: Envelope) -> Envelope:
    """The same signatures in another order, so that it is another envelope."""
    return Envelope(kept.payload, tuple(reversed(kept.signatures)))


def never_used(world: World, kept: Envelope) -> Envelope:
    """Signed for the denial before, and kept."""
    (first, *_) = world.ledger.find(DENIAL)
    return sign(world, end(first.digest, time_ms=7), Party.FIRM, Party.GUARDIAN)


def of_another_name(world: World, kept: Envelope) -> Envelope:
    newest = world.ledger.find(DENIAL)[-1].digest
    return sign(world, end(newest, "models/other"), Party.FIRM, Party.GUARDIAN)


@pytest.mark.attacks("C287")
@pytest.mark.parametrize("attack", [used_before, never_used, of_another_name])
def test_an_end_ends_one_denial_once(
    world: World, attack: Callable[[World, Envelope], Envelope]
) -> None:
    kept = sign(world, end(deny(world, Party.FIRM)), Party.FIRM, Party.GUARDIAN)
    world.ledger.append([kept])
    assert names(world) == ()
    with pytest.raises(Refused, match="nothing in the ledger denies"):
        world.ledger.append([used_before(world, kept)])
    deny(world, Party.FIRM, time_ms=2)
    with pytest.raises(Refused, match=r"in force is|nothing in the ledger denies"):
        world.ledger.append([attack(world, kept)])
    plant(world, attack(world, kept))
    assert names(world) == (NAME,)
    with pytest.raises(NotProven, match=r"in force is|nothing in the ledger denies"):
        world.ledger.audit()


@pytest.mark.attacks("C285")
def test_a_row_that_is_removed_is_found_by_the_audit(world: World) -> None:
    deny(world, Party.FIRM)
    world.ledger.audit()
    with schema.writing(world.records) as connection:
        connection.execute(delete(schema.subject).where(schema.subject.c.kind == DENIAL))
    with pytest.raises(NotProven, match="the projection subject differs"):
        world.ledger.audit()


@pytest.mark.attacks("C286")
def test_an_end_by_a_key_that_counts_no_more_ends_nothing(world: World) -> None:
    deny(world, Party.GUARDIAN)
    deny(world, Party.GUARDIAN, "corpora/")
    newest = world.ledger.find(DENIAL)[0].digest
    world.ledger.append([sign(world, end(newest), Party.GUARDIAN)])
    assert names(world) == ("corpora/",)
    state(world, KeyState.COMPROMISED)
    # What the key denied stays denied: it only took away.
    assert set(names(world)) == {NAME, "corpora/"}


@pytest.mark.parametrize(
    "name", ["", "/", "Models/", "models/ ", "modеls/", "../models", "**", "a" * 1_001, 7, None]
)
def test_what_looks_like_a_name_denies_nothing_and_is_refused(world: World, name: Any) -> None:
    statement = Statement(
        DENIAL, denial(Party.FIRM).subjects, denial(Party.FIRM).body | {"name": name}
    )
    with pytest.raises((Misconfigured, NotProven)):
        world.ledger.append([sign(world, statement, Party.FIRM)])


# What was loaded


def load(chain: ChainWorld, **said: Any) -> Statement:
    body = {
        "deployment": str(chain.rows["deployment"].subject.digest),
        "node": "node-1",
        "sandbox": "bubblewrap",
        "model": str(chain.rows["admission"].subject.digest),
        "replica": 1,
        "time_ms": chain.world.clock.now_ms(),
        **said,
    }
    return Statement("load/v1", (chain.rows["deployment"].subject,), body)


def _released(chain: ChainWorld) -> Evidence:
    return chain.rows["release"]


@pytest.mark.attacks("C288")
@pytest.mark.parametrize("name", ["*", "models/", "models/1", "releases/", "m"])
def test_a_load_after_a_denial_is_refused_and_named_by_the_audit(
    chain: ChainWorld, name: str
) -> None:
    world = chain.world
    world.ledger.append([world.state(load(chain))])
    digest = deny(world, Party.FIRM, name)
    entry = world.ledger.index_of(digest)
    late = world.state(load(chain, time_ms=2))
    with pytest.raises(Refused, match=f"entry {entry} denies"):
        world.ledger.append([late])
    world.ledger.audit()  # the load before it was none after it
    plant(world, late)
    with pytest.raises(NotProven, match=f"entry {entry + 1}: a load of what entry {entry} denies"):
        world.ledger.audit()


@pytest.mark.attacks("C288")
def test_a_load_that_names_another_model_is_known_by_its_deployment(chain: ChainWorld) -> None:
    deny(chain.world, Party.FIRM)
    other = load(chain, model=str(Digest.of(b"another")))
    with pytest.raises(Refused, match="denies to everybody"):
        chain.world.ledger.append([chain.world.state(other)])


def test_other_names_let_it_be_loaded(chain: ChainWorld) -> None:
    world = chain.world
    for name in ("models/2", "corpora/", "models/1/1", "odels/"):
        deny(world, Party.FIRM, name)
    world.ledger.append([world.state(load(chain))])
    newest = deny(world, Party.OPERATOR)
    world.ledger.append([sign(world, end(newest), Party.GUARDIAN)])
    world.ledger.append([world.state(load(chain, time_ms=3))])
    world.ledger.audit()
    assert stopped(world.ledger, chain.rows["deployment"]) == []


@pytest.mark.attacks("C288")
def test_what_serves_it_is_stopped_and_its_last_answers_are_cut(chain: ChainWorld) -> None:
    world, running = chain.world, chain.rows["deployment"]
    assert stopped(world.ledger, running) == recalled(world.ledger, running) == []
    newest = deny(world, Party.FIRM)
    (reason,) = stopped(world.ledger, running)
    assert "the firm denied the opening of models/" in reason and "a test" in reason
    assert recalled(world.ledger, running) == [reason]
    with pytest.raises(Refused, match="the firm denied"):
        prove_stated(world.ledger, running.subject.digest)
    world.ledger.append([sign(world, end(newest), Party.FIRM, Party.GUARDIAN)])
    assert stopped(world.ledger, running) == recalled(world.ledger, running) == []


def test_the_objects_of_a_deployment(chain: ChainWorld) -> None:
    running, released = chain.rows["deployment"].subject.digest, _released(chain).subject.digest
    names = objects_of(chain.world.ledger.find, running)
    assert names == {"models/1", f"releases/{released.hex}/model.sig"}
    assert reasons_against(chain.world.ledger, running) == []
    assert not chain.world.ledger.denials().standing
