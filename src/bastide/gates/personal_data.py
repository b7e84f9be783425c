# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The step that finds personal data ran over every document that is left, for every kind wanted.

Parameter: `kinds`, which must not be empty: each must have been masked, or have ended documents.
"""

from collections.abc import Mapping
from typing import Any, Final

from bastide.core.evidence import Verdict
from bastide.gates.dossier import Dossier, dataset_reasons
from bastide.gates.gate import Gate

__all__ = ["GATE", "judge"]


def judge(dossier: Dossier, parameters: Mapping[str, Any]) -> Verdict:
    """Pass a dataset in which each kind of personal data was looked for."""
    kinds = parameters.get("kinds")
    reasons = dataset_reasons(dossier)
    if not isinstance(kinds, list) or not kinds:
        reasons.append("the policy names no kind of personal data")
    if reasons or dossier.dataset is None:
        return Verdict(GATE.ident, tuple(reasons))
    body = dossier.dataset.body
    rows = [row for row in body["steps"] if row["step"] == GATE.ident]
    if not rows or GATE.ident not in body["plan"]:
        return Verdict(GATE.ident, ("no step looked for personal data",))
    looked = rows[-1]["entered"]
    if looked < body["documents"]:
        reasons.append(f"{looked} documents were looked at, {body['documents']} are in the dataset")
    treated = set(body["personal_data"])
    reasons += [f"{kind} was not looked for" for kind in sorted(set(kinds or ()) - treated)]
    return Verdict(GATE.ident, tuple(reasons))


GATE: Final = Gate("personal-data", ("dataset/v1",), judge, frozenset({"kinds"}))
