# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Routing pays and does not pile up: benchmarks/replica_routing.py, asserted."""

import pytest

from unit.benchmark import loaded


@pytest.mark.parametrize(("replicas", "load"), [(4, 0.5), (8, 0.5)])
def test_prompts_meet_what_they_left_and_queues_stay_even(replicas: int, load: float) -> None:
    with loaded("replica_routing") as bench:
        rows = {row["policy"]: row for row in bench.compare(replicas, 8, load, 200.0)}
    affine, others = rows.pop("affine"), rows.values()
    assert all(affine["turns"] == row["turns"] for row in others)
    # Elsewhere a turn meets its conversation by chance, and an older part of it.
    assert all(affine["hits"] > 2 * row["hits"] for row in others)
    assert all(affine["ttft_mean_ms"] < row["ttft_mean_ms"] for row in others)
