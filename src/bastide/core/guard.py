# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""GuardPolicy: what is looked for in prompts and answers, and what is done about it.

A policy names detectors, or groups of them, for each direction. What it does not name is not
looked for. A guard finds forms, not meanings: it is a signal, never a boundary (docs/adr/0015).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from bastide.core.canonical import canonical
from bastide.core.errors import Misconfigured
from bastide.core.limits import GUARD_CEDAR_BYTES_MAX, GUARD_HOSTS_MAX, GUARD_POLICY_BYTES_MAX
from bastide.core.subject import Digest

__all__ = ["EVERYONE", "GROUPS", "NAMES", "Action", "Actions", "Direction", "GuardPolicy"]

EVERYONE: Final = "*"  # the tenant of the policy for those who have none of their own

GROUPS: Final[Mapping[str, tuple[str, ...]]] = {
    "personal": ("iban", "card", "national-number", "email", "phone", "ip-address"),
    "secrets": (
        "aws-key",
        "aws-secret",
        "github-token",
        "bastide-key",
        "private-key",
        "jwt",
        "slack-token",
        "google-key",
        "age-identity",
    ),
}
NAMES: Final = (
    *GROUPS["personal"],
    *GROUPS["secrets"],
    "link",
    "invisible",
    "prompt-leak",
    "erasure",
)


class Action(StrEnum):
    """What is done about a match."""

    OBSERVE = "observe"  # the receipt says so, nothing else
    MASK = "mask"  # the name of the detector stands in its place
    REFUSE = "refuse"  # the request is refused, or the answer ends before it


class Direction(StrEnum):
    """`IN` is to the model, `OUT` is from it."""

    IN = "in"
    OUT = "out"


Actions = tuple[tuple[str, Action], ...]
_HOST = re.compile(r"(?:\*\.)?[^\W_](?:[\w-]*[^\W_])?(?:\.[\w-]+)*")
_AGE_DAYS: Final = 31  # lists are renewed once a month
_SECTIONS: Final = {"in", "out", "links", "erasure", "tools"}


@dataclass(frozen=True, slots=True)
class GuardPolicy:
    """One policy.

    inward, outward: detectors and actions. hosts: to which links may lead, ``*.name`` for all
    below a name. erasure_age_days_max: an older list is stale; `stale_refuses` says whether
    nothing is answered then. tool_rules: Cedar policies for tool calls, or "" for none.
    """

    inward: Actions = ()
    outward: Actions = ()
    hosts: tuple[str, ...] = ()
    erasure_age_days_max: int = _AGE_DAYS
    stale_refuses: bool = True
    tool_rules: str = ""

    @property
    def digest(self) -> Digest:
        """The digest of its canonical form."""
        return Digest.of(canonical(self.to_json()))

    @property
    def erases(self) -> bool:
        """Whether it asks for the erasure filter."""
        return any(name == "erasure" for name, _ in (*self.inward, *self.outward))

    def to_json(self) -> dict[str, Any]:
        """The policy as plain JSON values, groups resolved."""
        return {
            "in": {name: action.value for name, action in self.inward},
            "out": {name: action.value for name, action in self.outward},
            "links": {"hosts": list(self.hosts)},
            "erasure": {
                "age_days_max": self.erasure_age_days_max,
                "stale": Action.REFUSE.value if self.stale_refuses else Action.OBSERVE.value,
            },
            "tools": {"cedar": self.tool_rules},
        }

    @classmethod
    def from_json(cls, value: Any) -> "GuardPolicy":
        """Read what `to_json` wrote, or what a person did. Raises Misconfigured with the place."""
        if not isinstance(value, dict):
            raise _wrong("", "a policy is a table")
        for name in sorted(value.keys() - _SECTIONS, key=str):
            raise _wrong(str(name), f"the sections are {', '.join(sorted(_SECTIONS))}")
        links = _section(value, "links", {"hosts"})
        erasure = _section(value, "erasure", {"age_days_max", "stale"})
        tools = _section(value, "tools", {"cedar"})
        age = erasure.get("age_days_max", _AGE_DAYS)
        if type(age) is not int or not 0 <= age <= 36_500:
            raise _wrong("erasure.age_days_max", "days, from 0 to 36500")
        stale = erasure.get("stale", Action.REFUSE)
        if stale not in (Action.REFUSE, Action.OBSERVE):
            raise _wrong("erasure.stale", "refuse or observe")
        rules = tools.get("cedar", "")
        if not isinstance(rules, str) or len(rules.encode()) > GUARD_CEDAR_BYTES_MAX:
            raise _wrong("tools.cedar", f"a text of at most {GUARD_CEDAR_BYTES_MAX} bytes")
        policy = cls(
            _actions(value.get("in", {}), "in"),
            _actions(value.get("out", {}), "out"),
            _hosts(links.get("hosts", [])),
            age,
            stale == Action.REFUSE,
            rules,
        )
        if len(canonical(policy.to_json())) > GUARD_POLICY_BYTES_MAX:
            raise _wrong("", f"a policy has at most {GUARD_POLICY_BYTES_MAX} bytes")
        return policy


def _actions(value: Any, place: str) -> Actions:
    """Detectors and actions, groups first, so that a single name can say otherwise."""
    if not isinstance(value, dict):
        raise _wrong(place, "a table of detectors and actions")
    chosen: dict[str, Action] = {}
    for name in sorted(value, key=lambda name: name not in GROUPS):
        if name not in NAMES and name not in GROUPS:
            known = ", ".join((*GROUPS, *NAMES))
            raise _wrong(f"{place}.{name}", f"the detectors are {known}")
        if place == Direction.IN and name == "prompt-leak":
            raise _wrong(f"{place}.{name}", "a prompt cannot leak into itself; say it under `out`")
        if value[name] not in (*Action, "off"):
            raise _wrong(f"{place}.{name}", "observe, mask, refuse or off")
        for row in GROUPS.get(name, (name,)):
            if value[name] == "off":
                chosen.pop(row, None)
            else:
                chosen[row] = Action(value[name])
    return tuple((name, chosen[name]) for name in NAMES if name in chosen)


def _section(value: dict[str, Any], name: str, known: set[str]) -> dict[str, Any]:
    section = value.get(name, {})
    if not isinstance(section, dict):
        raise _wrong(name, "a table")
    for key in sorted(section.keys() - known, key=str):
        raise _wrong(f"{name}.{key}", f"the settings are {', '.join(sorted(known))}")
    return section


def _hosts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or len(value) > GUARD_HOSTS_MAX:
        raise _wrong("links.hosts", f"a list of at most {GUARD_HOSTS_MAX} names")
    for host in value:
        if not isinstance(host, str) or len(host) > 253 or not _HOST.fullmatch(host):
            raise _wrong("links.hosts", "names such as docs.eu, or *.docs.eu for all below it")
    return tuple(sorted({host.casefold() for host in value}))


def _wrong(place: str, fix: str) -> Misconfigured:
    return Misconfigured(
        f"the guard policy is wrong at {place or 'its top'}", place=place or "policy", fix=fix
    )
