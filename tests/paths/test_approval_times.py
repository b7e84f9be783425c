# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Approvals in a home whose clock is moved: every command counts by the same time."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from bastide.adapters.clock.fixed import FixedClock
from bastide.app.approvals import approve_here, import_approval
from bastide.app.corpus_build import build_dataset
from bastide.app.dataset_releases import approval_of, publish_dataset, release_state
from bastide.app.environment import Environment
from bastide.app.loading import prove_stated
from bastide.app.releases import list_releases, publish_release, show_release
from bastide.app.revocations import stopped
from bastide.app.tenants import add_tenant
from bastide.core.errors import Misconfigured, Refused, Waiting
from bastide.core.evidence import Evidence, Statement, refusals
from bastide.core.key import Purpose
from bastide.core.party import Party
from bastide.core.share import Share
from bastide.core.utc import DAY_MS
from bastide.stages import deploy, release
from bastide.stages.release import Approval, approval_statement, sign_approval
from paths.corpus_rig import write_corpus
from paths.loading_rig import Served, other_candidate


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock()


@pytest.fixture
def env(broken: Served, clock: FixedClock) -> Environment:
    """A home with a release, at the time of its newest entry."""
    env = broken.env
    clock.advance(max(row.body.get("time_ms", 0) for row in env.ledger.entries()) - clock.now_ms())
    return replace(env, clock=clock)


def planned(env: Environment) -> deploy.Plan:
    (released,) = env.ledger.find("release/v1")
    return deploy.plan(released, "tiny-more", Share(2, 512), "llamacpp", "1")


def asked(wanted: deploy.Plan) -> Approval:
    return Approval(wanted.name, wanted.digest, "deploy", Party.OPERATOR.value, "")


def deployed(env: Environment, wanted: deploy.Plan) -> Evidence:
    return deploy.deploy(env.ledger, wanted, env.signer(Purpose.EVIDENCE), env.clock)


@pytest.mark.attacks("C276")
def test_an_approval_from_the_future_is_refused_and_hinders_nobody(
    env: Environment, clock: FixedClock
) -> None:
    wanted, signers = planned(env), env.party_signers()
    ahead = FixedClock(clock.now_ms() + DAY_MS + 1)
    early = sign_approval(approval_statement(asked(wanted), ahead), signers[Party.OPERATOR])
    size = env.ledger.size
    with pytest.raises(Refused, match="which was to come") as caught:
        import_approval(env, json.dumps(early.to_json()))
    assert "clocks" in caught.value.fix and env.ledger.size == size
    env.ledger.append([early])  # as before it was refused; it stands in nobody's way
    with pytest.raises(Waiting, match="waits for approvals"):
        deployed(env, wanted)
    (given,) = approve_here(env, asked(wanted), {Party.OPERATOR: signers[Party.OPERATOR]})
    assert given.digest != early.digest
    deployed(env, wanted)


@pytest.mark.attacks("C276")
def test_an_approval_without_end_is_not_recorded_before_its_day(
    env: Environment, clock: FixedClock
) -> None:
    """It would count at once and for ever, though its party dated it for later."""
    wanted, signers = planned(env), env.party_signers()
    for days, taken in ((2, False), (1, True)):
        drafted = approval_statement(asked(wanted), FixedClock(clock.now_ms() + days * DAY_MS))
        body = {name: value for name, value in drafted.body.items() if name != "expires_ms"}
        statement = Statement(drafted.kind, drafted.subjects, body)
        text = json.dumps(sign_approval(statement, signers[Party.OPERATOR]).to_json())
        if taken:
            import_approval(env, text)
            continue
        with pytest.raises(Refused, match="which was to come"):
            import_approval(env, text)
    deployed(env, wanted)


@pytest.mark.parametrize("field", ["time_ms", "action", "expires_ms"])
def test_an_approval_of_a_wrong_shape_is_said_to_be_one(env: Environment, field: str) -> None:
    wanted, signers = planned(env), env.party_signers()
    drafted = approval_statement(asked(wanted), env.clock)
    body = {**drafted.body, field: "soon"} if field == "expires_ms" else dict(drafted.body)
    if field != "expires_ms":
        del body[field]
    statement = Statement(drafted.kind, drafted.subjects, body)
    signed = sign_approval(statement, signers[Party.OPERATOR])
    with pytest.raises(Misconfigured, match=field):
        import_approval(env, json.dumps(signed.to_json()))


def set_back(env: Environment, clock: FixedClock, days: int) -> None:
    """The ledger sees a time that is so many days later than what the clock shows."""
    clock.advance(days * DAY_MS)
    add_tenant(env, "later")
    clock.advance(-days * DAY_MS)


def approve_release(env: Environment, candidate: Evidence) -> None:
    digest = candidate.subject.digest
    approve_here(env, Approval("other", digest, "release", "", ""), env.party_signers())


def test_what_was_let_pass_under_a_clock_that_was_set_back_still_passes(
    env: Environment, clock: FixedClock
) -> None:
    set_back(env, clock, 3)
    clock.advance(3 * DAY_MS)
    wanted, candidate = planned(env), other_candidate(env)
    approve_here(env, asked(wanted), env.party_signers())
    approve_release(env, candidate)
    clock.advance(-3 * DAY_MS)
    running = deployed(env, wanted)
    prove_stated(env.ledger, wanted.digest)
    assert stopped(env.ledger, running) == []
    publish_release(env, "other")
    assert refusals(release.judge(env.ledger, candidate)) == ()


def test_what_is_shown_is_what_publishing_says(
    env: Environment, clock: FixedClock, tmp_path: Path
) -> None:
    candidate = other_candidate(env)
    dataset = build_dataset(env, write_corpus(tmp_path / "corpus"), 1)
    approve_release(env, candidate)
    approve_here(env, approval_of(env, "tiny", ""), env.party_signers())
    assert list_releases(env)[-1]["waits_for"] == []
    assert not any("approvals" in row for row in release_state(env, dataset)["waits_for"])
    set_back(env, clock, 31)
    with pytest.raises(Waiting) as caught:
        publish_release(env, "other")
    told = list(caught.value.reasons)
    assert len(told) == 2 and "(it ended on " in told[0]
    shown = show_release(env, "other")
    listed = list_releases(env)[-1]["waits_for"]
    assert [f"approvals: {reason}" for reason in listed] == told
    assert shown["waits_for"] == listed
    assert [reason for row in shown["verdicts"] for reason in row["reasons"]] == listed
    with pytest.raises(Refused, match="may not be released") as caught:
        publish_dataset(env, "tiny")
    assert any("(it ended on " in row for row in caught.value.reasons)
    assert release_state(env, dataset)["waits_for"] == list(caught.value.reasons)
