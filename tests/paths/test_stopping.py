# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What was stopped stays stopped: ended deployments, revoked keys, and approvals from before."""

import threading
from pathlib import Path

import pytest

from bastide.app.alone import alone
from bastide.app.deployments import deploy_release, end_deployment, plan_deployment
from bastide.app.keys import new_key, revoke_key
from bastide.app.models import add_model
from bastide.app.snapshots import Known, build_snapshot
from bastide.app.tenants import add_tenant
from bastide.core.errors import NotProven, Waiting
from bastide.core.evidence import Evidence, Statement
from bastide.core.key import Purpose
from bastide.core.share import Share
from bastide.core.subject import Subject
from bastide.gates.panel import refuse
from bastide.stages import deploy
from bastide.stages.admit import Claim
from paths.loading_rig import Served
from unit.model_files import make_gguf


@pytest.mark.attacks("C68")
def test_an_approval_from_before_the_stop_opens_nothing(broken: Served) -> None:
    """Whoever holds only the services' keys cannot undo the operator's stop."""
    env = broken.env
    plan = plan_deployment(env, "tiny")
    end_deployment(env, "tiny", "an incident")
    verdicts = deploy.judge(env.ledger, plan, env.clock.now_ms())
    with pytest.raises(Waiting):
        refuse(verdicts, "tiny", "deploy")
    assert env.ledger.approvals(plan.digest) == []


def test_a_new_approval_opens_it_again(broken: Served) -> None:
    env = broken.env
    before = broken.deployment
    end_deployment(env, "tiny", "an incident")
    assert deploy_release(env, "tiny", None).subject.digest == before
    assert len(env.ledger.approvals(before)) == 1
    assert broken.load()


@pytest.mark.attacks("C68")
def test_a_revoked_key_does_not_come_back(broken: Served) -> None:
    env = broken.env
    add_tenant(env, "acme")
    ident = new_key(env, "acme")["id"]
    revoke_key(env, ident, "leaked")
    (first,) = (row for row in env.ledger.api_keys(active=False) if row.subject.name == ident)
    again = Statement("api-key/v2", (first.subject,), {**first.body, "time_ms": 1})
    env.ledger.append_statement(again, [env.signer(Purpose.EVIDENCE)])
    assert ident not in [row.subject.name for row in env.ledger.api_keys(active=True)]


def test_a_model_s_digest_names_no_release(broken: Served) -> None:
    """A release has two subjects; only the first is the release."""
    env = broken.env
    (released,) = env.ledger.find("release/v1")
    model = released.statement.subjects[1].digest
    assert deploy.find_release(env.ledger, model) is None
    plan = deploy.Plan("tiny", model, Share(1, 64), "llamacpp", "1")
    assert any(not verdict.passed for verdict in deploy.judge(env.ledger, plan, env.clock.now_ms()))


def test_a_candidate_names_an_author_who_signed_it(broken: Served) -> None:
    env = broken.env
    (candidate,) = env.ledger.find("candidate/v1")
    (guardian,) = (key.ident for key in env.ledger.keys().values() if key.party == "guardian")
    body = {**candidate.body, "author": guardian}
    forged = Statement("candidate/v1", (Subject("tiny", candidate.subject.digest),), body)
    with pytest.raises(NotProven, match="author"):
        env.ledger.append_statement(forged, [env.signer(Purpose.EVIDENCE)])


@pytest.mark.attacks("C69")
def test_a_key_that_somebody_planted_opens_nothing(broken: Served) -> None:
    """A row with the right shape and no honest signature stops the snapshot: fail closed."""
    env = broken.env
    add_tenant(env, "acme")
    new_key(env, "acme")
    known = Known()
    honest = build_snapshot(env.ledger, env.settings, env.home.run, env.ledger.size, 1, known)
    assert len(honest.keys) == 1
    assert len(known.proven) == 2
    broken.sql(
        'UPDATE entry SET data = (SELECT data FROM entry WHERE "index" = 1)'
        f' WHERE "index" = {env.ledger.api_keys()[0].entry}'
    )
    with pytest.raises(NotProven):
        build_snapshot(env.ledger, env.settings, env.home.run, env.ledger.size, 1, Known())


@pytest.mark.attacks("C69")
def test_a_deployment_that_somebody_planted_is_never_served(broken: Served) -> None:
    """A row with the right shape and no honest signature stops the snapshot: fail closed."""
    env = broken.env
    (honest,) = env.ledger.deployments()
    snapshot = build_snapshot(env.ledger, env.settings, env.home.run, env.ledger.size, 1, Known())
    assert [row.deployment for row in snapshot.served.values()] == [str(honest.subject.digest)]
    broken.sql(
        'UPDATE entry SET data = (SELECT data FROM entry WHERE "index" = 1)'
        f' WHERE "index" = {honest.entry}'
    )
    with pytest.raises(NotProven):
        build_snapshot(env.ledger, env.settings, env.home.run, env.ledger.size, 1, Known())


def test_an_admission_clears_away_what_a_killed_one_left(broken: Served, tmp_path: Path) -> None:
    """And nothing else: every model that was admitted before still loads."""
    env = broken.env
    orphan = env.home.store / "models" / f"{'0' * 64}.{'1' * 32}.body"
    orphan.write_bytes(b"half of a model")
    (tmp_path / "third.gguf").write_bytes(make_gguf(blocks=3).encode())
    claim = Claim("third", "made by a test", "Apache-2.0")
    add_model(env, tmp_path / "third.gguf", claim, None)
    assert not orphan.exists()
    assert len(env.store.names("models")) == 3
    assert broken.load()


def test_admissions_take_turns(broken: Served, tmp_path: Path) -> None:
    env = broken.env
    (tmp_path / "third.gguf").write_bytes(make_gguf(blocks=3).encode())
    claim = Claim("third", "made by a test", "Apache-2.0")
    admitted: list[Evidence] = []

    def admit() -> None:
        admitted.append(add_model(env, tmp_path / "third.gguf", claim, None))

    other = threading.Thread(target=admit)
    with alone(env.home.store, lambda: None):
        other.start()
        other.join(0.5)
        assert admitted == [], "it waits for its turn"
    other.join(20)
    assert [row.subject.name for row in admitted] == ["third"]
