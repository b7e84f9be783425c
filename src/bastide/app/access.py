# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Access: the policies in force, read from the ledger and checked again, and what they decide.

In force is the newest `access-policy/v1` that follows the one before: its version is one more, it
names that one's digest, and the keys that signed it count. So an older set that somebody appends
again is never in force. Without any, the defaults are.
"""

import itertools
from collections.abc import Iterator
from dataclasses import replace

from bastide.app.emergencies import emergency_at
from bastide.core.errors import BastideError, NotProven
from bastide.core.evidence import Evidence
from bastide.core.party import Principal
from bastide.core.register import KEY_KINDS
from bastide.gates.access.policy_set import Decision, PolicySet, default_policies
from bastide.ledger import Ledger, statements
from bastide.ports import Clock

__all__ = ["KIND", "Access", "history"]

KIND = "access-policy/v1"
_WHAT = "access policies"


class Access:
    """Decides by the policies in force; reads them again once the ledger has others."""

    def __init__(self, ledger: Ledger, clock: Clock) -> None:
        self._ledger, self._clock = ledger, clock
        self._seen = -2
        self._statement: Evidence | None = None
        self._policies: PolicySet | None = None

    def decide(self, principal: Principal, action: str, on: tuple[str, str]) -> Decision:
        """Whether somebody may do something to a thing. Raises NotProven."""
        policies = self.policies()
        decision = policies.decide(principal, action, on)
        if decision.allowed or self.emergency() is None:
            return decision
        return policies.decide(principal, action, on, emergency=True)

    def emergency(self) -> Evidence | None:
        """The `break-glass/v1` in force now. Raises NotProven."""
        return emergency_at(self._ledger, self.policies(), self._clock.now_ms())

    def policies(self) -> PolicySet:
        """The set in force. Raises NotProven if what the ledger says does not hold."""
        self._follow()
        if self._policies is None:
            self._policies = default_policies()
        return self._policies

    def statement(self) -> Evidence | None:
        """The statement in force; None if the defaults are. Raises NotProven."""
        self._follow()
        return self._statement

    def _follow(self) -> None:
        newest = self._ledger.newest_of(KIND, *KEY_KINDS)
        if newest == self._seen:
            return
        self._statement = self._policies = None
        for row in history(self._ledger):
            self._statement = row
        if (row := self._statement) is not None:
            file = f"access-policy version {row.body['version']}"
            self._policies = PolicySet(row.body["policies"], file)
        self._seen = newest


def history(ledger: Ledger, kind: str = KIND, what: str = _WHAT) -> Iterator[Evidence]:
    """The versions that were in force, oldest first; their signatures are checked again.

    Raises NotProven for an entry that was not signed as the ledger demands: who can write to the
    database cannot make policies.
    """
    register = ledger.register()
    versions, before = itertools.count(1), None
    version = next(versions)
    for row in ledger.find(kind):
        entry = row.entry or 0
        try:
            signed = statements.read_signed(ledger.envelope(entry), register.signing(entry))
        except BastideError as error:
            raise NotProven(f"the {what} of entry {entry}: {error.message}") from error
        checked = replace(signed.evidence, entry=entry)
        follows = checked.body["version"] == version and checked.body["previous"] == before
        if follows and register.counts(checked):
            before, version = str(checked.digest), next(versions)
            yield checked
