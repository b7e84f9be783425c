# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Amounts as people read them."""

import pytest

from bastide.cli.amounts import many, size, span


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1_000, "1.0 kB"),
        (469_275, "469.3 kB"),
        (999_949, "999.9 kB"),
        (999_999, "1.0 MB"),
        (78_707_000_000, "78.7 GB"),
        (16 * 10**15, "16.0 PB"),
        (10**21, "1000000.0 PB"),
    ],
)
def test_bytes(count: int, text: str) -> None:
    assert size(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.2, "0 s"),
        (119, "119 s"),
        (120, "2 min"),
        (3_599, "60 min"),
        (3_600, "1 h 0 min"),
        (12_300, "3 h 25 min"),
        (160_560, "1 d 21 h"),
    ],
)
def test_seconds(seconds: float, text: str) -> None:
    assert span(seconds) == text


def test_things() -> None:
    assert many(1, "shard") == "1 shard"
    assert many(0, "shard") == "0 shards"
    assert many(12_461, "entry", "entries") == "12,461 entries"
