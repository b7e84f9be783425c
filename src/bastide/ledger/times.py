# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What time it is by the ledger, which a clock that is set back does not change."""

from bastide.core.evidence import Evidence
from bastide.ledger.ledger import Ledger

__all__ = ["seen_ms", "time_of"]


def seen_ms(ledger: Ledger, now_ms: int) -> int:
    """The latest time that this clock or the newest entries say; those of services come often."""
    newest = ledger.entries(max(0, ledger.size - 8))
    return max([now_ms, *map(time_of, newest)])


def time_of(row: Evidence) -> int:
    """When an entry was made, in ms; 0 if it does not say."""
    return max(row.body.get(name, 0) for name in ("time_ms", "sealed_ms"))
