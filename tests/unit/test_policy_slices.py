# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""A slice of a set of policies decides what the whole set decides, for the same reasons.

Broken once to prove the tests: with a `select` that takes `in` for `==`, with one that knows no
groups of actions, and with an `is` that
never holds, they fail.
"""

import json

import cedarpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bastide.core.errors import Misconfigured
from bastide.core.party import Party, Principal
from bastide.gates.access.actions import ACTIONS
from bastide.gates.access.calls import CALLS, ROLES
from bastide.gates.access.default_policies import DEFAULT, RAILS
from bastide.gates.access.policy_set import PolicySet, default_policies
from bastide.gates.access.schema import SCHEMA

_NAMES = st.sampled_from(["acme", "b", "x"])
_TYPES = sorted({row.on for row in ACTIONS.values()})
_SCHEMA = cedarpy.Schema.from_str(SCHEMA)
_ACTIONS = list(ACTIONS)
_DUTIES = sorted({row.duty.value for row in ACTIONS.values()} - set(ACTIONS))


def _uid(kind: str, name: str) -> str:
    return f"{kind}::{json.dumps(name)}"


_PEOPLE = st.one_of(
    st.builds(_uid, st.just("Party"), st.sampled_from(list(Party))),
    st.builds(_uid, st.just("Person"), _NAMES),
)
_THINGS = st.builds(_uid, st.sampled_from(_TYPES), _NAMES)
_WHO = st.one_of(
    st.just("principal"),
    st.just("principal is Person"),
    st.builds("principal in {}".format, _PEOPLE),
    st.builds("principal is Person in {}".format, _PEOPLE),
    st.builds(lambda name: f"principal == {_uid('Person', name)}", _NAMES),
)
_ONE = st.builds(_uid, st.just("Action"), st.sampled_from([*_ACTIONS, *_DUTIES]))
_DOES = st.one_of(
    st.just("action"),
    st.builds("action == {}".format, st.builds(_uid, st.just("Action"), st.sampled_from(_ACTIONS))),
    st.builds("action in {}".format, _ONE),
    st.builds(lambda ones: f"action in [{', '.join(ones)}]", st.lists(_ONE, max_size=4)),
)
_ON = st.one_of(
    st.just("resource"),
    st.builds("resource is {}".format, st.sampled_from(["Environment", *_TYPES])),
    st.builds("resource == {}".format, _THINGS),
    st.builds("resource in {}".format, _THINGS),
)
_IF = st.sampled_from(
    [
        "",
        " when { context.break_glass }",
        " unless { context.break_glass }",
        ' when { principal in Party::"guardian" }',
        ' unless { principal in Party::"firm" }',
    ]
)
_POLICY = st.builds(
    "{} ({}, {}, {}){};".format, st.sampled_from(["permit", "forbid"]), _WHO, _DOES, _ON, _IF
).filter(lambda text: cedarpy.validate_policies(text, _SCHEMA).validation_passed)


def whole(text: str, who: Principal, action: str, on: tuple[str, str], broken: bool) -> tuple:
    """What Cedar decides of all policies at once, and the places of those that determined it."""
    parents = [{"type": "Party", "id": party.value} for party in who.parties]
    someone = {"uid": {"type": "Person", "id": who.name}, "attrs": {}, "parents": parents}
    asked = {
        "principal": {"type": "Person", "id": who.name},
        "action": {"type": "Action", "id": action},
        "resource": {"type": on[0], "id": on[1]},
        "context": {"break_glass": broken},
    }
    entities = cedarpy.Entities.from_json_str(json.dumps([someone]), _SCHEMA)
    policies = cedarpy.PolicySet.from_str(f"{text}\n{RAILS}")
    judged = cedarpy.is_authorized(asked, policies, entities, _SCHEMA)
    assert not judged.diagnostics.errors
    return judged.allowed, {int(one.removeprefix("policy")) for one in judged.diagnostics.reasons}


@pytest.mark.attacks("C238")
@settings(max_examples=150)
@given(
    st.lists(_POLICY, max_size=12), st.sampled_from(_ACTIONS), _NAMES, _NAMES,
    st.frozensets(st.sampled_from(list(Party))), st.booleans(), st.booleans(),
)  # fmt: skip
def test_a_slice_decides_as_the_whole_does(
    rows: list[str], action: str, name: str, thing: str, parties: frozenset[Party],
    broken: bool, named: bool,
) -> None:  # fmt: skip
    keep = 'permit (principal == Person::"keeper", action == Action::"policy-apply", resource);'
    text = "\n".join(
        [*rows, 'permit (principal, action == Action::"policy-apply", resource);', keep]
    )
    try:
        policies = PolicySet(text, "random.cedar")
    except Misconfigured as error:
        assert "never be changed" in error.message
        return
    who, on = (
        Principal(name, parties),
        (ACTIONS[action].on, thing) if named else ("Environment", ""),
    )
    allowed, reasons = whole(text, who, action, on, broken)
    decision = policies._decide(
        ("Person", who.name, "Party", who.parties), action, on, broken=broken
    )
    assert decision.allowed is allowed
    assert {policies._reason(one) for one in reasons} == set(decision.reasons)
    assert len(decision.reasons) == len(reasons)


@pytest.mark.parametrize("role", ROLES)
def test_services_get_the_calls_of_their_role(role: str) -> None:
    assert default_policies().calls(role) == {call for call in CALLS if role in CALLS[call]}


def test_a_slice_holds_what_can_decide_and_nothing_else() -> None:
    head = 'principal in Party::"firm", action == Action::"budget-set", resource == Tenant::'
    text = DEFAULT + "".join(f'forbid ({head}"t{number}");\n' for number in range(100))
    slices = PolicySet(text, "x")._slices
    chosen = [
        slices.select(("Person", "x"), [("Party", "firm")], "budget-set", ("Tenant", name))
        for name in ("t7", "acme")
    ]
    assert len(chosen[0]) == len(chosen[1]) + 1 <= 4
    assert slices.policies(chosen[0]) is slices.policies(chosen[0])
    for number in range(300):  # what is kept is bounded
        slices.policies(tuple(range(number % 100, number % 100 + 1 + number // 100)))
    assert len(slices._kept) <= 256
