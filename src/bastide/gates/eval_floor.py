# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Every benchmark that the policy names scores at least its floor, over enough items.

Parameters: `floors` {benchmark: 0..1}, which must not be empty, and `counts` {benchmark: least
number of items}; a benchmark without a count needs at least one item. `embedding` holds the same
two for models that make embeddings, which answer nothing that other benchmarks ask.
"""

from collections.abc import Mapping
from typing import Any, Final

from bastide.core.embedding import embeds
from bastide.core.evidence import Verdict
from bastide.gates.dossier import Dossier, evaluation_reasons
from bastide.gates.gate import Gate

__all__ = ["GATE", "judge"]


def judge(dossier: Dossier, parameters: Mapping[str, Any]) -> Verdict:
    """Pass an evaluation whose scores reach every floor."""
    rule = _rule(dossier, parameters)
    floors, counts = rule.get("floors", {}), rule.get("counts", {})
    reasons = _parameter_reasons(floors, counts)
    reasons += evaluation_reasons(dossier)
    if reasons or dossier.evaluation is None:
        return Verdict(GATE.ident, tuple(reasons))
    scores = dossier.evaluation.body.get("scores", {})
    taken = dossier.evaluation.body.get("counts", {})
    for benchmark in sorted(set(floors) | set(counts)):
        # A missing score refuses: absence of evidence must never open a gate.
        score, floor = scores.get(benchmark), floors.get(benchmark, 0.0)
        if not _is_share(score):
            reasons.append(f"{benchmark} was not run")
        elif score < floor:
            reasons.append(f"{benchmark} scored {score:.3f}, floor {floor:.3f}")
        count, least = taken.get(benchmark, 0), counts.get(benchmark, 1)
        if type(count) is not int or count < least:
            reasons.append(f"{benchmark} has {count} items, at least {least} are needed")
    return Verdict(GATE.ident, tuple(reasons))


def _rule(dossier: Dossier, parameters: Mapping[str, Any]) -> Mapping[str, Any]:
    """The parameters for this kind of model. None for embeddings: then no floor is named."""
    if dossier.admission is None or not embeds(str(dossier.admission.body.get("architecture"))):
        return parameters
    rule = parameters.get("embedding", {})
    return rule if isinstance(rule, Mapping) else {}


def _parameter_reasons(floors: Any, counts: Any) -> list[str]:
    if not isinstance(floors, Mapping) or not isinstance(counts, Mapping):
        return ["the policy's floors or counts are not an object"]
    reasons = [] if floors else ["the policy names no floor"]
    reasons += [
        f"the floor of {benchmark} is not a number from 0 to 1"
        for benchmark, floor in floors.items()
        if not _is_share(floor)
    ]
    reasons += [
        f"the count of {benchmark} is not a whole number from 1"
        for benchmark, count in counts.items()
        if type(count) is not int or count < 1
    ]
    return reasons


def _is_share(value: Any) -> bool:
    return type(value) in (int, float) and 0 <= value <= 1  # NaN compares false


GATE: Final = Gate(
    "eval-floor",
    ("admission/v1", "evaluation/v1"),
    judge,
    frozenset({"floors", "counts", "embedding"}),
)
