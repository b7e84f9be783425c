# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Guards and erasure lists need the guardian's signature, at the door and in the audit.

The operator holds the services' keys: whatever they alone sign, or sign again, must fail. Broken
once to prove the tests: without the check of the parties, without the chain, and without the
emergencies' ends in `Decisions`, they fail.
"""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bastide.core.canonical import canonical
from bastide.core.errors import BastideError, NotProven, Refused
from bastide.core.evidence import Statement
from bastide.core.key import Purpose
from bastide.core.party import Party
from bastide.core.subject import Digest, Subject
from bastide.crypto import dsse
from bastide.crypto.dsse import Envelope
from bastide.crypto.note import Checkpoint, sign_checkpoint
from bastide.ledger import statements
from bastide.ledger.commit import Batch, Committer
from bastide.ledger.projections import project
from unit.ledger_fixture import POLICY, World, make_ledger, refusal, tenant

MINUTE = 60_000
RULED = copy.deepcopy(POLICY)
RULED["separate"] = True
RULED["rules"]["guard"] = {"gates": {}, "approvals": {"guardian": 1}}
BEFORE = {**copy.deepcopy(POLICY), "separate": True}  # a charter from before the rule


@pytest.fixture
def world(tmp_path: Path) -> World:
    return make_ledger(tmp_path, policy=RULED)


def guard(world: World, mask: str = "mask", who: str = "acme", **said: Any) -> Statement:
    body = {
        "tenant": who,
        "policy": {"out": {"iban": mask}},
        "previous": world.ledger.decided_before("guard/v1", who),
        "emergency": None,
        "time_ms": world.clock.now_ms(),
        **said,
    }
    return Statement("guard/v1", (Subject(who, Digest.of(canonical({"guard": who}))),), body)


def signed(world: World, statement: Statement, *parties: Party) -> Envelope:
    by = [world.signers[Purpose.EVIDENCE], *(world.parties[party] for party in parties)]
    return dsse.sign(statement.payload(), by)


def put(world: World, statement: Statement, *parties: Party) -> str:
    envelope = signed(world, statement, *parties)
    world.ledger.append([envelope])
    return str(envelope.digest)


def plant(world: World, envelope: Envelope) -> None:
    """What the operator can do who holds the database's and the ledger's key: no door."""
    _, evidence = statements.decode(envelope.encode(), world.ledger.size)

    def seal(size: int, root: bytes) -> str:
        checkpoint = Checkpoint(world.ledger.charter().body["origin"], size, root)
        return sign_checkpoint(checkpoint, world.signers[Purpose.LEDGER])

    committer = Committer(
        world.records, seal, project=lambda connection, _: project(connection, [evidence])
    )
    committer.append(Batch([envelope.encode()], [evidence]))


Attack = Callable[[World], Envelope]


def by_the_services_alone(world: World) -> Envelope:
    return signed(world, guard(world, "observe"))


def by_the_operator(world: World) -> Envelope:
    return signed(world, guard(world, "observe"), Party.OPERATOR)


def the_first_once_more(world: World) -> Envelope:
    """The guardian's own signature of an earlier policy, with the signatures in another order."""
    (first,) = [row for row in world.ledger.find("guard/v1") if row.body["previous"] is None]
    envelope = world.ledger.envelope(first.entry or 0)
    return Envelope(envelope.payload, tuple(reversed(envelope.signatures)))


def one_that_was_never_used(world: World) -> Envelope:
    """Signed by the guardian before the policy in force, and kept."""
    return world.extra["kept"]


def an_emergency_that_is_none(world: World) -> Envelope:
    named = guard(world, "observe", emergency="sha256:" + "1" * 64)
    return signed(world, named, Party.OPERATOR)


ATTACKS: dict[Attack, str] = {
    by_the_services_alone: "needs the signature of the guardian",
    by_the_operator: "needs the signature of the guardian",
    the_first_once_more: "in force is",
    one_that_was_never_used: "in force is",
    an_emergency_that_is_none: "an emergency that is not open",
}


@pytest.fixture
def decided(world: World) -> World:
    """Two policies that the guardian signed, and one that was never used."""
    put(world, guard(world), Party.GUARDIAN)
    world.extra["kept"] = signed(world, guard(world, "observe"), Party.GUARDIAN)
    put(world, guard(world, "refuse"), Party.GUARDIAN)
    world.ledger.audit()
    return world


@pytest.mark.attacks("C89", "C269")
@pytest.mark.parametrize("attack", ATTACKS, ids=lambda one: one.__name__)
def test_the_door_takes_no_other(decided: World, attack: Attack) -> None:
    size = decided.ledger.size
    with pytest.raises((NotProven, Refused), match=ATTACKS[attack]):
        decided.ledger.append([attack(decided)])
    assert decided.ledger.size == size
    with pytest.raises((NotProven, Refused), match=ATTACKS[attack]):
        decided.reopen().append([attack(decided)])


@pytest.mark.attacks("C89")
@pytest.mark.parametrize("attack", ATTACKS, ids=lambda one: one.__name__)
def test_the_audit_names_what_was_written_beside_the_door(decided: World, attack: Attack) -> None:
    plant(decided, attack(decided))
    entry = decided.ledger.size - 1
    with pytest.raises(NotProven, match=f"entry {entry}: .*{ATTACKS[attack]}"):
        decided.ledger.audit()


@pytest.mark.attacks("C269")
def test_two_at_once_do_not_both_follow_the_same(decided: World) -> None:
    one, other = guard(decided), guard(decided, "observe")
    put(decided, one, Party.GUARDIAN)
    with pytest.raises(Refused, match="in force is"):
        put(decided, other, Party.GUARDIAN)
    with pytest.raises(Refused, match="alone"):
        decided.ledger.append(
            [signed(decided, guard(decided), Party.GUARDIAN), decided.state(tenant("x"))]
        )
    decided.ledger.audit()


def test_tenants_have_chains_of_their_own(decided: World) -> None:
    put(decided, guard(decided, who="other"), Party.GUARDIAN)
    put(decided, guard(decided), Party.GUARDIAN)
    decided.ledger.audit()


def test_an_erasure_list_too(world: World) -> None:
    statement = erasure()
    with pytest.raises(NotProven, match="needs the signature of the guardian"):
        put(world, statement)
    put(world, statement, Party.GUARDIAN)
    plant(world, dsse.sign(statement.payload(), [world.signers[Purpose.EVIDENCE]]))
    with pytest.raises(NotProven, match="needs the signature of the guardian"):
        world.ledger.audit()


def erasure(emergency: str | None = None) -> Statement:
    digest = Digest.of(b"list")
    body = {"list": str(digest), "date": "2026-11-27", "entries": 1, "time_ms": 1}
    body |= {"previous": None, "emergency": emergency}
    return Statement("erasure/v1", (Subject("erasure", digest),), body)


# Charters from before the rule


@pytest.mark.attacks("C271")
def test_an_old_ledger_still_audits_and_asks_from_now_on(tmp_path: Path) -> None:
    world = make_ledger(tmp_path, policy=BEFORE)
    plant(world, signed(world, _old(guard(world))))
    world.ledger.audit()
    with pytest.raises(NotProven, match="needs the signature of the guardian"):
        put(world, guard(world, "refuse"))
    put(world, guard(world, "refuse"), Party.GUARDIAN)
    world.ledger.audit()
    # From the first that the guardian signed on, the audit asks as well.
    plant(world, signed(world, _old(guard(world, "observe"))))
    with pytest.raises(NotProven, match="needs the signature of the guardian"):
        world.ledger.audit()


def test_an_old_ledger_asks_for_lists_once_a_guard_was_signed(tmp_path: Path) -> None:
    world = make_ledger(tmp_path, policy=BEFORE)
    put(world, guard(world), Party.GUARDIAN)
    plant(world, signed(world, _old(erasure())))
    with pytest.raises(NotProven, match="needs the signature of the guardian"):
        world.ledger.audit()


def test_an_old_home_of_one_person_goes_on_as_before(tmp_path: Path) -> None:
    world = make_ledger(tmp_path)
    put(world, _old(guard(world)))
    put(world, _old(guard(world, "refuse")))
    world.ledger.audit()


def _old(statement: Statement) -> Statement:
    body = {name: value for name, value in statement.body.items() if name not in _NEW}
    return Statement(statement.kind, statement.subjects, body)


_NEW = ("previous", "emergency")


# Emergencies


def emergency(world: World, party: Party = Party.OPERATOR, minutes: int = 15) -> str:
    opened, incident = _emergency(world, party, minutes)
    world.ledger.append([opened, incident])
    return str(opened.digest)


def _emergency(
    world: World, party: Party = Party.OPERATOR, minutes: int = 15
) -> tuple[Envelope, Envelope]:
    """The emergency, and its incident."""
    now_ms = world.clock.now_ms()
    body = {"party": party.value, "reason": "a test", "minutes": minutes, "time_ms": now_ms}
    subject = Subject("break-glass", Digest.of(canonical(body)))
    payload = Statement("break-glass/v1", (subject,), body).payload()
    opened = dsse.sign(payload, [world.parties[party]])
    about = {"what": "break-glass", "about": str(opened.digest), "time_ms": now_ms}
    incident = Statement("incident/v1", (Subject("incident", opened.digest),), about)
    return opened, world.state(incident)


@pytest.mark.attacks("C270")
def test_an_emergency_without_its_incident_decides_nothing(world: World) -> None:
    """Or it would be left out of the record."""
    opened, _ = _emergency(world)
    world.ledger.append([opened])
    statement = guard(world, emergency=str(opened.digest))
    with pytest.raises(NotProven, match="not open"):
        put(world, statement, Party.OPERATOR)
    plant(world, signed(world, statement, Party.OPERATOR))
    with pytest.raises(NotProven, match="not open"):
        world.ledger.audit()


def test_an_emergency_is_for_no_erasure_list(world: World) -> None:
    opened = emergency(world)
    with pytest.raises(NotProven, match="no emergency is for"):
        put(world, erasure(opened), Party.OPERATOR)
    with pytest.raises(NotProven, match="no emergency is for"):
        put(world, erasure(opened), Party.GUARDIAN)


@pytest.mark.attacks("C270")
def test_in_an_emergency_the_party_that_opened_it_signs(world: World) -> None:
    opened = emergency(world)
    put(world, guard(world, emergency=opened), Party.OPERATOR)
    with pytest.raises(NotProven, match="needs the signature of the operator"):
        put(world, guard(world, "refuse", emergency=opened))
    with pytest.raises(NotProven, match="needs the signature of the operator"):
        put(world, guard(world, "refuse", emergency=opened), Party.FIRM)
    world.clock.advance(14 * MINUTE)
    put(world, guard(world, "refuse", emergency=opened), Party.OPERATOR)
    world.ledger.audit()


def _minutes_over(world: World, opened: str) -> Statement:
    world.clock.advance(15 * MINUTE)
    return guard(world, emergency=opened)


def _dated_back(world: World, opened: str) -> Statement:
    dated = guard(world, emergency=opened)
    world.clock.advance(15 * MINUTE)
    return dated


def _clock_set_back(world: World, opened: str) -> Statement:
    world.clock.advance(16 * MINUTE)
    world.ledger.append([world.state(refusal(1, world.clock.now_ms()))])
    world.clock.advance(-16 * MINUTE)
    return guard(world, emergency=opened)


def _closed(world: World, opened: str) -> Statement:
    body = {"about": opened, "report": "done", "time_ms": world.clock.now_ms()}
    statement = Statement("incident-end/v1", (Subject("incident", Digest.parse(opened)),), body)
    world.ledger.append([world.state(statement)])
    return guard(world, emergency=opened)


@pytest.mark.attacks("C270")
@pytest.mark.parametrize("over", [_minutes_over, _dated_back, _clock_set_back, _closed])
def test_an_emergency_that_is_over_decides_nothing(
    world: World, over: Callable[[World, str], Statement]
) -> None:
    statement = over(world, emergency(world))
    with pytest.raises(BastideError, match="emergency"):
        put(world, statement, Party.OPERATOR)
    # What is dated back is found by any later time that stands before it in the ledger.
    world.clock.advance(30 * MINUTE)
    world.ledger.append([world.state(refusal(2, world.clock.now_ms()))])
    plant(world, signed(world, statement, Party.OPERATOR))
    with pytest.raises(NotProven, match="emergency"):
        world.ledger.audit()


def _batch(world: World) -> Statement:
    now_ms, root = world.clock.now_ms(), "1" * 64
    body = {"count": 1, "root": root, "first_ms": now_ms, "last_ms": now_ms, "sealed_ms": now_ms}
    return Statement("receipts/v1", (Subject("receipts", Digest(root)),), body)


@pytest.mark.attacks("C270")
@pytest.mark.parametrize("between", [0, 1])
def test_an_old_emergency_gets_no_incident_afterwards(world: World, between: int) -> None:
    """Who holds the services' keys and one emergency that was signed and recorded nowhere."""
    opened, _ = _emergency(world)
    statement = guard(world, emergency=str(opened.digest))
    world.clock.advance(1_000 * MINUTE)
    late = {"what": "break-glass", "about": str(opened.digest), "time_ms": world.clock.now_ms()}
    if between:  # the incident has the right time, and is not where it belongs
        late["time_ms"] -= 1_000 * MINUTE
    plant(world, opened)
    for _ in range(between):
        plant(world, world.state(_batch(world)))
    plant(world, world.state(Statement("incident/v1", (Subject("incident", opened.digest),), late)))
    plant(world, signed(world, statement, Party.OPERATOR))
    with pytest.raises(NotProven, match="names an emergency that is not open"):
        world.ledger.audit()


@pytest.mark.attacks("C270")
def test_answers_end_an_emergency_too_and_times_of_parties_do_not(world: World) -> None:
    opened = emergency(world)
    approval = {
        "party": "firm",
        "action": "release",
        "decision": "approve",
        "comment": "",
        "time_ms": world.clock.now_ms() + 1_000 * MINUTE,
    }
    statement = Statement("approval/v1", (Subject("r", Digest("2" * 64)),), approval)
    world.ledger.append([dsse.sign(statement.payload(), [world.parties[Party.FIRM]])])
    put(world, guard(world, emergency=opened), Party.OPERATOR)
    world.clock.advance(15 * MINUTE)
    world.ledger.append([world.state(_batch(world))])
    world.clock.advance(-15 * MINUTE)
    with pytest.raises(NotProven, match="not open"):
        put(world, guard(world, "refuse", emergency=opened), Party.OPERATOR)
