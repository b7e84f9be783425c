# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What parties denied in the ledger, for whoever opens sealed objects or serves what they hold.

A denial counts in whatever state its key is now: it only takes away. That it ended counts only
if the signatures count now, and are those that it takes. The ledger checked the signatures of both
when it learned of them, so who writes into the database opens nothing by it.
"""

from bastide.core.subject import Digest
from bastide.ledger import Ledger
from bastide.ledger.denials import objects_of

__all__ = ["SignedDenials", "reasons_against"]


class SignedDenials:
    """The names that are denied, as the ledger knows it whenever it is asked."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def __call__(self) -> tuple[str, ...]:
        """The names. Raises Unavailable or NotProven if the ledger cannot be read."""
        return tuple(self._ledger.denials().standing)


def reasons_against(ledger: Ledger, deployment: Digest) -> list[str]:
    """Why what a deployment opens may not be opened; empty if it may."""
    denied = ledger.denials()
    if not denied.standing:
        return []
    return [
        f"the {row.body['party']} denied the opening of {row.body['name']} in entry"
        f" {row.entry}: {row.body['reason'] or 'no reason was given'}"
        for row in denied.against(objects_of(ledger.find, deployment))
    ]
