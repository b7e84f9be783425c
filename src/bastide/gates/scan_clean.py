# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Nothing in the model is code: no forbidden file, no forbidden setting, a plain template.

Reads the admission's `scan.findings` (files and settings) and `scan.template` (the chat
template, read as a syntax tree). What the approver should know about the template, without
being a fault, is passed on as notes.
"""

from collections.abc import Mapping
from typing import Any, Final

from bastide.core.evidence import Verdict
from bastide.gates.dossier import Dossier, admission_reasons
from bastide.gates.gate import Gate

__all__ = ["GATE", "judge"]


def judge(dossier: Dossier, parameters: Mapping[str, Any]) -> Verdict:
    """Pass a model in which the scan found nothing."""
    reasons = admission_reasons(dossier)
    if reasons or dossier.admission is None:
        return Verdict(GATE.ident, tuple(reasons))
    body = dossier.admission.body
    scan = body.get("scan", {})
    for part, what in (("findings", "the files were"), ("template", "the chat template was")):
        found = scan.get(part)
        if not isinstance(found, list):
            reasons.append(f"{what} not scanned")
        else:
            reasons += [str(finding) for finding in found]
    template = body.get("template", "absent")
    if template is None:
        return Verdict(GATE.ident, tuple(reasons), ("the model has no chat template",))
    if not isinstance(template, dict) or not template.get("digest"):
        reasons.append("the chat template's digest is not stated")
        return Verdict(GATE.ident, tuple(reasons))
    notes = [f"chat template {template['digest']}"]
    notes += [str(finding) for finding in template.get("findings", [])]
    return Verdict(GATE.ident, tuple(reasons), tuple(notes))


GATE: Final = Gate("scan-clean", ("admission/v1",), judge)
