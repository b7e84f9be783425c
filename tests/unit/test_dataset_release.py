# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""A dataset is released only with its evidence and its parties' approvals, over a real ledger."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bastide.app.emergencies import approvals_told
from bastide.app.founding import default_policy
from bastide.core.errors import BastideError, Misconfigured, NotFound, NotProven, Refused, Waiting
from bastide.core.evidence import Evidence, Statement
from bastide.core.key import Purpose
from bastide.core.party import Party
from bastide.core.subject import Digest, Subject
from bastide.core.utc import DAY_MS
from bastide.crypto import dsse
from bastide.detectors.personal.kinds import KINDS
from bastide.stages import dataset_release as stage
from bastide.stages import release
from bastide.suites import SUITES
from unit.ledger_fixture import World, make_ledger

SEARCHED = [
    {"suite": name, "digest": str(suite.digest), "ngram": 13} for name, suite in SUITES.items()
]
SOURCE = {
    "name": "letters",
    "licence": "CC0-1.0",
    "basis": "own",
    "origin": "made by a test",
    "collected": "2026-11-20",
    "files": 1,
    "bytes": 900,
    "read": 9,
    "broken": 0,
    "kept": 9,
}


@pytest.fixture
def world(tmp_path: Path) -> World:
    return make_ledger(tmp_path, policy=default_policy("separate").to_json())


def dataset(world: World, number: int = 0, **changes: Any) -> Evidence:
    """A dataset that its own gates let pass, but for what is changed."""
    digest = Digest.of(f"manifest {number}".encode())
    steps = [
        {"step": name, "entered": 9, "changed": 0, "removed": {}}
        for name in ("personal-data", "decontaminate")
    ]
    body = {
        "dataset": "letters",
        "manifest": str(digest),
        "recipe": str(Digest.of(b"recipe")),
        "build": f"{number:064x}",
        "root": "d" * 64,
        "documents": 9,
        "bytes": 800,
        "shards": 1,
        "read": 9,
        "broken": 0,
        "quarantine_share": 0,
        "sources": [SOURCE],
        "plan": ["personal-data", "decontaminate"],
        "steps": steps,
        "personal_data": sorted(KINDS),
        "decontaminated": SEARCHED,
        "verdicts": [],
        "time_ms": 1,
        **changes,
    }
    body = {name: value for name, value in body.items() if value is not None}
    statement = Statement("dataset/v1", (Subject("letters", digest),), body)
    return world.ledger.append_statement(statement, [world.signers[Purpose.EVIDENCE]])


def approve(world: World, row: Evidence, party: Party, **changes: Any) -> Evidence:
    digest = stage.digest_of(world.ledger, row)
    asked = release.Approval("letters", digest, stage.ACTION, party.value, "")
    asked = replace(asked, **changes)
    statement = release.approval_statement(asked, world.clock)
    return release.approve(
        world.ledger, release.sign_approval(statement, world.parties[party]), world.clock
    )


def publish(world: World, row: Evidence) -> Evidence:
    return stage.publish(world.ledger, row, world.signers[Purpose.RELEASE], world.clock)


def test_a_dataset_waits_for_firm_and_guardian_and_is_then_released(world: World) -> None:
    row = dataset(world)
    with pytest.raises(Waiting) as caught:
        publish(world, row)
    assert caught.value.reasons == (
        "approvals: 0 of 1 approvals by the firm",
        "approvals: 0 of 1 approvals by the guardian",
    )
    assert "--dataset" in caught.value.fix
    with pytest.raises(Refused, match="not released"):
        stage.verify_released(world.ledger, row)
    approve(world, row, Party.FIRM)
    with pytest.raises(Waiting):
        publish(world, row)
    approve(world, row, Party.GUARDIAN)
    first = publish(world, row)
    assert first.kind == "dataset-release/v1"
    assert first.signers == (world.signers[Purpose.RELEASE].public.ident,)
    assert [subject.digest for subject in first.statement.subjects] == [
        stage.digest_of(world.ledger, row), row.subject.digest
    ]  # fmt: skip
    assert publish(world, row) == first
    stage.verify_released(world.ledger, row)


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "a source without a licence": (
        {"sources": [{**SOURCE, "licence": " "}]},
        "licence-basis: source letters: the licence is not stated",
    ),
    "a source without a basis": (
        {"sources": [{**SOURCE, "basis": "it was there"}]},
        "licence-basis: source letters: 'it was there' is no basis for its use",
    ),
    "a kind of personal data that nobody looked for": (
        {"personal_data": sorted(set(KINDS) - {"iban"})},
        "personal-data: iban was not looked for",
    ),
    "a step that did not run": (
        {"plan": ["personal-data", "length", "decontaminate"]},
        "steps-run: the recipe asks for ['personal-data', 'length', 'decontaminate'], what ran"
        " is ['personal-data', 'decontaminate']",
    ),
    "an account from before decontamination": (
        {"decontaminated": None},
        "decontaminated: the dataset was searched for no suite",
    ),
    "a suite that was not searched for": (
        {"decontaminated": SEARCHED[1:]},
        f"decontaminated: the dataset was not searched for the suite {SEARCHED[0]['suite']}",
    ),
    "another version of a suite": (
        {"decontaminated": [{**SEARCHED[0], "digest": str(Digest.of(b"old"))}, *SEARCHED[1:]]},
        f"decontaminated: it was searched for another version of the suite"
        f" {SEARCHED[0]['suite']} than the policy names",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_a_dataset_without_its_evidence_is_refused_also_when_all_approve(
    world: World, name: str
) -> None:
    changes, reason = BAD[name]
    row = dataset(world, **changes)
    approve(world, row, Party.FIRM)
    approve(world, row, Party.GUARDIAN)
    with pytest.raises(Refused) as caught:
        publish(world, row)
    assert caught.value.reasons == (reason,)
    assert not world.ledger.find("dataset-release/v1")


def test_an_approval_of_one_dataset_is_none_of_another(world: World) -> None:
    first, second = dataset(world, 1), dataset(world, 2)
    approve(world, first, Party.FIRM)
    approve(world, first, Party.GUARDIAN)
    publish(world, first)
    with pytest.raises(Waiting):
        publish(world, second)
    with pytest.raises(Refused):
        stage.verify_released(world.ledger, second)


@pytest.mark.attacks("C276")
def test_an_approval_opens_nothing_after_its_end_and_can_be_given_again(world: World) -> None:
    row = dataset(world)
    approve(world, row, Party.GUARDIAN, days=90)
    approve(world, row, Party.FIRM)
    world.clock.advance(1)
    with pytest.raises(Refused, match="already approved"):
        approve(world, row, Party.FIRM)
    asked = release.Approval(
        "letters", stage.digest_of(world.ledger, row), stage.ACTION, "firm", "", days=20
    )
    kept = release.sign_approval(
        release.approval_statement(asked, world.clock), world.parties[Party.FIRM]
    )
    world.clock.advance(30 * DAY_MS)
    with pytest.raises(Waiting) as caught:
        publish(world, row)
    (reason,) = caught.value.reasons
    assert reason.startswith("approvals: 0 of 1 approvals by the firm (it ended on ")
    with pytest.raises(Refused, match="this approval ended on"):
        release.approve(world.ledger, kept, world.clock)
    approve(world, row, Party.FIRM)
    publish(world, row)
    world.clock.advance(365 * DAY_MS)  # what was decided in time stays decided
    stage.verify_released(world.ledger, row)


@pytest.mark.attacks("C276")
def test_a_clock_that_is_set_back_prolongs_no_approval(world: World) -> None:
    row = dataset(world)
    for party in (Party.FIRM, Party.GUARDIAN):
        approve(world, row, party)
    world.clock.advance(31 * DAY_MS)
    dataset(world, 1, time_ms=world.clock.now_ms())
    world.clock.advance(-31 * DAY_MS)
    with pytest.raises(Waiting, match="waits for approvals"):
        publish(world, row)


def test_a_release_is_judged_ever_after_by_the_time_that_it_states(world: World) -> None:
    row = dataset(world)
    world.clock.advance(3 * DAY_MS)
    dataset(world, 1, time_ms=world.clock.now_ms())
    for party in (Party.FIRM, Party.GUARDIAN):
        approve(world, row, party)
    world.clock.advance(-3 * DAY_MS)
    publish(world, row)
    stage.verify_released(world.ledger, row)


@pytest.mark.parametrize("days", ["a month", "30", 2.5, True, 0])
def test_days_that_are_no_number_of_days_are_said_to_be_none(tmp_path: Path, days: Any) -> None:
    policy = default_policy("separate").to_json()
    policy["rules"][stage.ACTION]["gates"]["approvals"] = {"days": days}
    world = make_ledger(tmp_path, policy=policy)
    row = dataset(world)
    with pytest.raises(Misconfigured, match="days is not a whole number from 1"):
        approve(world, row, Party.FIRM)
    asked = release.Approval(
        "letters", stage.digest_of(world.ledger, row), stage.ACTION, "firm", ""
    )
    statement = release.approval_statement(asked, world.clock)
    given = world.ledger.append_statement(statement, [world.parties[Party.FIRM]])
    with pytest.raises(Misconfigured, match="days is not a whole number from 1"):
        approvals_told(world.ledger, [given])
    with pytest.raises(Waiting) as caught:
        publish(world, row)
    assert caught.value.reasons == ("approvals: the parameter days is not a whole number from 1",)


@pytest.mark.attacks("C120")
def test_an_approval_of_one_account_is_none_of_another_of_the_same_dataset(world: World) -> None:
    weak = dataset(world, 1, decontaminated=[])
    approve(world, weak, Party.FIRM)
    approve(world, weak, Party.GUARDIAN)
    better = dataset(world, 1, time_ms=2)
    assert better.subject == weak.subject
    with pytest.raises(Waiting):
        publish(world, better)


def test_the_approval_of_a_models_release_does_not_count(world: World) -> None:
    row = dataset(world)
    approve(world, row, Party.GUARDIAN)
    with pytest.raises(NotFound):  # no candidate has that digest
        approve(world, row, Party.FIRM, action="release")
    approve(world, row, Party.FIRM, action="deploy")
    with pytest.raises(Waiting) as caught:
        publish(world, row)
    assert caught.value.reasons == ("approvals: 0 of 1 approvals by the firm",)


def test_no_approval_of_a_dataset_that_is_not_there(world: World) -> None:
    row = dataset(world)
    with pytest.raises(NotFound):
        approve(world, row, Party.FIRM, digest=Digest.of(b"another"))


def test_the_same_person_does_not_approve_twice(world: World) -> None:
    row = dataset(world)
    approve(world, row, Party.FIRM)
    world.clock.advance(1)
    with pytest.raises(Refused, match="already approved"):
        approve(world, row, Party.FIRM, comment="again")


def forged(world: World, row: Evidence, how: str) -> dsse.Envelope:
    asked = release.Approval(
        "letters", stage.digest_of(world.ledger, row), stage.ACTION, "guardian", ""
    )
    statement = release.approval_statement(asked, world.clock)
    by = {
        "by the operator's services": world.signers[Purpose.EVIDENCE],
        "by another party": world.parties[Party.FIRM],
        "with a signature of something else": world.parties[Party.GUARDIAN],
    }[how]
    envelope = dsse.sign(statement.payload(), [by])
    if how == "with a signature of something else":
        other = replace(asked, digest=Digest.of(b"other"))
        stolen = dsse.sign(release.approval_statement(other, world.clock).payload(), [by])
        envelope = replace(envelope, signatures=stolen.signatures)
    return envelope


@pytest.mark.parametrize(
    "how",
    ["by the operator's services", "by another party", "with a signature of something else"],
)
def test_a_forged_approval_is_refused_at_the_door(world: World, how: str) -> None:
    row = dataset(world)
    size = world.ledger.size
    with pytest.raises(NotProven):
        release.approve(world.ledger, forged(world, row, how), world.clock)
    assert world.ledger.size == size


def test_only_the_release_key_signs_a_release(world: World) -> None:
    row = dataset(world)
    approve(world, row, Party.FIRM)
    approve(world, row, Party.GUARDIAN)
    with pytest.raises(NotProven, match="the release key alone"):
        stage.publish(world.ledger, row, world.signers[Purpose.EVIDENCE], world.clock)


def test_a_release_speaks_of_the_dataset_it_names(world: World) -> None:
    row = dataset(world)
    approve(world, row, Party.FIRM)
    approve(world, row, Party.GUARDIAN)
    statement = publish(world, row).statement
    other = replace(statement, subjects=(statement.subjects[0], dataset(world, 7).subject))
    with pytest.raises(Misconfigured, match="not what the body speaks of"):
        world.ledger.append_statement(other, [world.signers[Purpose.RELEASE]])


def test_under_solo_one_person_approves_for_both_parties(tmp_path: Path) -> None:
    world = make_ledger(tmp_path, policy=default_policy("solo").to_json())
    row = dataset(world)
    for party in (Party.FIRM, Party.GUARDIAN):
        approve(world, row, party)
    publish(world, row)


def test_an_older_home_is_told_what_to_do(tmp_path: Path) -> None:
    policy = default_policy("solo").to_json()
    del policy["rules"]["dataset-release"]
    world = make_ledger(tmp_path, policy=policy)
    with pytest.raises(Refused) as caught:
        publish(world, dataset(world))
    assert "no rule for the stage dataset-release" in caught.value.reasons[0]
    assert "bastide init" in caught.value.fix


def test_a_second_release_names_the_one_before(world: World) -> None:
    releases = []
    for number in (1, 2):
        row = dataset(world, number)
        approve(world, row, Party.FIRM)
        approve(world, row, Party.GUARDIAN)
        releases.append(publish(world, row))
    assert releases[0].body["previous"] is None
    assert releases[1].body["previous"] == str(releases[0].digest)


@pytest.mark.attacks("C120")
def test_a_released_dataset_is_judged_anew_before_it_is_used(world: World) -> None:
    row = dataset(world)
    approve(world, row, Party.FIRM)
    approval = approve(world, row, Party.GUARDIAN)
    publish(world, row)
    stage.verify_released(world.ledger, row)
    revoke(world, "approval", Subject(approval.subject.name, approval.digest), "guardian")
    with pytest.raises(BastideError, match="holds no more") as caught:
        stage.verify_released(world.ledger, row)
    assert caught.value.reasons == ("approvals: 0 of 1 approvals by the guardian",)


def test_a_revoked_dataset_is_used_no_more(world: World) -> None:
    row = dataset(world)
    approve(world, row, Party.FIRM)
    approve(world, row, Party.GUARDIAN)
    released = publish(world, row)
    revoke(world, "dataset-release", released.subject)
    with pytest.raises(BastideError, match="holds no more") as caught:
        stage.verify_released(world.ledger, row)
    (reason,) = caught.value.reasons
    assert reason.startswith("revocation: ")


def revoke(world: World, what: str, subject: Subject, party: str | None = None) -> None:
    body = {"what": what, "party": party, "reason": "test", "time_ms": world.clock.now_ms()}
    statement = Statement("revocation/v1", (subject,), body)
    world.ledger.append_statement(statement, [world.parties[Party.GUARDIAN]])
