# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What nobody can begin behind a condition is told, and nothing else is.

Broken once to prove the tests: without the names that policies mention, without emergencies,
without several parties at once, and with forbids that count as unmet conditions, they fail.
"""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bastide.app import doctor
from bastide.core.party import Party, Principal
from bastide.gates.access import reach as module
from bastide.gates.access.actions import ACTIONS
from bastide.gates.access.default_policies import DEFAULT
from bastide.gates.access.policy_set import PolicySet, default_policies
from bastide.gates.access.reach import reach

MOVE = "store-move"
ON = ACTIONS[MOVE].on
OTHERS = ", ".join(f'Action::"{name}"' for name in ACTIONS if name != MOVE)
BASE = f'permit (principal in Party::"firm", action in [{OTHERS}], resource);\n'


def unmet(*policies: str) -> list[str]:
    found = reach(PolicySet(BASE + "\n".join(policies), "x"))
    assert found.unseen == ()
    return [one.action for one in found.unmet]


def permit(condition: str, who: str = "principal", on: str = "resource") -> str:
    return f'@id("it") permit ({who}, action == Action::"{MOVE}", {on}) when {{ {condition} }};'


HIDDEN = (
    'permit (principal, action in Action::"deploy", resource)'
    ' when { action == Action::"deployment-end" };'
)
FORBID = f'forbid (principal, action == Action::"{MOVE}", resource)'


@pytest.mark.parametrize(
    "policies",
    [
        [permit("false")],
        [permit('principal in Party::"auditor"')],
        [permit("context.break_glass && !context.break_glass")],
        [permit('principal == Person::"anna"', 'principal == Person::"berta"')],
        [permit(f'resource == {ON}::"a" && resource == {ON}::"b"')],
        [permit('resource is Tenant || resource == Environment::"a name"')],
        [HIDDEN],
    ],
)
def test_what_nobody_can_meet_is_told(policies: list[str]) -> None:
    assert unmet(*policies) == [MOVE]


@pytest.mark.parametrize(
    "policies",
    [
        [],  # left out: that is told elsewhere
        [permit("true")],
        [permit("context.break_glass")],
        [permit("!context.break_glass")],
        [permit('principal == Person::"anna"')],
        [permit('principal != Person::"somebody-or-something"')],
        [permit(f'resource == {ON}::"a"')],
        [permit(f'resource in [{ON}::"a", {ON}::"b"]')],
        [permit('resource == Environment::""')],
        [permit('principal in Party::"firm" && principal in Party::"guardian"')],
        [permit('principal in Party::"firm" && principal in Party::"guardian"'
                ' && principal in Party::"operator"')],
        [permit('!(principal in Party::"firm") && !(principal in Party::"guardian")'
                ' && !(principal in Party::"operator")')],
        [permit(f'principal == Person::"anna" && resource == {ON}::"a" && context.break_glass')],
        # Somebody wrote down that nobody may.
        [permit("true"), FORBID + ";"],
    ],
)  # fmt: skip
def test_what_somebody_can_meet_is_not(policies: list[str]) -> None:
    assert unmet(*policies) == []


def test_it_says_where() -> None:
    (one,) = reach(PolicySet(BASE + permit("false"), "x")).unmet
    assert str(one) == f"{MOVE}: it (line 2)"
    assert reach(default_policies()) == reach(PolicySet(DEFAULT, "x")) == module.Reach((), ())


def test_what_takes_too_long_is_said_to_be_unseen(monkeypatch: pytest.MonkeyPatch) -> None:
    """And so are all after it; it is never taken for met."""
    monkeypatch.setattr(module, "SITUATIONS_MAX", 3)
    found = reach(PolicySet(BASE + permit("false"), "x"))
    assert (found.unmet, found.unseen) == ((), (MOVE,))


_PEOPLE = ['Person::"anna"', 'Person::"berta"']
_THINGS = [f'{ON}::"a"', f'{ON}::"b"', 'Environment::""']
_ATOMS = [
    "context.break_glass",
    *(f"principal == {one}" for one in _PEOPLE),
    *(f"resource == {one}" for one in _THINGS),
    *(f'principal in Party::"{party}"' for party in Party),
    f"resource is {ON}",
    'principal in Party::"auditor"',
]
_CONDITIONS = st.recursive(
    st.sampled_from(_ATOMS),
    lambda inner: st.one_of(
        st.builds("!({})".format, inner),
        st.builds("({} && {})".format, inner, inner),
        st.builds("({} || {})".format, inner, inner),
    ),
    max_leaves=6,
)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.booleans(), _CONDITIONS), min_size=1, max_size=3))
def test_it_finds_what_asking_for_everything_finds(rows: list[tuple[bool, str]]) -> None:
    policies = PolicySet(
        BASE
        + "\n".join(
            f'{"permit" if permits else "forbid"} (principal, action == Action::"{MOVE}", resource)'
            f" when {{ {condition} }};"
            for permits, condition in rows
        ),
        "x",
    )
    somebody = any(
        policies.decide(Principal(name, frozenset(parties)), MOVE, thing, broken).allowed
        for name in ("anna", "berta", "carla", "dora")
        for parties in _subsets()
        for thing in ((ON, "a"), (ON, "b"), (ON, "c"), (ON, "d"), ("Environment", ""))
        for broken in (False, True)
    )
    told = [one.action for one in reach(policies).unmet]
    assert not (somebody and told)
    if not somebody and not any(not permits for permits, _ in rows):
        assert told == [MOVE]


def _subsets() -> list[set[Party]]:
    return [{party for place, party in enumerate(Party) if bits >> place & 1} for bits in range(8)]


def test_doctor_says_what_was_not_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    policies = PolicySet(BASE + permit("false"), "x")
    assert "nobody can meet" in doctor._policies(policies).seen
    monkeypatch.setattr(module, "SITUATIONS_MAX", 3)
    found = doctor._policies(policies)
    assert found.state == "warn" and found.seen.endswith(f"may: {MOVE}")
