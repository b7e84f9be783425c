# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""All keys of a party are stopped by one statement, in the eyes of the ledger and both verifiers.

Broken once to prove the tests: without rule 2 in `_without_party`, and with keys that it need not
name, they fail.
"""

from pathlib import Path

import pytest

from bastide.core.canonical import canonical
from bastide.core.errors import NotProven, Refused, Waiting
from bastide.core.evidence import Statement
from bastide.core.party import Party
from bastide.core.subject import Digest, Subject
from bastide.crypto import dsse
from bastide.crypto.dsse import Envelope, Signer
from bastide.ledger.verify import trace_bundle
from unit.chain_fixture import ChainWorld, make_chain
from unit.ledger_fixture import World, make_ledger
from unit.test_register import approval, change, enrolment, second
from unit.two_verifiers import read_as_tool, refuse, tool

FIRM, OPERATOR, GUARDIAN = Party.FIRM, Party.OPERATOR, Party.GUARDIAN


def revocation(party: Party, *keys: Signer, before: int | None = None) -> Statement:
    idents = sorted(key.public.ident for key in keys)
    body = {"party": party.value, "keys": idents, "trusted_before": before, "reason": "test"}
    subject = Subject(party.value, Digest.of(canonical({"party": party.value})))
    return Statement("party-revocation/v1", (subject,), {**body, "time_ms": 1})


@pytest.fixture
def world(tmp_path: Path) -> World:
    return make_ledger(tmp_path)


def put(world: World, statement: Statement, *by: Party) -> None:
    world.ledger.append_statement(statement, [world.parties[party] for party in by])


@pytest.mark.attacks("C274")
@pytest.mark.parametrize("by", [(FIRM,), (GUARDIAN,), (OPERATOR, GUARDIAN)])
def test_every_key_of_the_party_stops_at_once(world: World, by: tuple[Party, ...]) -> None:
    firm, new = world.parties[FIRM], second()
    two = [world.parties[OPERATOR], world.parties[GUARDIAN]]
    world.ledger.append_statement(enrolment(new), [new, *two])
    put(world, approval(FIRM), FIRM)
    put(world, revocation(FIRM, firm, new), *by)
    assert {firm.public.ident, new.public.ident}.isdisjoint(world.ledger.keys())
    assert world.ledger.approvals(Digest.of(b"r1")) == [], "nothing that they signed counts"
    for signer in (firm, new):
        with pytest.raises(NotProven, match="not enrolled"):
            world.ledger.append_statement(approval(FIRM, 7), [signer])
    world.ledger.audit()
    # The others go on, and enrol the party's next key.
    third = second(FIRM, "third")
    world.ledger.append_statement(enrolment(third), [third, *two])
    world.ledger.append_statement(approval(FIRM, 8), [third])
    assert len(world.ledger.approvals(Digest.of(b"r1"))) == 1
    world.ledger.audit()


@pytest.mark.attacks("C275")
def test_another_party_alone_stops_nobody(world: World) -> None:
    firm = world.parties[FIRM]
    with pytest.raises(Waiting, match="takes the firm or the guardian"):
        put(world, revocation(FIRM, firm), OPERATOR)
    assert not {firm.public.ident}.isdisjoint(world.ledger.keys())


@pytest.mark.attacks("C275")
def test_no_key_is_left_out_and_none_of_others_named(world: World) -> None:
    firm, new = world.parties[FIRM], second()
    two = [world.parties[OPERATOR], world.parties[GUARDIAN]]
    world.ledger.append_statement(enrolment(new), [new, *two])
    with pytest.raises(Refused, match=f"another key, {new.public.ident}"):
        put(world, revocation(FIRM, firm), GUARDIAN)
    with pytest.raises(Refused, match="has no key"):
        put(world, revocation(FIRM, firm, new, world.parties[OPERATOR]), GUARDIAN)


@pytest.mark.attacks("C275")
def test_it_is_said_once_and_stops_no_later_key(world: World) -> None:
    """Who keeps the signed statement cannot stop the next key by it, in whatever order it is."""
    firm, third = world.parties[FIRM], second(FIRM, "third")
    two = [world.parties[OPERATOR], world.parties[GUARDIAN]]
    signed = dsse.sign(revocation(FIRM, firm).payload(), two)
    world.ledger.append([signed])
    world.ledger.append_statement(enrolment(third), [third, *two])
    with pytest.raises(Refused):
        world.ledger.append([Envelope(signed.payload, tuple(reversed(signed.signatures)))])
    assert not {third.public.ident}.isdisjoint(world.ledger.keys())


def test_what_stands_before_an_entry_can_go_on_counting(world: World) -> None:
    put(world, approval(FIRM), FIRM)
    size = world.ledger.size
    put(world, revocation(FIRM, world.parties[FIRM], before=size), GUARDIAN)
    assert len(world.ledger.approvals(Digest.of(b"r1"))) == 1
    world.ledger.audit()


@pytest.mark.attacks("C274")
@pytest.mark.parametrize("trusted", [False, True])
def test_both_verifiers_follow_it(tmp_path: Path, trusted: bool) -> None:
    chain: ChainWorld = make_chain(tmp_path)
    size = chain.world.ledger.size if trusted else None
    put(chain.world, revocation(FIRM, chain.world.parties[FIRM], before=size), GUARDIAN)
    bundle = chain.bundle()
    if trusted:
        trace_bundle(bundle, chain.anchors)
        tool.verify(*read_as_tool(bundle, chain.anchors))
    else:
        refuse(bundle, chain.anchors, "not enrolled")


@pytest.mark.attacks("C275")
@pytest.mark.parametrize("how", ["nobody", "a stranger's", "left out", "twice"])
def test_the_independent_verifier_takes_no_other(world: World, how: str) -> None:
    body = world.ledger.charter().body
    register = tool.Register(tool.enrolled(body["keys"], "the charter"))
    keys = {key["party"]: key for key in register.keys.values() if key.get("party")}
    firm = world.parties[FIRM]
    said, by = dict(revocation(FIRM, firm).body), [keys["guardian"]]
    if how == "nobody":
        by = [keys["operator"]]
    elif how == "a stranger's":
        said["keys"] = sorted([firm.public.ident, keys["operator"]["id"]])
    elif how == "left out":
        said["keys"] = []
    else:
        register.learn("party-revocation", said, by, 1, "here")
    with pytest.raises(tool.NotProvenError):
        register.learn("party-revocation", said, by, 2, "here")


def test_a_key_that_was_stopped_before_can_be_named_too(world: World) -> None:
    firm = world.parties[FIRM]
    put(world, approval(FIRM), FIRM)
    put(world, change(firm.public.ident, "deactivated"), FIRM)
    assert len(world.ledger.approvals(Digest.of(b"r1"))) == 1
    assert world.ledger.register().revocable("firm") == [firm.public.ident]
    put(world, revocation(FIRM, firm), GUARDIAN)
    assert world.ledger.approvals(Digest.of(b"r1")) == []
    assert world.ledger.register().revocable("firm") == []
