# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Statements name the login of who acted: one that is in the ledger before them, or none.

Broken once to prove the tests: without `verify_actor` at the door, without it in the audit, and
with a `name_actor` that leaves what a body had, they fail.
"""

from dataclasses import replace
from pathlib import Path

import pytest

from bastide.core.act import ACTS, BY, name_actor
from bastide.core.errors import Misconfigured, NotProven
from bastide.core.evidence import KINDS, Statement
from bastide.core.key import Purpose
from bastide.core.subject import Digest, Subject
from bastide.ledger import door
from bastide.ledger.shapes import SHAPES
from unit.ledger_fixture import World, make_ledger, refusal, tenant

NOWHERE = Digest.of(b"no entry has this digest")


@pytest.fixture
def world(tmp_path: Path) -> World:
    return make_ledger(tmp_path)


def log_in(world: World) -> Digest:
    body = {"person": "anna", "party": "operator", "people": str(NOWHERE), "how": "code"}
    body |= {"until_ms": 2, "time_ms": 1}
    statement = Statement("login/v1", (Subject("login", Digest.of(b"secret")),), body)
    return world.ledger.append_statement(statement, [world.signers[Purpose.EVIDENCE]]).digest


def test_acts_are_kinds_and_none_has_a_field_of_that_name() -> None:
    assert set(KINDS) > ACTS
    assert all(BY not in shape for shape in SHAPES.values())
    assert not ACTS & {"charter/v1", "login/v1", "receipts/v1", "approval/v1", "api-key/v1"}


@pytest.mark.attacks("C235")
def test_what_is_stated_after_a_login_names_it_and_not_the_person(world: World) -> None:
    evidence = [world.signers[Purpose.EVIDENCE]]
    before = world.ledger.append_statement(tenant("early"), evidence)
    world.ledger.login = log_in(world)
    row = world.ledger.append_statement(tenant("acme"), evidence)
    assert row.body[BY] == str(world.ledger.login)
    assert row == world.ledger.by_digest(row.digest)
    assert b"anna" not in world.ledger.envelope(row.entry or 0).encode()
    # A statement made of an older one says who acts now, and nobody if nobody has logged in.
    copied = replace(tenant("copy"), body={**row.body, "tenant": "copy"})
    world.ledger.login = None
    assert BY not in name_actor(copied, None).body
    assert BY not in before.body
    world.ledger.audit()


@pytest.mark.attacks("C235")
def test_a_login_that_is_not_in_the_ledger_is_nobodys(world: World) -> None:
    named = str(NOWHERE)
    with pytest.raises(NotProven, match="a login that is not in the ledger"):
        world.ledger.append([world.state(by(refusal(1), named))])
    # Nor is another statement one.
    other = world.ledger.append_statement(refusal(2), [world.signers[Purpose.EVIDENCE]])
    with pytest.raises(NotProven, match=r"names entry 1, a refusal/v1"):
        world.ledger.append([world.state(by(refusal(3), str(other.digest)))])
    for wrong in ("anna", 7, None):
        with pytest.raises(Misconfigured, match="by: not the digest of a login"):
            world.ledger.append([world.state(by(refusal(4), wrong))])
    login = log_in(world)
    world.ledger.append([world.state(by(refusal(5), str(login)))])


@pytest.mark.attacks("C235")
def test_an_audit_finds_an_act_whose_login_is_not_there(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who has the services' keys and other code writes what this door refuses."""
    with monkeypatch.context() as patched:
        patched.setattr(door, "verify_actor", lambda *_: None)
        world.ledger.append([world.state(by(refusal(1), str(NOWHERE)))])
    with pytest.raises(NotProven, match="entry 1: the refusal/v1 names a login"):
        world.ledger.audit()


def by(statement: Statement, named: object) -> Statement:
    return replace(statement, body={**statement.body, BY: named})
