# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Every use case asks who calls it, before it does anything, and the lifecycle table says for what.

Broken once to prove the tests: with a `require` that lets everybody pass, and without the first
line of `publish_release`, they fail.
"""

import ast
import importlib
import inspect
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from bastide.app import corpus_build, deployments, models, releases
from bastide.app.duties import everyone, require
from bastide.app.environment import Environment
from bastide.core.errors import NotAllowed
from bastide.core.lifecycle import LIFECYCLE
from bastide.core.party import DUTIES, Party, Principal
from bastide.gates.access.actions import ACTIONS
from paths.demo import ROOT
from paths.loading_rig import Served

# Look-ups that other use cases begin with, what a party's own signature answers for, and the door
# itself: custodians are asked as who their shares say they are, and nobody has logged in before.
UNASKED = {
    "admit_custodians",
    "approval_of",
    "approve_here",
    "begin_login",
    "bundle_key_pem",
    "carry_allowance",
    "carry_denial",
    "carry_erasure",
    "carry_guard",
    "deployment_approvals",
    "find_candidate",
    "find_scope",
    "first_key",
    "log_in_by_browser",
    "log_in_by_device",
    "log_key",
    "own_key",
    "plan_deployment",
    "sign_as_parties",
    "sign_order",
}
_GIVEN = {"names": ("models/",)}  # what is asked about each of them
STAGES: dict[str, Callable[..., Any]] = {
    "corpus": corpus_build.build_dataset,
    "admit": models.add_model,
    "evaluate": models.evaluate_model,
    "release": releases.publish_release,
    "deploy": deployments.deploy_release,
}


def use_cases() -> Iterator[Callable[..., Any]]:
    """Every function on an environment that a command calls: what a face imports from `app`."""
    named = set()
    for path in sorted((ROOT / "src/bastide/cli").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("bastide.app."):
                named |= {(str(node.module), row.name) for row in node.names}
    for module, name in sorted(named):
        found = getattr(importlib.import_module(module), name)
        if (
            inspect.isfunction(found)
            and next(iter(inspect.signature(found).parameters), "") == "env"
        ):
            yield found


USE_CASES = {function.__name__: function for function in use_cases()}


def call(function: Callable[..., Any], env: Environment) -> None:
    """Call a use case that is expected to stop at its first line."""
    named = [row.name for row in inspect.signature(function).parameters.values()][1:]
    kinds = inspect.signature(function).parameters
    alone = {name for name in named if kinds[name].kind is inspect.Parameter.KEYWORD_ONLY}
    given = [_GIVEN.get(name) for name in named if name not in alone]
    function(env, *given, **dict.fromkeys(alone))


class Someone:
    """At the door of an environment with a ledger of its own."""

    def __init__(self, env: Environment, parties: frozenset[Party]) -> None:
        self.access, self.principal = env.access, Principal("somebody", parties)
        self.claim, self.unknown = None, ""


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("party", Party)
def test_an_action_belongs_to_the_parties_of_its_duty(
    action: str, party: Party, broken: Served
) -> None:
    duty = ACTIONS[action].duty
    someone = Someone(broken.env, frozenset({party}))
    if party in DUTIES[duty]:
        require(someone, action)
        return
    with pytest.raises(NotAllowed, match=f"may not {duty.value}") as caught:
        require(someone, action)
    assert all(holder.value in caught.value.reasons[0] for holder in DUTIES[duty])


@pytest.mark.parametrize("action", ACTIONS)
def test_nobody_may_do_nothing_and_everyone_all(action: str, broken: Served) -> None:
    require(replace(broken.env, principal=everyone("one person")), action)
    with pytest.raises(NotAllowed):
        require(Someone(broken.env, frozenset()), action)


def test_the_exceptions_are_use_cases() -> None:
    assert set(USE_CASES) >= UNASKED
    assert len(USE_CASES) - len(UNASKED) >= 100


@pytest.mark.attacks("C67")
@pytest.mark.parametrize("name", sorted(set(USE_CASES) - UNASKED))
def test_a_use_case_asks_first(name: str, broken: Served) -> None:
    before = broken.env.ledger.size
    with pytest.raises(NotAllowed):
        call(USE_CASES[name], replace(broken.env, principal=Principal("nobody", frozenset())))
    assert broken.env.ledger.size == before


@pytest.mark.attacks("C67")
@pytest.mark.parametrize(
    "row", [row for row in LIFECYCLE if row.name in STAGES], ids=lambda r: r.name
)
def test_a_stage_asks_for_the_duty_of_its_row(row: Any, broken: Served) -> None:
    others = frozenset(Party) - DUTIES[row.duty]
    with pytest.raises(NotAllowed, match=f"may not {row.duty.value}"):
        call(STAGES[row.name], replace(broken.env, principal=Principal("others", others)))
