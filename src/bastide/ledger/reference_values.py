# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The reference values in force: what attested nodes must be now."""

from bastide.core.evidence import Evidence
from bastide.ledger.ledger import Ledger
from bastide.ledger.once import first_said

__all__ = ["reference_values"]


def reference_values(ledger: Ledger) -> dict[str, Evidence]:
    """The newest statement of each name whose signature counts, by name."""
    register = ledger.register()
    rows = first_said(ledger.find("node-reference/v1"))
    return {row.body["name"]: row for row in rows if register.counts(row)}
