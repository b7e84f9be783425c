# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Policy: which gates and approvals each stage demands, as data.

A policy is part of the charter, so it is signed and has a digest. An empty policy opens
nothing: a stage without a rule is refused (DESIGN.md invariant 2).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from bastide.core.canonical import canonical
from bastide.core.errors import Misconfigured
from bastide.core.party import Party
from bastide.core.subject import Digest

PACK: Final = "pack"  # not a stage: a rule for who wants packings of released datasets only
RELEASED: Final = "dataset-released"  # what that rule demands
GUARD: Final = "guard"  # nor these: whose signatures a guard or an erasure list needs,
PUSH: Final = "push"  # and whose it takes that a release leaves for another key
ATTESTED: Final = "attested-node"  # the gate that lets only attested nodes serve


@dataclass(frozen=True, slots=True)
class Rule:
    """What one stage demands.

    `gates` maps a gate's ident to its parameters; `approvals` says how many distinct keys of
    each party must have approved.
    """

    gates: Mapping[str, Mapping[str, Any]]
    approvals: Mapping[Party, int]


@dataclass(frozen=True, slots=True)
class Policy:
    """A named set of rules, one per stage.

    `separate` is False only where one person openly holds all parties' keys (policy `solo`);
    under `separate` the author of a candidate is never its only approver.
    """

    name: str
    separate: bool
    rules: Mapping[str, Rule]

    def rule(self, stage: str) -> Rule | None:
        """The rule of a stage, or None, which every caller must treat as a refusal."""
        return self.rules.get(stage)

    @property
    def attested(self) -> bool:
        """True if only attested nodes may serve (gates/attested_node.py)."""
        rule = self.rules.get("deploy")
        return rule is not None and ATTESTED in rule.gates

    def to_json(self) -> dict[str, Any]:
        """The policy as plain JSON values."""
        return {
            "name": self.name,
            "separate": self.separate,
            "rules": {
                stage: {
                    "gates": {gate: dict(params) for gate, params in rule.gates.items()},
                    "approvals": {party.value: count for party, count in rule.approvals.items()},
                }
                for stage, rule in self.rules.items()
            },
        }

    @property
    def digest(self) -> Digest:
        """The digest of the canonical JSON."""
        return Digest.of(canonical(self.to_json()))

    @classmethod
    def from_json(cls, value: Any) -> "Policy":
        """Read what `to_json` wrote. Raises Misconfigured for unknown or missing keys."""
        try:
            _exactly(value, {"name", "separate", "rules"}, "policy")
            rules = {}
            for stage, row in value["rules"].items():
                _exactly(row, {"gates", "approvals"}, f"policy.rules.{stage}")
                approvals = {Party(party): count for party, count in row["approvals"].items()}
                if any(type(count) is not int or count < 1 for count in approvals.values()):
                    raise Misconfigured(f"policy.rules.{stage}.approvals: counts start at 1")
                rules[stage] = Rule(dict(row["gates"]), approvals)
            name, separate = value["name"], value["separate"]
            if type(name) is not str or type(separate) is not bool:
                raise Misconfigured("policy: name is a string, and separate is true or false")
            return cls(name, separate, rules)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise Misconfigured(f"not a policy: {error!r}") from error


def _exactly(value: Mapping[str, Any], keys: set[str], where: str) -> None:
    if set(value) != keys:
        wrong = ", ".join(sorted(set(value) ^ keys))
        raise Misconfigured(f"{where}: unknown or missing keys: {wrong}")
