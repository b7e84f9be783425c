# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Every source of a dataset states its licence, why it may be used, and where it is from.

The licence is read as for a model (`origin-stated`); the basis is one of core.recipe.BASES. Without
a single source there is no basis.
"""

import datetime
from collections.abc import Mapping
from typing import Any, Final

from bastide.core.evidence import Verdict
from bastide.core.recipe import BASES
from bastide.gates.dossier import Dossier, dataset_reasons
from bastide.gates.gate import Gate
from bastide.gates.origin_stated import licence_reasons

__all__ = ["GATE", "judge"]


def judge(dossier: Dossier, parameters: Mapping[str, Any]) -> Verdict:
    """Pass a dataset whose every source has licence, basis, origin and date."""
    reasons = dataset_reasons(dossier)
    if reasons or dossier.dataset is None:
        return Verdict(GATE.ident, tuple(reasons))
    sources = dossier.dataset.body["sources"]
    if not sources:
        reasons.append("no source is stated")
    for source in sources:
        reasons += [f"source {source['name']}: {reason}" for reason in _against(source)]
    return Verdict(GATE.ident, tuple(reasons))


def _against(source: Mapping[str, Any]) -> list[str]:
    reasons = []
    if not str(source["licence"]).strip():
        reasons.append("the licence is not stated")
    else:
        reasons += licence_reasons(source["licence"])
    if source["basis"] not in BASES:
        reasons.append(f"{source['basis']!r} is no basis for its use")
    if not str(source["origin"]).strip():
        reasons.append("the origin is not stated")
    try:
        datetime.date.fromisoformat(source["collected"])
    except (TypeError, ValueError):
        reasons.append("it is not stated when it was collected")
    return reasons


GATE: Final = Gate("licence-basis", ("dataset/v1",), judge)
