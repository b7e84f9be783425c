# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The acceptance of shares, in virtual time: benchmarks/shares.py, with its numbers asserted."""

import pytest

from unit.benchmark import loaded


@pytest.fixture(scope="module")
def shares():
    with loaded("shares") as module:
        yield module


@pytest.mark.slow
def test_a_flood_does_not_touch_a_promise(shares):
    """Ten times the capacity, by five tenants, in requests six times longer; 32 slots.

    The numbers of the issue. Time is virtual, so nothing here depends on the machine.
    """
    seen = shares.flood(32, 60.0)
    assert seen["share_10s_min"] >= 0.95 and seen["share_all"] >= 0.98
    assert seen["share_all_fcfs"] <= 0.16, "first come, first served must show the harm"
    assert seen["ttft_p99_ratio"] <= 3.0 and seen["ttft_p99_ratio_at_80"] <= 3.0
    assert seen["throughput_idle_ratio"] >= 0.95
    assert seen["throughput_first_minute_ratio"] >= 0.95, "32 slots afford their guard"
    assert seen["jain"] >= 0.95


@pytest.mark.slow
def test_few_slots_lend_all_they_have_while_the_promised_tenant_is_idle(shares):
    """Four slots, of which one is kept while the promise is used."""
    seen = shares.flood(4, 60.0)
    assert seen["share_10s_min"] >= 0.95 and seen["share_all"] >= 0.98
    assert seen["share_all_fcfs"] <= 0.25
    assert seen["ttft_p99_ratio"] <= 5.0
    assert seen["throughput_idle_ratio"] >= 0.95 > seen["throughput_first_minute_ratio"]
    assert seen["jain"] >= 0.95


def test_many_tenants_on_many_replicas(shares):
    """A small cluster: every tenant with a promise gets what it asked for within it."""
    seen = shares.cluster(60, 12, 10.0)
    assert seen["share_min"] >= 0.95 and seen["refused"] > 0


@pytest.mark.slow
def test_a_thousand_tenants_on_two_hundred_replicas(shares):
    """As above in the size of the issue; some seconds of CPU."""
    seen = shares.cluster(1_000, 200, 5.0)
    assert (seen["tenants"], seen["replicas"]) == (1_000, 200)
    assert seen["requests"] > 50_000 and seen["refused"] > 0
    assert seen["share_min"] >= 0.95 and seen["share_p1"] >= 0.98
