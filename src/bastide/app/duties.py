# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Who may call which use case; checked here and only here."""

from bastide.core.errors import NotAllowed
from bastide.core.lifecycle import stage
from bastide.core.party import DUTIES, Duty, Party, Principal

__all__ = ["everyone", "require", "require_stage"]


def require(principal: Principal, duty: Duty) -> None:
    """Return if the principal holds the duty. Raises NotAllowed, naming who does."""
    if not principal.holds(duty):
        holders = ", ".join(sorted(party.value for party in DUTIES[duty]))
        raise NotAllowed(
            f"{principal.name} may not {duty.value}",
            reasons=(f"the duty {duty.value} belongs to: {holders}",),
            fix=f"act with the key of one of: {holders} (--key FILE)",
        )


def require_stage(principal: Principal, name: str) -> None:
    """Require the duty of a row of the lifecycle table."""
    require(principal, stage(name).duty)


def everyone(name: str) -> Principal:
    """The one person of the policy `solo`, who openly acts for all three parties."""
    return Principal(name, frozenset(Party))
