# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Who answers while one deployment is to take another's place, and when it does."""

import os
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from bastide.adapters.clock.fixed import FixedClock
from bastide.app.children import take_lock
from bastide.app.control_status import status_of
from bastide.app.deployments import deploy_release, end_deployment
from bastide.app.environment import Environment
from bastide.app.revocations import revocation, revoke_here
from bastide.app.snapshots import Known, build_snapshot, runners
from bastide.app.succession import succeed
from bastide.core.evidence import Evidence, Statement
from bastide.core.key import Purpose
from bastide.core.limits import REPLACED_DRAIN_S
from bastide.core.revocation import Revocable
from bastide.core.snapshot import Snapshot
from bastide.ledger import queries
from bastide.stages import deploy
from paths.loading_rig import Served


@contextmanager
def services(env: Environment) -> Generator[None]:
    """What tells use cases that the services run: the supervisor's lock."""
    env.home.run.mkdir(mode=0o700, exist_ok=True)
    lock = take_lock(env.home)
    try:
        yield
    finally:
        os.close(lock)


def snapshot_of(env: Environment, now_ms: int | None = None) -> Snapshot:
    now_ms = env.clock.now_ms() if now_ms is None else now_ms
    return build_snapshot(env.ledger, env.settings, env.home.run, env.ledger.size, now_ms, Known())


def load(env: Environment, row: Evidence, replica: int) -> None:
    """As control does when a runner has loaded."""
    body = {
        "deployment": str(row.subject.digest), "sandbox": "none", "node": "here",
        "model": row.body["deployment"]["release"], "replica": replica, "time_ms": env.ledger.size,
    }  # fmt: skip
    signer = env.signer(Purpose.EVIDENCE)
    env.ledger.append_statement(Statement("load/v1", (row.subject,), body), [signer])
    succeed(env.ledger, body["deployment"], signer, env.clock)


@pytest.mark.attacks("C214")
def test_the_old_one_answers_until_every_replica_of_the_new_one_can(broken: Served) -> None:
    env, old = broken.env, str(broken.deployment)
    with services(env):
        made = deploy_release(env, "tiny", None, replicas=2)
    new = str(made.subject.digest)
    known = snapshot_of(env)
    assert known.served["tiny"].deployment == old
    assert [row.deployment for row in known.coming] == [new]
    # Whoever asks what runs reads what loads, and where.
    far = replace(known, coming=tuple(replace(row, machine="b") for row in known.coming))
    told = status_of(far, 1, env.ledger, {}, 0, {}, None, {"b"})
    assert told["coming_elsewhere"] == {"tiny": {"machine": "b", "connected": True}}
    assert status_of(known, 1, env.ledger, {}, 0, {}, None, ())["coming_elsewhere"] == {}
    # Both sets of runners are wanted meanwhile.
    assert len(runners([*known.served.values(), *known.coming])) == 1 + 2
    load(env, made, 2)
    load(env, made, 2)  # it was started again: still one of two
    assert snapshot_of(env).served["tiny"].deployment == old
    load(env, made, 1)
    known = snapshot_of(env)
    assert known.served["tiny"].deployment == new and known.coming == ()
    (end,) = env.ledger.find("deployment-end/v1")
    assert (str(end.subject.digest), end.body["reason"]) == (old, "replaced")


def test_loads_from_an_earlier_life_of_the_same_plan_do_not_count(broken: Served) -> None:
    env = broken.env
    first = deploy.active(env.ledger)[0]
    load(env, first, 1)
    with services(env):
        two = deploy_release(env, "tiny", None, replicas=2)
        load(env, two, 1)
        load(env, two, 2)
        again = deploy_release(env, "tiny", None)
    assert again.subject.digest == first.subject.digest
    assert snapshot_of(env).served["tiny"].deployment == str(two.subject.digest)
    load(env, again, 1)
    assert snapshot_of(env).served["tiny"].deployment == str(again.subject.digest)


def test_of_two_that_are_to_come_only_the_newest_does(broken: Served) -> None:
    env = broken.env
    with services(env):
        deploy_release(env, "tiny", None, replicas=2)
        made = deploy_release(env, "tiny", None, replicas=3)
    known = snapshot_of(env)
    assert known.served["tiny"].deployment == str(broken.deployment)
    assert [row.deployment for row in known.coming] == [str(made.subject.digest)]
    assert len(deploy.active(env.ledger)) == 2


@pytest.mark.parametrize("running", [True, False])
def test_at_once_or_while_nothing_runs_the_old_one_ends_now(broken: Served, running: bool) -> None:
    env = broken.env
    if running:
        with services(env):
            made = deploy_release(env, "tiny", None, replicas=2, at_once=True)
    else:
        made = deploy_release(env, "tiny", None, replicas=2)
    known = snapshot_of(env)
    assert known.served["tiny"].deployment == str(made.subject.digest) and not known.coming


def test_undeploy_ends_what_was_to_come_too(broken: Served) -> None:
    env = broken.env
    with services(env):
        deploy_release(env, "tiny", None, replicas=2)
        end_deployment(env, "tiny", "an incident")
    known = snapshot_of(env)
    assert known.served == {} and known.coming == ()


@pytest.mark.attacks("C213")
@pytest.mark.parametrize("what", [Revocable.RELEASE, Revocable.DEPLOYMENT])
def test_what_is_revoked_cuts_the_last_answers_of_a_replaced_deployment(
    broken: Served, what: Revocable
) -> None:
    env, old = broken.env, str(broken.deployment)
    first = deploy.active(env.ledger)[0]
    with services(env):
        made = deploy_release(env, "tiny", None, replicas=2)
    load(env, made, 1)
    load(env, made, 2)
    assert snapshot_of(env).stopped == ()
    (candidate,) = env.ledger.find("candidate/v1")
    both = what is Revocable.RELEASE
    subject = candidate.subject if both else first.subject
    revoke_here(env, revocation(what, subject, None, "an incident", env.clock), None)
    known, new = snapshot_of(env), {str(made.subject.digest)} if both else set()
    assert set(known.stopped) == {old, *new}
    assert known.served.keys() == (set() if both else {"tiny"})
    # Long after no answer of it can run, and it is told no more.
    later = env.clock.now_ms() + 1_000 * int(REPLACED_DRAIN_S + 60)
    assert set(snapshot_of(env, later).stopped) == new


def test_no_snapshot_reads_again_which_deployments_have_ended(
    broken: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counted are rows of the ledger that are read: as many after any number of ends."""
    env, known, kinds = broken.env, Known(), list[str]()
    read = queries._read

    def counted(*given: Any) -> list[Evidence]:
        found = read(*given)
        kinds.extend(row.kind for row in found)
        return found

    def ends_read() -> int:
        kinds.clear()
        build_snapshot(env.ledger, env.settings, env.home.run, env.ledger.size, now_ms, known)
        return kinds.count("deployment-end/v1")

    monkeypatch.setattr(queries, "_read", counted)
    now_ms = env.clock.now_ms()
    assert ends_read() == 0 and kinds, "something else is read"
    row, signer = deploy.active(env.ledger)[0], env.signer(Purpose.EVIDENCE)
    for number in range(20):
        ago_ms = 1_000_000_000 - number
        deploy.end(env.ledger, row, "one of many", signer, FixedClock(now_ms - ago_ms))
    assert ends_read() == 20
    assert ends_read() == 0
    deploy.end(env.ledger, row, "one more", signer, FixedClock(now_ms))
    assert ends_read() >= 1
    assert ends_read() == 0
    assert [end.body["reason"] for end in known.ends] == ["one more"]
