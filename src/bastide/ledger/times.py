# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What time it is by the ledger, which a clock that is set back does not change."""

from bastide.core.limits import SEEN_ENTRIES
from bastide.ledger.decided import service_ms
from bastide.ledger.ledger import Ledger

__all__ = ["seen_ms"]


def seen_ms(ledger: Ledger, now_ms: int) -> int:
    """The latest time that this clock or services say in the newest SEEN_ENTRIES entries.

    Times that parties sign do not count: who signs chooses them.
    """
    newest, keys = ledger.entries(max(0, ledger.size - SEEN_ENTRIES)), ledger.known_keys()
    return max([now_ms, *(service_ms(row, keys) for row in newest)])
