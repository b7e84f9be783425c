# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The states of the store's keys: every pair of them, and no destruction without an order.

To see these tests fail I once broke the code: with every transition allowed in `store_keys`, they
failed.
"""

import itertools

import pytest

from bastide.core.errors import NotProven
from bastide.core.evidence import Evidence, Statement
from bastide.core.register import TRANSITIONS, KeyState
from bastide.core.store_key import store_keys as lives_of
from bastide.core.store_key import subject_of
from bastide.core.subject import Digest


def said(number: int, state: KeyState, order: str | None) -> Evidence:
    body = {"key": "store-x", "service": "file", "state": state.value, "order": order}
    statement = Statement("store-key/v1", (subject_of("store-x"),), {**body, "proof": None})
    return Evidence(statement, ("e",), Digest.of(b"%d" % number), number)


@pytest.mark.parametrize(("first", "second"), [*itertools.product(KeyState, KeyState)])
def test_transitions_are_those_of_the_standard(first: KeyState, second: KeyState) -> None:
    ways = {
        KeyState.ACTIVE: (),
        KeyState.SUSPENDED: (KeyState.SUSPENDED,),
        KeyState.DEACTIVATED: (KeyState.DEACTIVATED,),
        KeyState.COMPROMISED: (KeyState.COMPROMISED,),
        KeyState.DESTROYED: (KeyState.DEACTIVATED, KeyState.DESTROYED),
    }
    if first is KeyState.PRE_ACTIVE:  # a store's key is made at the moment of its first use
        with pytest.raises(NotProven):
            lives_of([said(1, first, None)], {})
        return
    states = [KeyState.ACTIVE, *ways[first], second]
    rows = [said(n, state, "sha256:o") for n, state in enumerate(states, start=1)]
    if second not in TRANSITIONS[first]:
        with pytest.raises(NotProven, match=f"is {first}, not {second}"):
            lives_of(rows, {"sha256:o": "store-x"})
        return
    life = lives_of(rows, {"sha256:o": "store-x"})["store-x"]
    assert [state for _, state in life.changes] == states
    if second is KeyState.DESTROYED:
        for orders in ({}, {"sha256:o": "store-y"}, {"sha256:p": "store-x"}):
            with pytest.raises(NotProven, match="no two parties ordered"):
                lives_of(rows, orders)
