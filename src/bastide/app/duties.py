# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Who may call which use case; checked here and only here, by the Cedar policies in force."""

from typing import Protocol

from bastide.app.access import Access
from bastide.app.presence import Claim
from bastide.core.errors import NotAllowed
from bastide.core.party import Party, Principal
from bastide.gates.access.actions import ACTIONS
from bastide.gates.access.amendment import LEFT_OUT_FIX

__all__ = ["Door", "everyone", "require"]


class Door(Protocol):
    """What an environment says of who is there, and of the policies in force."""

    @property
    def principal(self) -> Principal:
        """Who called."""
        ...

    @property
    def claim(self) -> Claim | None:
        """A party's key that was given, which counts once it has signed."""
        ...

    @property
    def unknown(self) -> str:
        """The id of a key that was given and is no party's here, or ""."""
        ...

    @property
    def access(self) -> Access:
        """Decides."""
        ...


def require(door: Door, action: str, on: str | None = None) -> None:
    """Return if the policies in force permit an action to who is at the door.

    A party's key that was given is asked to sign a challenge if the action is not permitted
    without its party, and would be with it.

    on: the name of the thing, of the type that the action has. Raises NotAllowed, naming the
    policies that forbid it and the parties that may; NotProven if the policies do not hold.
    """
    thing = (ACTIONS[action].on, on) if on else ("Environment", "")
    decision = door.access.decide(door.principal, action, thing)
    if not decision.allowed and (claim := door.claim) is not None:
        decision = door.access.decide(claim.joined(door.principal), action, thing)
        if decision.allowed:
            claim.prove(action, on)
    if decision.allowed:
        return
    policies = door.access.policies()
    holders = ", ".join(party.value for party in policies.holders(action)) or "nobody"
    reasons = [f"{row.ident} forbids it: {row.file}, line {row.line}" for row in decision.reasons]
    fix = f"act with the key of one of: {holders} (--key FILE); `bastide policy explain`"
    if action in policies.left_out():
        reasons.append(f"{policies.file} names it nowhere: it may be older than the action")
        fix = LEFT_OUT_FIX
    who = door.principal.name
    if door.claim is not None:
        who += f", with the key of the {door.claim.party},"
    elif door.unknown:
        reasons.append(f"the key {door.unknown} is no party's key in this environment")
    raise NotAllowed(
        f"{who} may not {ACTIONS[action].duty.value}: {ACTIONS[action].does}",
        reasons=(*reasons, f"the action {action} belongs to: {holders}"),
        fix=fix,
    )


def everyone(name: str) -> Principal:
    """The one person of the policy `solo`, who openly acts for all three parties."""
    return Principal(name, frozenset(Party))
