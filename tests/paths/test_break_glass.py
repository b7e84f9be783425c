# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Emergencies: for minutes, loud, in the ledger, and only what the policies list.

Broken once to prove the tests: without the incident in `emergency_at`, and without the time of
later entries, they fail.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bastide.adapters.clock.fixed import FixedClock
from bastide.app.access import Access
from bastide.app.access_policies import apply_policies, propose_policies
from bastide.app.break_glass import close_emergency, list_emergencies, open_emergency
from bastide.app.deployments import deployment_approvals
from bastide.app.emergencies import approvals_told, mark
from bastide.app.environment import Environment
from bastide.app.guards import set_guard
from bastide.app.records import audit_ledger, list_entries, show_entry
from bastide.app.releases import list_releases, show_release
from bastide.app.tenants import add_tenant
from bastide.core.canonical import canonical
from bastide.core.errors import Misconfigured, NotAllowed, NotFound, NotProven, Refused
from bastide.core.evidence import Statement
from bastide.core.key import Purpose
from bastide.core.party import Party, Principal
from bastide.core.subject import Digest, Subject
from bastide.crypto import dsse
from bastide.gates.access.default_policies import DEFAULT
from bastide.gates.access.policy_set import PolicySet
from bastide.ledger.times import seen_ms
from bastide.stages.release import Approval, approval_statement
from paths.demo import Demo
from paths.loading_rig import Served

MINUTE = 60_000


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock()


@pytest.fixture
def env(broken: Served, clock: FixedClock) -> Environment:
    """The operator at the door of a home whose clock the test moves."""
    alone = Principal("the operator", frozenset({Party.OPERATOR}))
    env = broken.env
    add_tenant(env, "acme")
    # Entries of this home are newer than the test's clock, as if it had been set back for good.
    clock.advance(max(row.body.get("time_ms", 0) for row in env.ledger.entries()) - clock.now_ms())
    return replace(env, clock=clock, access=Access(env.ledger, clock), principal=alone)


def opened(env: Environment, minutes: int = 15) -> Any:
    return open_emergency(env, "the guardian is away", minutes, None)


def test_an_emergency_adds_what_is_listed_and_ends_by_itself(
    env: Environment, clock: FixedClock
) -> None:
    with pytest.raises(NotAllowed):
        set_guard(env, "acme", None)
    row = opened(env)
    set_guard(env, "acme", None)
    with pytest.raises(NotAllowed):
        env_of(env, Party.FIRM, set_guard)  # nobody else gets what it gives the operator
    for action in ("policy-apply", "erasure-list", "dataset-erase", "pseudonym-key-end"):
        decision = env.access.decide(env.principal, action, ("Environment", ""))
        usually = PolicySet(DEFAULT, "x").decide(env.principal, action, ("Environment", ""))
        assert decision.allowed is usually.allowed
    clock.advance(15 * MINUTE - 1)
    set_guard(env, "acme", None)
    clock.advance(1)
    with pytest.raises(NotAllowed):
        set_guard(env, "acme", None)
    (told,) = list_emergencies(env)
    assert told["entry"] == row.entry and not told["open"] and told["report"] is None
    assert [one["kind"] for one in told["under"]] == ["guard/v1", "guard/v1"]


def test_it_opens_an_incident_that_is_closed_with_a_report(env: Environment) -> None:
    row = opened(env)
    incident = env.ledger.find("incident/v1")[-1]
    assert (incident.entry, incident.body["about"]) == ((row.entry or 0) + 1, str(row.digest))
    with pytest.raises(Refused, match="an emergency is open"):
        opened(env)
    close_emergency(env, "nothing was done")
    with pytest.raises(NotAllowed):
        set_guard(env, "acme", None)
    assert list_emergencies(env)[0]["report"] == "nothing was done"
    with pytest.raises(NotFound):
        close_emergency(env, "again")
    env.ledger.audit()


@pytest.mark.attacks("C186")
def test_a_clock_that_is_set_back_prolongs_nothing(env: Environment, clock: FixedClock) -> None:
    opened(env)
    approved(env, "firm", clock.now_ms() + 60 * MINUTE)
    assert env.access.emergency() is not None  # a party chooses what time it signs
    assert seen_ms(env.ledger, clock.now_ms()) == clock.now_ms()
    clock.advance(-1)
    assert env.access.emergency() is None  # before its own time
    clock.advance(1 + 16 * MINUTE)
    add_tenant(env, "later")  # the ledger has seen that time
    clock.advance(-10 * MINUTE)
    assert env.access.emergency() is None
    clock.advance(-365 * 24 * 60 * MINUTE)
    assert env.access.emergency() is None


@pytest.mark.attacks("C185")
def test_without_its_incident_it_is_nothing(env: Environment) -> None:
    """Who would not have it recorded appends the signed statement alone."""
    signer = env.party_signers()[Party.OPERATOR]
    env.ledger.append([dsse.sign(stated(env, "operator", 15).payload(), [signer])])
    assert env.access.emergency() is None
    with pytest.raises(NotAllowed):
        set_guard(env, "acme", None)


@pytest.mark.parametrize("minutes", [0, 61, 10**9])
def test_its_minutes_are_bounded_at_the_ledgers_door(env: Environment, minutes: int) -> None:
    signer = env.party_signers()[Party.OPERATOR]
    with pytest.raises(Misconfigured, match="minutes"):
        env.ledger.append_statement(stated(env, "operator", minutes), [signer])


@pytest.mark.attacks("C187")
def test_nobody_opens_one_for_a_party_whose_key_did_not_sign(env: Environment) -> None:
    signers = [env.party_signers()[Party.FIRM], env.signer(Purpose.EVIDENCE)]
    for signer in signers:
        with pytest.raises(NotProven, match="exactly one key of the party"):
            env.ledger.append_statement(stated(env, "guardian", 15), [signer])


def test_a_party_that_the_policies_do_not_let_opens_none(env: Environment) -> None:
    text = DEFAULT.replace(
        'principal in Party::"operator" || principal in Party::"guardian"\n};\n\n@id("emergency-op',
        'principal in Party::"guardian"\n};\n\n@id("emergency-op',
    )
    assert text != DEFAULT
    row = opened(env)
    assert env.access.emergency() is not None
    signed = propose_policies(env, PolicySet(text, "x"), "only the guardian", None)
    apply_policies(env, as_text(signed))
    assert env.access.emergency() is None, row
    with pytest.raises(NotAllowed):
        opened(env)


def test_every_command_says_that_one_is_open(broken: Served) -> None:
    demo = Demo(Path(broken.env.home.root))
    told = ("--reason", "a test", "--minutes", "5")
    row = demo.json("break-glass", "open", *told)
    done = demo.run("tenant", "ls", "--json")
    assert "BREAK-GLASS IS OPEN until" in done.stderr and "a test" in done.stderr
    assert "BREAK-GLASS" not in done.stdout
    assert [one["open"] for one in demo.json("break-glass", "ls")] == [True]
    assert demo.json("break-glass", "close", "--report", "over")["about"] == row["statement"]
    assert "BREAK-GLASS" not in demo.run("tenant", "ls").stderr
    demo.run("break-glass", "open", "--reason", "x", "--minutes", "61", status=2)


def env_of(env: Environment, party: Party, use_case: Any) -> None:
    use_case(replace(env, principal=Principal(party.value, frozenset({party}))), "acme", None)


def as_text(envelope: dsse.Envelope) -> str:
    import json

    return json.dumps(envelope.to_json())


def stated(env: Environment, party: str, minutes: int) -> Statement:
    now_ms = env.clock.now_ms()
    body = {"party": party, "reason": "a test", "minutes": minutes, "time_ms": now_ms}
    return Statement("break-glass/v1", (Subject("break-glass", Digest.of(canonical(body))),), body)


def approved(env: Environment, party: str, time_ms: int, name: str = "r") -> Any:
    """An approval by a party's key, as it would be brought here, at a time of its own."""
    body = {"party": party, "action": "release", "decision": "approve", "comment": name}
    subject = Subject(name, Digest.of(name.encode()))
    statement = Statement("approval/v1", (subject,), {**body, "time_ms": time_ms})
    signer = env.party_signers()[Party(party)]
    return env.ledger.append_statement(statement, [signer])


@pytest.mark.attacks("C240")
def test_approvals_under_it_are_marked_wherever_they_show(
    env: Environment, clock: FixedClock
) -> None:
    before = approved(env, "firm", clock.now_ms() - MINUTE, "before")
    row = opened(env)
    inside = approved(env, "firm", clock.now_ms() + MINUTE, "inside")
    hidden = [
        approved(env, "operator", clock.now_ms() - MINUTE, "backdated"),
        approved(env, "guardian", clock.now_ms() + 60 * MINUTE, "postdated"),
    ]
    clock.advance(16 * MINUTE)
    add_tenant(env, "later")  # a service's entry: from here on it is over
    carried = approved(env, "guardian", clock.now_ms() - 10 * MINUTE, "carried over later")
    after = approved(env, "guardian", clock.now_ms(), "after")
    told = approvals_told(env.ledger, [before, inside, *hidden, carried, after])
    marks = [one["break_glass"] for one in told]
    assert marks == [None, row.entry, row.entry, row.entry, row.entry, None]
    assert [bool(mark(one)) for one in told] == [False, True, True, True, True, False]
    audited = audit_ledger(env)["approvals_under_break_glass"]
    assert [one["entry"] for one in audited] == [one.entry for one in (inside, *hidden, carried)]
    assert show_entry(env, inside.entry or 0)["break_glass"] == row.entry
    assert show_entry(env, after.entry or 0)["break_glass"] is None
    listed = {one["entry"]: one["break_glass"] for one in list_entries(env, None, -1, 1000)}
    assert (listed[inside.entry], listed[before.entry]) == (row.entry, None)


@pytest.mark.attacks("C240")
def test_a_release_and_a_deployment_show_the_mark(env: Environment, clock: FixedClock) -> None:
    """The release of this home was approved before; a deployment is approved in an emergency."""
    (name,) = {one["release"] for one in list_releases(env)}
    assert [one["under_break_glass"] for one in list_releases(env)] == [[]]
    assert {one["break_glass"] for one in show_release(env, name)["approvals"]} == {None}
    (deployment,) = env.ledger.deployments()
    assert [one["break_glass"] for one in deployment_approvals(env, deployment)] == [None]
    row = opened(env)
    candidate = env.ledger.find("candidate/v1")[-1]
    again = Approval(name, candidate.subject.digest, "release", "guardian", "in an emergency")
    signer = env.party_signers()[Party.GUARDIAN]
    statement = approval_statement(again, clock)
    env.ledger.append([dsse.sign(statement.payload(), [signer])])
    shown = show_release(env, name)
    assert shown["under_break_glass"] == ["guardian"]
    assert [one["break_glass"] for one in shown["approvals"]][-1] == row.entry
    plan = Approval(name, deployment.subject.digest, "deploy", "operator", "in an emergency")
    given = env.ledger.append_statement(
        approval_statement(plan, clock), [env.party_signers()[Party.OPERATOR]]
    )
    body = {**deployment.body, "approvals": [*deployment.body["approvals"], str(given.digest)]}
    made = replace(deployment, statement=replace(deployment.statement, body=body))
    assert [one["break_glass"] for one in deployment_approvals(env, made)] == [None, row.entry]
