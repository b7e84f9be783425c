# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Approvals in a home whose clock is moved: every command counts by the same time."""

import json
from dataclasses import replace

import pytest

from bastide.adapters.clock.fixed import FixedClock
from bastide.app.approvals import approve_here, import_approval
from bastide.app.environment import Environment
from bastide.core.errors import Misconfigured, Refused, Waiting
from bastide.core.evidence import Evidence, Statement
from bastide.core.key import Purpose
from bastide.core.party import Party
from bastide.core.share import Share
from bastide.core.utc import DAY_MS
from bastide.stages import deploy
from bastide.stages.release import Approval, approval_statement, sign_approval
from paths.loading_rig import Served


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
