# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Only attested nodes may serve, and the guardian has said what such a node is.

Without reference values of the guardian no machine could be one, so nothing is deployed. A policy
that names this gate also binds what comes after: runners without a quote in force get no weights,
state no load and answer nobody, and a receipt that names no node is not proven.
"""

from collections.abc import Mapping
from typing import Any, Final

from bastide.core.errors import Misconfigured
from bastide.core.evidence import Evidence, Verdict
from bastide.core.party import Party
from bastide.core.policy import ATTESTED
from bastide.core.reference import Reference
from bastide.gates.dossier import Dossier
from bastide.gates.gate import Gate

__all__ = ["GATE", "judge"]


def judge(dossier: Dossier, parameters: Mapping[str, Any]) -> Verdict:
    """Pass if there are reference values, each of them the guardian's."""
    del parameters
    if not dossier.references:
        return Verdict(GATE.ident, ("the guardian has signed no reference values for nodes",))
    reasons = [reason for row in dossier.references for reason in _against(dossier, row)]
    return Verdict(GATE.ident, tuple(reasons))


def _against(dossier: Dossier, row: Evidence) -> list[str]:
    if row.kind != "node-reference/v1":
        return [f"not reference values but {row.kind}"]
    signers = [dossier.keys.get(ident) for ident in row.signers]
    if [key.party if key else None for key in signers] != [Party.GUARDIAN]:
        return [f"the reference values {row.subject.name} are not signed by the guardian"]
    try:
        Reference.from_json(row.body)
    except Misconfigured as error:
        return [f"the reference values {row.subject.name} name nothing: {error.message}"]
    return []


GATE: Final = Gate(ATTESTED, ("node-reference/v1",), judge)
