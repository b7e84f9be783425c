# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Access policies: the default set says what the duties say; what is misspelt is no policy.

Broken once to prove the tests: without the rails, with `decide` that asks only with the glass
broken, and without the check by the schema, they fail.
"""

from itertools import chain, combinations, product

import pytest

from bastide.core.errors import Misconfigured
from bastide.core.lifecycle import LIFECYCLE
from bastide.core.party import DUTIES, Duty, Party, Principal
from bastide.gates.access.actions import ACTIONS, NEVER_IN_EMERGENCY
from bastide.gates.access.amendment import amendment
from bastide.gates.access.cases import read_cases, read_who, thing_of
from bastide.gates.access.default_policies import DEFAULT, RAILS
from bastide.gates.access.policy_set import POLICY_BYTES_MAX, PolicySet, default_policies
from bastide.gates.access.policy_source import split

SETS = list(chain.from_iterable(combinations(Party, n) for n in range(len(Party) + 1)))
EMERGENCY = {
    "guard-set": {Party.OPERATOR},
    "deployment-end": {Party.GUARDIAN},
    "key-revoke": {Party.GUARDIAN},
}
OPEN = 'permit (principal, action in Action::"sign", resource);\n'


@pytest.mark.attacks("C180")
@pytest.mark.parametrize("action", ACTIONS)
def test_the_default_set_says_what_the_duties_say(action: str) -> None:
    row, types = ACTIONS[action], {other.on for other in ACTIONS.values()}
    for parties, emergency in product(SETS, (True, False)):
        someone = Principal("somebody", frozenset(parties))
        for on in [(row.on, "a thing"), ("Environment", "")]:
            decision = default_policies().decide(someone, action, on, emergency)
            adds = emergency and bool(EMERGENCY.get(action, frozenset()) & someone.parties)
            assert decision.allowed is (someone.holds(row.duty) or adds)
            assert decision.emergency is (adds and not someone.holds(row.duty))
        for other in types - {row.on}:
            assert not default_policies().decide(someone, action, (other, "x"), emergency).allowed


def test_each_duty_has_actions_and_each_stage_one_of_its_duty() -> None:
    assert {row.duty for row in ACTIONS.values()} == set(Duty) == set(DUTIES)
    begun = {"corpus": "dataset-build", "dataset-release": "dataset-release"}
    begun |= {"admit": "model-admit", "evaluate": "model-evaluate", "release": "release-propose"}
    begun |= {"deploy": "deployment-start", "serve": "read"}
    assert {row.name: row.duty for row in LIFECYCLE} == {
        stage: ACTIONS[action].duty for stage, action in begun.items()
    }


def test_an_unknown_action_or_type_or_an_empty_set_permits_nothing() -> None:
    everyone = Principal("all", frozenset(Party))
    assert not default_policies().decide(everyone, "launch", ("Environment", "")).allowed
    assert not default_policies().decide(everyone, "guard-set", ("Ledger", "")).allowed
    assert not PolicySet(OPEN, "x").decide(everyone, "guard-set", ("Tenant", "a")).allowed


@pytest.mark.attacks("C181")
def test_a_name_is_data_and_no_policy() -> None:
    named = Principal('x", Party::"guardian', frozenset({Party.FIRM}))
    evil = ("Tenant", '"); permit (principal, action, resource); //\n')
    assert not default_policies().decide(named, "guard-set", evil).allowed
    assert not default_policies().decide(named, "budget-set", evil).allowed


@pytest.mark.attacks("C179")
@pytest.mark.parametrize(
    ("text", "place"),
    [
        (OPEN + 'permit (principal, action == Action::"budget-sett", resource);', "a.cedar:2:38"),
        (
            OPEN + "permit (\n  principal,\n  action, resource\n) when { context.brek };",
            "a.cedar:5:18",
        ),
        (OPEN + 'permit (principal in Prty::"firm", action, resource);', "a.cedar:2:22"),
        (OPEN + "// permit\npermit (principal, action, resource) whe { true };", "a.cedar:3:38"),
        (OPEN + '\n  permit (principal in Party::"firm", action, resourc);', "a.cedar:3:"),
        (
            OPEN + 'permit (principal, action, resource) when { principal.role == "x" };',
            "a.cedar:2:",
        ),
        (
            OPEN + 'permit (principal, action == Action::"read", resource is Tenent);',
            "a.cedar:2:58",
        ),
    ],
)
def test_what_the_schema_does_not_know_is_refused_with_its_place(text: str, place: str) -> None:
    with pytest.raises(Misconfigured) as caught:
        PolicySet(text, "a.cedar")
    assert caught.value.place.startswith(place)
    assert caught.value.message.startswith(place)


def test_a_set_that_nobody_could_change_is_refused() -> None:
    with pytest.raises(Misconfigured, match="never be changed again"):
        PolicySet('permit (principal, action in Action::"read", resource);', "a.cedar")
    with pytest.raises(Misconfigured, match="bytes"):
        PolicySet(OPEN + "//" + "x" * POLICY_BYTES_MAX, "a.cedar")


@pytest.mark.attacks("C249")
@pytest.mark.parametrize("action", ACTIONS)
def test_an_emergency_adds_what_is_listed_and_never_what_is_final(action: str) -> None:
    text = OPEN + "permit (principal, action, resource) when { context.break_glass };"
    policies, nobody = PolicySet(text, "a.cedar"), Principal("nobody", frozenset())
    on = ("Environment", "")
    usually = ACTIONS[action].duty is Duty.SIGN
    assert policies.decide(nobody, action, on).allowed is usually
    decision = policies.decide(nobody, action, on, emergency=True)
    assert decision.allowed is (usually or action not in NEVER_IN_EMERGENCY)
    assert decision.emergency is (decision.allowed and not usually)
    if not decision.allowed:
        assert [row.file for row in decision.reasons] == ["rails"]


def test_who_reads_a_decision_sees_the_line_of_each_policy() -> None:
    policies = default_policies()
    for action in ACTIONS:
        for party in policies.holders(action):
            who = Principal("somebody", frozenset({party}))
            for row in policies.decide(who, action, ("Environment", "")).reasons:
                text = DEFAULT if row.file == policies.file else RAILS
                assert f'@id("{row.ident}")' in text.splitlines()[row.line - 1]


def test_policies_are_split_where_cedar_splits_them() -> None:
    text = '// a; b\n@id("a;b") permit (principal, action, resource) // ; "\n; ' + RAILS
    first, second, *_ = split(text)
    assert (first.ident, first.line, first.column) == ("a;b", 2, 1)
    assert second.text.startswith("@id(") and second.line == 5


def test_what_changes_is_told() -> None:
    text = DEFAULT.replace('@id("guardian-guards")', "").replace(
        'permit (principal in Party::"guardian"', 'permit (principal in Party::"operator"'
    )
    rows = default_policies().widens(PolicySet(text, "x"))
    assert "operator may guard-set from now on" in rows
    assert "guardian may not guard-set any more" in rows
    assert len(rows) == 6


def test_cases_are_read_and_asked() -> None:
    good = '[[case]]\nwho = "firm+guardian"\naction = "guard-set"\non = "a"\nexpect = "allow"\n'
    (case,) = read_cases(good, "c.toml")
    assert case.run(default_policies()).met
    assert not case.run(PolicySet(OPEN, "x")).met
    assert thing_of("guard-set", "a") == ("Tenant", "a")
    assert read_who("nobody").parties == frozenset()


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("guard-set", "guard-sett", "did you mean|there is no action 'guard-sett'"),
        ("firm", "fir", "there is no party 'fir'"),
        ('"allow"', '"yes"', "neither allow nor deny"),
        ('"allow"', "true", "expect: not the right kind"),
        ("on =", "onn =", "it has who, action and expect"),
        ("[[case]]", "[[cases]]", "has no cases"),
        ("[[case]]", "[[case", "c.toml"),
    ],
)
def test_a_wrong_case_is_named(old: str, new: str, said: str) -> None:
    good = '[[case]]\nwho = "firm"\naction = "guard-set"\non = "a"\nexpect = "allow"\n'
    with pytest.raises(Misconfigured, match=said):
        read_cases(good.replace(old, new), "c.toml")


@pytest.mark.attacks("C234")
@pytest.mark.parametrize("action", ["unseal", "store-deny"])
def test_a_set_from_before_these_actions_locks_nobody_out_and_one_can_forbid_them(
    action: str,
) -> None:
    on, guardian = ("Environment", ""), 'principal in Party::"guardian"'
    policies = PolicySet('permit (principal, action == Action::"policy-apply", resource);', "x")
    assert policies.holders(action) == tuple(Party)
    assert not policies.decide(Principal("nobody", frozenset()), action, on).allowed
    forbid = f'forbid (principal, action == Action::"{action}", resource) unless {{ {guardian} }};'
    without = PolicySet(OPEN + forbid, "x")
    two = Principal("two", frozenset({Party.FIRM, Party.OPERATOR}))
    assert without.holders(action) == (Party.GUARDIAN,)
    assert not without.decide(two, action, on).allowed


NEW = ["store-move", "store-key-move", "quorum-split"]


def one_by_one(*left_out: str) -> str:
    """A set that lists actions one by one, as of a version that knew some of them not yet."""
    known = ", ".join(f'Action::"{name}"' for name in ACTIONS if name not in left_out)
    return f'permit (principal in Party::"firm", action in [{known}], resource);\n'


def test_what_a_set_leaves_out_is_told_and_the_amendment_gives_it_to_whom_the_defaults_do() -> None:
    assert default_policies().left_out() == []
    older = PolicySet(one_by_one(*NEW), "x")
    assert older.left_out() == NEW
    newer = PolicySet(older.text + amendment(older.left_out()), "x")
    assert newer.left_out() == []
    for action in NEW:
        assert older.holders(action) == ()
        assert newer.holders(action) == default_policies().holders(action)
    assert "Nothing is left out" in amendment([])
    PolicySet(older.text + amendment([]), "x")


@pytest.mark.parametrize(
    ("behind", "thought_of"),
    [
        ('forbid (principal, action == Action::"store-move", resource);', True),
        ('permit (principal == Person::"anna", action in Action::"deploy", resource);', True),
        ('permit (principal, action in Action::"deploy", resource == Store::"a");', True),
        ('permit (principal in Party::"firm", action, resource);', True),
        ('permit (principal, action, resource) when { action == Action::"read" };', False),
        ('permit (principal in Party::"firm", action in Action::"sign", resource);', False),
    ],
)
def test_an_action_that_a_policy_names_or_gives_to_a_party_is_not_left_out(
    behind: str, thought_of: bool
) -> None:
    left_out = PolicySet(one_by_one("store-move") + behind, "x").left_out()
    assert left_out == ([] if thought_of else ["store-move"])
