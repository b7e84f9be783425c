# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Reach: the actions that a set of policies takes in, and that nobody can begin all the same.

This is no sample. Nothing in the schema has attributes, so a condition can ask only who somebody
is, of which parties, what the thing is, and whether the glass is broken; and names that no policy
mentions are all alike. So it is enough to ask for every set of parties, each person and thing that
the policies about an action mention and one that they do not, with and without an emergency, until
somebody may. Who can be somebody is not asked: a person whom a policy mentions is taken to exist.

An action that every such answer forbids is not told: somebody wrote that down.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations, product
from typing import Any, Final

from bastide.core.party import Party, Principal
from bastide.gates.access.actions import ACTIONS
from bastide.gates.access.policy_set import PolicySet, Reason

__all__ = ["SITUATIONS_MAX", "Reach", "Unmet", "reach"]

SITUATIONS_MAX: Final = 10_000  # for one set: a second or two
_PARTIES: Final = [
    frozenset(some) for count in range(1, 4) for some in combinations(Party, count)
] + [frozenset[Party]()]


@dataclass(frozen=True, slots=True)
class Unmet:
    """An action, and the permits that take it in under conditions that nobody can meet."""

    action: str
    permits: tuple[Reason, ...]

    def __str__(self) -> str:
        where = ", ".join(f"{one.ident} (line {one.line})" for one in self.permits)
        return f"{self.action}: {where}"


@dataclass(frozen=True, slots=True)
class Reach:
    """What was found. unseen: actions whose situations were too many to ask for all."""

    unmet: tuple[Unmet, ...]
    unseen: tuple[str, ...]


def reach(policies: PolicySet) -> Reach:
    """The actions that some permit takes in and nobody can begin; not those that are left out."""
    unmet, unseen, asked = [], [], 0
    left_out = policies.left_out()
    for action in ACTIONS:
        permits = policies.permits(action)
        if not permits or action in left_out or policies.holders(action):
            continue
        forbidden = True  # in every situation so far, by a policy that says so
        for who, thing, broken in _situations(policies, action):
            if (asked := asked + 1) > SITUATIONS_MAX:
                unseen.append(action)
                break
            decision = policies.decide(who, action, thing, broken)
            if decision.allowed:
                break
            forbidden = forbidden and bool(decision.reasons)
        else:
            if not forbidden:
                unmet.append(Unmet(action, permits))
    return Reach(tuple(unmet), tuple(unseen))


def _situations(
    policies: PolicySet, action: str
) -> Iterator[tuple[Principal, tuple[str, str], bool]]:
    mentioned = set(_entities(policies.heads_and_bodies(action)))
    people = ["", *_names(mentioned, "Person")]
    kind = ACTIONS[action].on
    things = [("Environment", ""), (kind, _strange(mentioned, kind))]
    things += [(kind, name) for name in _names(mentioned, kind)]
    people[0] = _strange(mentioned, "Person")
    emergencies = (False, True) if _ask_for_glass(policies, action) else (False,)
    for name, thing, parties, broken in product(people, things, _PARTIES, emergencies):
        yield Principal(name, parties), thing, broken


def _ask_for_glass(policies: PolicySet, action: str) -> bool:
    """Whether an emergency can make a difference. More may be said to ask than do."""
    return "break_glass" in json.dumps(policies.heads_and_bodies(action))


def _names(mentioned: set[tuple[str, str]], kind: str) -> list[str]:
    return sorted(name for one, name in mentioned if one == kind)


def _strange(mentioned: set[tuple[str, str]], kind: str) -> str:
    """A name that no policy mentions."""
    name = "somebody-or-something"
    while (kind, name) in mentioned:
        name += "-else"
    return name


def _entities(value: Any) -> Iterator[tuple[str, str]]:
    """Every entity in Cedar's JSON, in heads and conditions."""
    if isinstance(value, dict):
        if value.keys() == {"type", "id"}:
            yield value["type"], value["id"]
        for inner in value.values():
            yield from _entities(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _entities(inner)
