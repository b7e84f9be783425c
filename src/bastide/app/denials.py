# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What parties denied in the ledger, for whoever opens sealed objects or serves what they hold.

A denial counts in whatever state its key is now: it only takes away. That it ended counts only
if the signatures count now, and are those that it takes. The signatures of both are checked again,
so who writes into the database opens nothing by it.
"""

from bastide.core.register import KEY_KINDS
from bastide.core.subject import Digest
from bastide.ledger import Ledger
from bastide.ledger.denials import (
    DENIAL,
    DENIAL_END,
    DENIAL_KINDS,
    DenialLog,
    Denials,
    objects_of,
)
from bastide.ledger.door import holds

__all__ = ["SignedDenials", "reasons_against", "signed_denials"]


class SignedDenials:
    """What is denied now, read again when the ledger has news of it."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._known: tuple[int, Denials] = (-2, Denials({}))

    def __call__(self) -> tuple[str, ...]:
        """The names. Raises Unavailable or NotProven if the ledger cannot be read."""
        return tuple(self._now().standing)

    def reasons(self, deployment: Digest) -> list[str]:
        """Why what a deployment opens may not be opened; empty if it may."""
        denied = self._now()
        if not denied.standing:
            return []
        against = denied.against(objects_of(self._ledger.find, deployment))
        return [
            f"the {row.body['party']} denied the opening of {row.body['name']} in entry"
            f" {row.entry}: {row.body['reason'] or 'no reason was given'}"
            for row in against
        ]

    def _now(self) -> Denials:
        newest = self._ledger.newest_of(*DENIAL_KINDS, *KEY_KINDS)
        if newest != self._known[0]:
            self._known = newest, signed_denials(self._ledger)
        return self._known[1]


def signed_denials(ledger: Ledger) -> Denials:
    """What is denied by all that is known now."""
    found, register = DenialLog(), ledger.register()
    rows = [*ledger.find(DENIAL), *ledger.find(DENIAL_END)]
    for row in sorted(rows, key=lambda row: row.entry or 0):
        if holds(ledger.envelope(row.entry or 0), register.known()):
            found.follow(row)
    return found.now(register)


def reasons_against(ledger: Ledger, deployment: Digest) -> list[str]:
    """The same as `SignedDenials.reasons`, for who asks once."""
    return SignedDenials(ledger).reasons(deployment)
