# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""A policy is read exactly: what says neither true nor false says nothing."""

import copy
from typing import Any

import pytest

from bastide.core.errors import Misconfigured
from bastide.core.policy import Policy
from unit.ledger_fixture import POLICY


def test_what_was_written_is_read() -> None:
    policy = Policy.from_json(copy.deepcopy(POLICY))
    assert policy.to_json() == POLICY
    assert Policy.from_json(policy.to_json()).digest == policy.digest


@pytest.mark.parametrize(
    "changes",
    # A verifier that takes "yes" for true would print "separate" where no gate enforces it.
    [{"separate": "yes"}, {"separate": 1}, {"separate": None}, {"name": 7}, {"more": 1}],
)
def test_another_form_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(Misconfigured):
        Policy.from_json({**POLICY, **changes})
