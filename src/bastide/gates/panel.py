# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The panel: which gates sit over a stage, in the order of the lifecycle table.

Rules:
* The row of the table is the least that is judged. A gate of the row that the policy does not
  name refuses; a policy may name more gates than the row.
* No rule, an unknown gate, an unknown parameter, unreadable evidence: each refuses.
* Approvals that a rule asks for are never ignored: without the gate that counts them it refuses.
* What a party has revoked never passes again, whatever the policy names.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from bastide.core import lifecycle
from bastide.core.errors import Refused, Waiting
from bastide.core.evidence import Verdict, refusals
from bastide.core.policy import Policy, Rule
from bastide.core.revocation import Revocable
from bastide.gates import (
    approvals,
    attested_node,
    decontaminated,
    eval_floor,
    format_safe,
    licence_basis,
    origin_stated,
    personal_data,
    scan_clean,
    steps_run,
)
from bastide.gates.dossier import Dossier
from bastide.gates.gate import Gate

__all__ = ["GATES", "judge_stage", "refuse"]

# Every gate there is. A new gate is one file, one line here, one file of vectors.
GATES: Final[Mapping[str, Gate]] = MappingProxyType(
    {
        "format-safe": format_safe.GATE,
        "scan-clean": scan_clean.GATE,
        "origin-stated": origin_stated.GATE,
        "eval-floor": eval_floor.GATE,
        "approvals": approvals.GATE,
        "licence-basis": licence_basis.GATE,
        "personal-data": personal_data.GATE,
        "steps-run": steps_run.GATE,
        "decontaminated": decontaminated.GATE,
        "attested-node": attested_node.GATE,
    }
)

_REVOCABLE: Final = MappingProxyType(
    {
        "release": Revocable.RELEASE,
        "deploy": Revocable.DEPLOYMENT,
        "dataset-release": Revocable.DATASET,
    }
)


def judge_stage(policy: Policy, stage_name: str, dossier: Dossier) -> list[Verdict]:
    """Judge every gate of a stage. It opens only if every verdict passed.

    Raises NotFound if the lifecycle has no such stage.
    """
    row = lifecycle.stage(stage_name)
    rule = policy.rule(stage_name)
    if rule is None:
        reason = (
            f"the policy {policy.name!r} has no rule for the stage {stage_name}: a policy stands in"
            " the charter and never changes, so found a new environment (bastide init) whose policy"
            " has one"
        )
        return [Verdict("policy", (reason,))]
    verdicts = []
    against = _mismatches(policy, row, rule, dossier)
    if against:
        verdicts.append(Verdict("policy", tuple(against)))
    revoked = _revoked(dossier)
    if revoked:
        verdicts.append(Verdict("revocation", tuple(revoked)))
    further = [ident for ident in sorted(rule.gates) if ident not in row.gates]
    gates = (*row.gates, *further)
    return verdicts + [_judge(ident, rule.gates.get(ident), dossier) for ident in gates]


def refuse(verdicts: Sequence[Verdict], name: str, action: str) -> None:
    """Raise Refused, or Waiting if nothing but approvals is missing, with every reason."""
    reasons = refusals(verdicts)
    if not reasons:
        return
    if all(verdict.passed for verdict in verdicts if verdict.gate != "approvals"):
        raise Waiting(
            f"{name} waits for approvals before {action}",
            reasons=reasons,
            fix=f"bastide approve {name} --key FILE",
        )
    raise Refused(f"{name} may not {action}", reasons=reasons)


def _mismatches(policy: Policy, row: lifecycle.Stage, rule: Rule, dossier: Dossier) -> list[str]:
    """What is wrong with the question itself, before any gate looks at the evidence."""
    reasons = []
    if dossier.action != row.name:
        reasons.append(f"the dossier is for {dossier.action}, not for {row.name}")
    if dossier.policy.digest != policy.digest:
        reasons.append("the dossier was made under another policy")
    if rule.approvals and "approvals" not in (*row.gates, *rule.gates):
        reasons.append(f"the rule for {row.name} asks for approvals that no gate counts")
    return reasons


def _revoked(dossier: Dossier) -> list[str]:
    """Why parties have stopped what is decided on; for a deployment, or the release behind it."""
    what = _REVOCABLE.get(dossier.action)
    reasons = [] if what is None else dossier.revoked.reasons(what, dossier.subject)
    if what is Revocable.DEPLOYMENT and dossier.candidate is not None:
        release = dossier.candidate.subject.digest
        reasons += dossier.revoked.reasons(Revocable.RELEASE, release)
    return reasons


def _judge(ident: str, parameters: Mapping[str, Any] | None, dossier: Dossier) -> Verdict:
    gate = GATES.get(ident)
    if gate is None:
        return Verdict(ident, ("there is no such gate",))
    if parameters is None:
        return Verdict(ident, ("the policy does not name this gate",))
    if not isinstance(parameters, Mapping):
        return Verdict(ident, ("the policy's parameters are not an object",))
    unknown = sorted(set(parameters) - gate.parameters, key=str)
    if unknown:
        return Verdict(ident, tuple(f"unknown parameter {key!r}" for key in unknown))
    try:
        return gate.judge(dossier, parameters)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        # Signed evidence of a wrong shape is no evidence: refuse, and say what was met.
        return Verdict(ident, (f"the evidence cannot be read: {error!r}",))
