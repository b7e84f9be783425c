# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Cases: what a set of policies must decide, from a file of TOML or JSON that lies beside it.

[[case]]
who = "operator"
action = "budget-set"
on = "acme"
expect = "deny"
"""

import json
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from bastide.core.errors import Misconfigured
from bastide.core.party import Party, Principal
from bastide.gates.access.actions import ACTIONS
from bastide.gates.access.policy_set import Decision, PolicySet

__all__ = ["Case", "Outcome", "read_cases", "read_who", "thing_of"]

_FIELDS = {"who", "action", "on", "break_glass", "expect"}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a case."""

    case: "Case"
    decision: Decision

    @property
    def met(self) -> bool:
        """True if the decision is the one expected."""
        return self.decision.allowed is self.case.allow


@dataclass(frozen=True, slots=True)
class Case:
    """One question, and the answer it must get. `on`: the thing's name, or None for all."""

    who: Principal
    action: str
    on: str | None
    emergency: bool
    allow: bool

    def run(self, policies: PolicySet) -> Outcome:
        """Ask it."""
        thing = thing_of(self.action, self.on)
        return Outcome(self, policies.decide(self.who, self.action, thing, self.emergency))

    def __str__(self) -> str:
        on = f" on {self.on}" if self.on else ""
        broken = " in an emergency" if self.emergency else ""
        return f"{self.who.name} {self.action}{on}{broken}"


def read_cases(text: str, file: str) -> list[Case]:
    """The cases of a file. Raises Misconfigured, naming the case and the field."""
    try:
        value = json.loads(text) if file.endswith(".json") else tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise Misconfigured(f"{file}: {error}", place=file) from error
    rows = value.get("case") if isinstance(value, dict) else None
    if not isinstance(rows, list) or not rows or set(value) != {"case"}:
        raise Misconfigured(f"{file}: it has no cases", place=file, fix="begin one with [[case]]")
    return [_case(row, f"{file}: case {number}") for number, row in enumerate(rows, 1)]


def read_who(text: str) -> Principal:
    """A principal from the names of the parties that one acts for, such as ``firm+operator``.

    ``nobody`` acts for none. Raises Misconfigured.
    """
    if text == "nobody":
        return Principal(text, frozenset())
    return Principal(text, frozenset(_party(name) for name in text.split("+")))


def thing_of(action: str, on: str | None) -> tuple[str, str]:
    """Type and name of what an action is done to. Raises Misconfigured for an unknown action."""
    if action not in ACTIONS:
        near = _nearest(action, ACTIONS)
        raise Misconfigured(f"there is no action {action!r}", place="action", fix=near)
    return (ACTIONS[action].on, on) if on else ("Environment", "")


def _case(row: Any, where: str) -> Case:
    if not isinstance(row, dict) or not {"who", "action", "expect"} <= row.keys() <= _FIELDS:
        raise Misconfigured(
            f"{where}: it has who, action and expect, and may have on and break_glass", place=where
        )
    kinds = {"break_glass": bool}
    for name, value in row.items():
        if type(value) is not kinds.get(name, str):
            raise Misconfigured(f"{where}: {name}: not the right kind of value", place=where)
    if row["expect"] not in ("allow", "deny"):
        raise Misconfigured(f"{where}: expect: neither allow nor deny", place=where)
    try:
        thing_of(row["action"], None)
        who = read_who(row["who"])
    except Misconfigured as error:
        raise Misconfigured(f"{where}: {error.message}", place=where, fix=error.fix) from error
    broken = row.get("break_glass", False)
    return Case(who, row["action"], row.get("on"), broken, row["expect"] == "allow")


def _party(name: str) -> Party:
    try:
        return Party(name)
    except ValueError as error:
        raise Misconfigured(
            f"there is no party {name!r}",
            place="who",
            fix=f"one of {', '.join(Party)}, several joined by +, or nobody",
        ) from error


def _nearest(word: str, words: Iterable[str]) -> str:
    from difflib import get_close_matches

    close = get_close_matches(word, words, 1)
    return f"did you mean {close[0]!r}?" if close else "bastide policy show --schema"
