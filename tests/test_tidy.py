# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""This repository keeps the rules of the house: see tidy_rules.py."""

from pathlib import Path

import pytest

from tidy_rules import RULES

ROOT = Path(__file__).parents[1]


@pytest.mark.attacks("C64")
@pytest.mark.parametrize("rule", RULES)
def test_this_repository_keeps_the_rule(rule: str) -> None:
    faults = RULES[rule](ROOT)
    assert not faults, f"{RULES[rule].__doc__}\n" + "\n".join(faults)
