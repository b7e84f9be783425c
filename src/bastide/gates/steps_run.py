# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Every step of the recipe ran, in its order, and every document is accounted for.

What entered a step is what the one before let pass; what the last let pass is the dataset. What
could not be read is within the recipe's share, and at least one document was read.
"""

from collections.abc import Mapping
from typing import Any, Final

from bastide.core.evidence import Verdict
from bastide.gates.dossier import Dossier, dataset_reasons
from bastide.gates.gate import Gate

__all__ = ["GATE", "judge"]


def judge(dossier: Dossier, parameters: Mapping[str, Any]) -> Verdict:
    """Pass a dataset whose numbers add up."""
    reasons = dataset_reasons(dossier)
    if reasons or dossier.dataset is None:
        return Verdict(GATE.ident, tuple(reasons))
    body = dossier.dataset.body
    ran = [row["step"] for row in body["steps"]]
    if not ran or ran != body["plan"]:
        reasons.append(f"the recipe asks for {body['plan']}, what ran is {ran}")
    left = body["read"]
    for row in body["steps"]:
        if row["entered"] != left:
            reasons.append(f"{row['step']}: {row['entered']} documents entered, {left} were left")
        left = row["entered"] - sum(row["removed"].values())
    if left != body["documents"]:
        reasons.append(f"the steps left {left} documents, the dataset has {body['documents']}")
    reasons += _against_sources(body)
    return Verdict(GATE.ident, tuple(reasons))


def _against_sources(body: Mapping[str, Any]) -> list[str]:
    reasons = []
    for total, field in (("read", "read"), ("broken", "broken"), ("documents", "kept")):
        counted = sum(row[field] for row in body["sources"])
        if counted != body[total]:
            reasons.append(f"the sources have {counted} {field}, the dataset {body[total]}")
    if not body["read"]:
        reasons.append("no document was read")
    places = body["read"] + body["broken"]
    if body["broken"] > body["quarantine_share"] * places:
        reasons.append(
            f"{body['broken']} of {places} places could not be read,"
            f" the recipe allows a share of {body['quarantine_share']}"
        )
    return reasons


GATE: Final = Gate("steps-run", ("dataset/v1",), judge)
