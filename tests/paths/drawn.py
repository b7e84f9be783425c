# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Requests that are drawn by chance: another choice in each run, which can be had again.

pytest tests/paths/test_openapi.py --hypothesis-seed 123
pytest tests/paths/test_openapi.py --hypothesis-profile thorough    # fifty times as many
"""

import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import seed as seeded

_FEW, _MANY = 8, 400
_CHANCE = random.SystemRandom().randrange(2**32)

settings.register_profile("thorough", max_examples=_MANY)


def drawn(config: pytest.Config, many: int = 1) -> Callable[[Any], Any]:
    """Settings and seed of one test, `many` times the usual number; says how to get it again."""
    given = config.getoption("--hypothesis-seed")
    number = _CHANCE if given is None else given
    thorough = config.getoption("--hypothesis-profile") == "thorough"
    print(f"the same requests again: --hypothesis-seed {number}")  # shown where a test fails
    chosen = settings(
        max_examples=many * (_MANY if thorough else _FEW),
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    return lambda test: chosen(seeded(number)(test))
