# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The dataset was searched for the questions of every suite that will measure models made of it.

Parameters: `suites` {name: digest}, which must not be empty: each must have been searched for at
exactly that digest, for a suite of another version asks other questions. `ngram_max`: the longest
n-gram, in words, that may be searched for; a longer one finds less. Left out, any length will do.

Reads the `decontaminated` rows {suite, digest, ngram} of the dataset's account. An account that has
none was made without the step, or before there was one: it refuses.
"""

from collections.abc import Mapping
from typing import Any, Final

from bastide.core.evidence import Verdict
from bastide.gates.dossier import Dossier, dataset_reasons
from bastide.gates.gate import Gate

__all__ = ["GATE", "judge"]


def judge(dossier: Dossier, parameters: Mapping[str, Any]) -> Verdict:
    """Pass a dataset that was searched for every suite the policy names."""
    reasons = dataset_reasons(dossier)
    suites, longest = parameters.get("suites"), parameters.get("ngram_max")
    if not isinstance(suites, Mapping) or not suites:
        reasons.append("the policy names no suite")
    if longest is not None and (type(longest) is not int or longest < 1):
        reasons.append("the policy's ngram_max is not a count of words")
    if reasons or dossier.dataset is None or suites is None:
        return Verdict(GATE.ident, tuple(reasons))
    body = dossier.dataset.body
    rows = body.get("decontaminated") or ()
    if not rows:
        return Verdict(GATE.ident, ("the dataset was searched for no suite",))
    ran = {row["step"]: row["entered"] for row in body["steps"]}
    if (searched := ran.get("decontaminate", 0)) < body["documents"]:
        reasons.append(
            f"{searched} documents were searched, {body['documents']} are in the dataset"
        )
    for name, digest in sorted(suites.items()):
        reasons += _against(name, digest, longest, [row for row in rows if row["suite"] == name])
    return Verdict(GATE.ident, tuple(reasons))


def _against(
    name: str, digest: str, longest: int | None, rows: list[Mapping[str, Any]]
) -> list[str]:
    if not rows:
        return [f"the dataset was not searched for the suite {name}"]
    same = [row for row in rows if row["digest"] == digest]
    if not same:
        return [f"it was searched for another version of the suite {name} than the policy names"]
    found = min(row["ngram"] for row in same)
    if found < 1:
        return [f"the suite {name} was searched for by n-grams of {found} words"]
    if longest is not None and found > longest:
        return [f"the suite {name} was searched for by n-grams of {found} words, over {longest}"]
    return []


GATE: Final = Gate("decontaminated", ("dataset/v1",), judge, frozenset({"suites", "ngram_max"}))
