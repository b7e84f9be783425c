# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The acceptance of shares, in virtual time: benchmarks/shares.py, with its numbers asserted."""

import importlib.util
import sys
from pathlib import Path

import pytest

PATH = Path(__file__).parents[2] / "benchmarks" / "shares.py"


@pytest.fixture(scope="module")
def shares():
    spec = importlib.util.spec_from_file_location("benchmark_shares", PATH)
    assert spec is not None and spec.loader is not None
    module = sys.modules["benchmark_shares"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    del sys.modules["benchmark_shares"]


@pytest.mark.slow
def test_a_flood_does_not_touch_a_promise(shares):
    """Ten times the capacity, by five tenants, in requests six times longer; 32 slots."""
    seen = shares.flood(32, 60.0)
    assert seen["share_10s_min"] >= 0.95 and seen["share_all"] >= 0.98
    assert seen["share_all_fcfs"] <= 0.25, "first come, first served must show the harm"
    assert seen["ttft_p99_ratio"] <= 3.0
    assert seen["throughput_idle_ratio"] >= 0.95
    assert seen["jain"] >= 0.95


def test_many_tenants_on_many_replicas(shares):
    """A small cluster: every tenant with a promise gets what it asked for within it."""
    seen = shares.cluster(60, 12, 10.0)
    assert seen["share_min"] >= 0.95 and seen["refused"] > 0
