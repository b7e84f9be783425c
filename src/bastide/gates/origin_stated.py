# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Somebody stated where the model comes from, and under which licence it may be used.

The licence is an SPDX licence expression (SPDX 2.3, Annex D) whose identifiers are in the list
below, or stands openly outside it as ``LicenseRef-<name>``. Exceptions (``WITH``) are not read.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from bastide.core.evidence import Verdict
from bastide.gates.dossier import Dossier, admission_reasons
from bastide.gates.gate import Gate

__all__ = ["GATE", "LICENCES", "judge", "licence_reasons"]

# SPDX identifiers that open models and free texts use. Any other is stated as LicenseRef-<name>.
LICENCES: Final = frozenset(
    {
        "0BSD",
        "AGPL-3.0-only",
        "AGPL-3.0-or-later",
        "Apache-2.0",
        "Artistic-1.0-Perl",
        "Artistic-2.0",
        "BSD-2-Clause",
        "BSD-3-Clause",
        "BSL-1.0",
        "CC-BY-2.0",
        "CC-BY-2.5",
        "CC-BY-3.0",
        "CC-BY-4.0",
        "CC-BY-NC-4.0",
        "CC-BY-NC-SA-4.0",
        "CC-BY-SA-2.0",
        "CC-BY-SA-2.5",
        "CC-BY-SA-3.0",
        "CC-BY-SA-4.0",
        "CC0-1.0",
        "CDLA-Permissive-2.0",
        "ECL-2.0",
        "EUPL-1.2",
        "FSFAP",
        "GFDL-1.1-no-invariants-or-later",
        "GFDL-1.1-or-later",
        "GFDL-1.2-no-invariants-or-later",
        "GFDL-1.2-only",
        "GFDL-1.2-or-later",
        "GFDL-1.3-no-invariants-or-later",
        "GFDL-1.3-only",
        "GFDL-1.3-or-later",
        "GPL-1.0-or-later",
        "GPL-2.0-only",
        "GPL-2.0-or-later",
        "GPL-3.0-only",
        "GPL-3.0-or-later",
        "ISC",
        "LGPL-2.0-or-later",
        "LGPL-2.1-only",
        "LGPL-2.1-or-later",
        "LGPL-3.0-only",
        "LGPL-3.0-or-later",
        "MIT",
        "MIT-0",
        "MPL-2.0",
        "OFL-1.1",
        "PSF-2.0",
        "PostgreSQL",
        "Python-2.0",
        "Unlicense",
        "Zlib",
        "etalab-2.0",
    }
)

_TEXT_CHARS_MAX: Final = 512
_WORD: Final = re.compile(r"[()]|[A-Za-z0-9.+-]+")
_REFERENCE: Final = re.compile(r"LicenseRef-[A-Za-z0-9.-]+")


def judge(dossier: Dossier, parameters: Mapping[str, Any]) -> Verdict:
    """Pass an admission that states a non-empty origin and a known licence."""
    reasons = admission_reasons(dossier)
    if reasons or dossier.admission is None:
        return Verdict(GATE.ident, tuple(reasons))
    origin, licence = (dossier.admission.body.get(key) for key in ("origin", "licence"))
    if not isinstance(origin, str) or not origin.strip():
        reasons.append("the origin is not stated")
    elif len(origin) > _TEXT_CHARS_MAX or not origin.isprintable():
        reasons.append("the origin is too long or not printable")
    if not isinstance(licence, str) or not licence.strip():
        reasons.append("the licence is not stated")
    else:
        reasons += licence_reasons(licence)
    return Verdict(GATE.ident, tuple(reasons))


def licence_reasons(expression: str) -> list[str]:
    """Why a licence expression is not accepted; empty if it is."""
    words = _WORD.findall(expression)
    if len(expression) > _TEXT_CHARS_MAX or "".join(words) != "".join(expression.split()):
        return [f"{expression[:80]!r} is not an SPDX licence expression"]
    idents, depth, expect_licence = [], 0, True
    for word in words:
        if word == "(" and expect_licence:
            depth += 1
        elif word == ")" and not expect_licence and depth:
            depth -= 1
        elif word in ("AND", "OR") and not expect_licence:
            expect_licence = True
        elif word not in ("(", ")", "AND", "OR", "WITH") and expect_licence:
            idents.append(word)
            expect_licence = False
        else:
            return [f"{expression!r} is not an SPDX licence expression (at {word!r})"]
    if depth or expect_licence:
        return [f"{expression!r} is not a whole SPDX licence expression"]
    return [
        f"the licence {ident!r} is not in the list; if it is right, state LicenseRef-{ident}"
        for ident in idents
        if ident not in LICENCES and not _REFERENCE.fullmatch(ident)
    ]


GATE: Final = Gate("origin-stated", ("admission/v1",), judge)
