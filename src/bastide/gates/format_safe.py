# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The model is in a format that cannot run code, and its validator found no fault.

Reads the admission's `format`, `architecture` and `scan.format_safe`: the faults that the
bounded validators of `bastide.formats` found in the sealed bytes.
"""

from collections.abc import Mapping
from typing import Any, Final

from bastide.core.evidence import Verdict
from bastide.gates.dossier import Dossier, admission_reasons
from bastide.gates.gate import Gate

__all__ = ["FORMATS", "GATE", "judge"]

# The formats that hold numbers and text only.
FORMATS: Final = frozenset({"gguf", "safetensors"})


def judge(dossier: Dossier, parameters: Mapping[str, Any]) -> Verdict:
    """Pass a model of an allowed format without faults."""
    reasons = admission_reasons(dossier)
    if reasons or dossier.admission is None:
        return Verdict(GATE.ident, tuple(reasons))
    body = dossier.admission.body
    faults = body.get("scan", {}).get("format_safe")
    if not isinstance(faults, list):
        reasons.append("the format was not checked")
    else:
        reasons += [str(fault) for fault in faults]
    if not reasons:  # a file with faults is of no format; that would only repeat the fault
        if body.get("format") not in FORMATS:
            reasons.append(f"the format {body.get('format')!r} is not allowed")
        if not isinstance(body.get("architecture"), str) or not body["architecture"]:
            reasons.append("the architecture is not stated")
    return Verdict(GATE.ident, tuple(reasons))


GATE: Final = Gate("format-safe", ("admission/v1",), judge)
