# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Callers: who is at the other end of control's socket, and what one may ask there.

The supervisor makes a secret each time it starts, gives it to control, and gives each child the
HMAC of the child's role under it. So a process knows its own role's credential and no other's,
nothing is on a disk, and control knows who says hello. What a role may ask is decided by the
access policies once, when they change; a frame costs one look into a set.
"""

import hashlib
import hmac
from typing import Any

from bastide.app.access import Access
from bastide.app.emergencies import told
from bastide.core.errors import NotAllowed
from bastide.gates.access.calls import GUEST, ROLES
from bastide.gates.access.policy_set import PolicySet
from bastide.ledger import Ledger
from bastide.ports import Clock

__all__ = ["Callers", "credential_of"]

_DOMAIN = b"bastide control role v1\0"


def credential_of(secret: bytes, role: str) -> str:
    """What a service of a role says when it connects: ``role:`` and a MAC in hex."""
    mac = hmac.new(secret, _DOMAIN + role.encode(), hashlib.sha256)
    return f"{role}:{mac.hexdigest()}"


class Callers:
    """Tells roles apart. Without a secret everybody is a guest."""

    def __init__(self, secret: bytes | None, ledger: Ledger, clock: Clock) -> None:
        self._secret, self._access = secret, Access(ledger, clock)
        self._policies: PolicySet | None = None
        self._calls: dict[str, frozenset[str]] = {}

    def follow(self) -> None:
        """Take up the policies in force. Raises NotProven if they do not hold."""
        policies = self._access.policies()
        if policies is not self._policies:
            self._calls = {role: policies.calls(role) for role in ROLES}
            self._policies = policies

    def role_of(self, credential: str) -> str:
        """The role that a credential proves; a guest's if it proves none."""
        role = credential.partition(":")[0]
        if self._secret is None or role not in ROLES:
            return GUEST
        given, right = credential.encode(), credential_of(self._secret, role).encode()
        return role if hmac.compare_digest(given, right) else GUEST

    def alarm(self) -> dict[str, Any] | None:
        """What is told of an emergency that is open now."""
        row = self._access.emergency()
        return None if row is None else told(row)

    def may(self, role: str, call: str) -> bool:
        """Whether a role may send, or get, a kind of frame."""
        return call in self._calls.get(role, frozenset())

    def require(self, role: str, call: str) -> None:
        """Raise NotAllowed unless a role may."""
        if not self.may(role, call):
            raise NotAllowed(f"a {role} may not ask control for {call!r}")
