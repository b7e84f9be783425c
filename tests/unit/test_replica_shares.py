# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""A promise is one for all replicas of a deployment: benchmarks/replica_shares.py, asserted."""

import pytest

from bastide.core.fair_queue import FairQueue
from bastide.core.share import Cost, Promise
from bastide.core.taken import Heard, Report, Taken
from unit.benchmark import loaded


@pytest.fixture(scope="module")
def bench():
    with loaded("replica_shares") as module:
        yield module


@pytest.mark.attacks("C112")
@pytest.mark.parametrize(("replicas", "slots"), [(2, 8), (4, 8), (4, 32)])
def test_more_than_one_replica_can_do_is_kept_under_a_flood(bench, replicas, slots):
    """Half of the deployment, for prompts that all begin alike, against ten times its capacity."""
    seen = bench.big(replicas, slots, 30.0)
    assert seen["share_10s_min"] >= 0.95 and seen["share_all"] >= 0.98
    assert seen["share_all_fcfs"] <= 0.25, "first come, first served must show the harm"
    # It is one promise and not one for each replica: beyond it the tenant is one borrower of six.
    assert seen["taken_beyond"] <= 0.25


def test_without_the_exchange_each_replica_would_keep_the_promise_anew(bench, monkeypatch):
    def tell(taken: Taken, now: float, report: Report, rates: object, at_once: float) -> Heard:
        return Heard(report.number, {}, (), {}, 0)

    monkeypatch.setattr(Taken, "tell", tell)
    assert bench.big(4, 8, 30.0)["taken_beyond"] > 0.5


def test_a_promise_is_whole_at_the_replica_where_its_tenant_is(bench):
    seen = bench.small(4, 8, 30.0)
    assert seen["share_all_joint"] >= 0.98
    assert seen["ttft_p50_ms_joint"] * 2 < seen["ttft_p50_ms_divided"]


def test_what_was_missed_in_a_silence_is_a_debt_of_that_time_and_not_of_now():
    here = queue()
    here.taken_elsewhere(0.0, {}, 2, {})
    here.taken_elsewhere(60.0, {"a": 600.0}, 2, {})  # the others gave 60 s of it in 60 s
    here.enter(60.0, "a", 1.0, 0.0)
    (ticket,) = here.dispatch(60.0)
    assert ticket.promised


def queue(replicas: int = 2) -> FairQueue:
    made = FairQueue(1, Cost(prompt=1.0, output=1.0), replicas=replicas)
    made.share_out(0.0, {"a": Promise(10.0, burst_s=1.0)})
    return made


def test_what_another_replica_gave_counts_here():
    here, there = queue(), queue()
    there.enter(0.0, "a", 50.0, 0.0)
    there.dispatch(0.0)
    told = there.taken()
    assert told == {"a": 50.0} and there.taken() == {}
    here.taken_elsewhere(0.0, told, 2, {})
    here.enter(0.0, "a", 1.0, 0.0)
    (ticket,) = here.dispatch(0.0)
    assert not ticket.promised, "5 s of the promise are used up, and 1 s may be taken at once"
    here.finish(0.0, ticket)
    here.enter(4.1, "a", 1.0, 0.0)
    (ticket,) = here.dispatch(4.1)
    assert ticket.promised


def test_what_another_replica_gave_back_counts_here():
    here = queue()
    here.taken_elsewhere(0.0, {"a": 50.0, "nobody": 3.0}, 2, {})
    here.taken_elsewhere(0.0, {"a": -45.0}, 2, {})
    here.enter(0.0, "a", 1.0, 0.0)
    (ticket,) = here.dispatch(0.0)
    assert ticket.promised
