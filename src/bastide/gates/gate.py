# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Gate: one pure rule. Evidence goes in, a verdict comes out; no gate knows another."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from bastide.core.evidence import Verdict
from bastide.gates.dossier import Dossier

__all__ = ["Gate"]


@dataclass(frozen=True, slots=True)
class Gate:
    """A rule and its name.

    reads: the kinds of statement it looks at. parameters: the keys that a policy may give it;
    any other key refuses, so that a misspelt floor never opens anything.
    """

    ident: str
    reads: tuple[str, ...]
    judge: Callable[[Dossier, Mapping[str, Any]], Verdict]
    parameters: frozenset[str] = frozenset()
