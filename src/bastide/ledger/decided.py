# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What a party decides and a service writes down: whose signatures it needs, and what it follows.

The services' evidence key is on the operator's machine, so it alone decides nothing that is
another party's. The charter's policy says how many keys of which party must sign (`DECIDED` has
the rules' names). Charters from before these rules do not say so: there the ledger's door asks for
the usual parties under `separate`, and an auditor from the first signed one on.

Guards and erasure lists name the statement before them. So who keeps one that the guardian signed
earlier, or signed and never used, cannot put it in force again.

In an emergency the party that opened it signs a guard policy in the place of the guardian, and
the statement names it. Without its incident, which is the entry after it, an emergency is none.
Time is what services say in entries since, so an old emergency cannot be used again; times that
parties sign end nothing, because who signs chooses them. Which parties may open one is for the
access policies to say, which the program asks and this rule does not know.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from bastide.core.errors import NotProven, Refused
from bastide.core.evidence import Evidence
from bastide.core.key import PublicKey
from bastide.core.party import Party
from bastide.core.policy import GUARD, PUSH, Policy
from bastide.ledger.once import Once

__all__ = ["DECIDED", "FOLLOWED", "Decided", "Decisions", "ends_ms", "service_ms"]

_MINUTE_MS = 60_000


@dataclass(frozen=True, slots=True)
class Decided:
    """One kind. rule: of the policy; usual: whose keys, where the policy has no such rule.

    chained: it names the one before it, and old ledgers have some that no party signed.
    urgent: an emergency lets the party that opened it sign.
    """

    rule: str
    usual: Mapping[Party, int]
    chained: bool
    urgent: bool


_GUARDIAN: Final = MappingProxyType({Party.GUARDIAN: 1})
DECIDED: Final[Mapping[str, Decided]] = MappingProxyType(
    {
        "guard/v1": Decided(GUARD, _GUARDIAN, True, True),
        "erasure/v1": Decided(GUARD, _GUARDIAN, True, False),
        "release-push/v1": Decided(PUSH, MappingProxyType({Party.FIRM: 1}), False, False),
    }
)
FOLLOWED: Final = (*DECIDED, "break-glass/v1", "incident/v1", "incident-end/v1")


@dataclass(slots=True)
class Decisions:
    """What was decided so far, as the entries say it, and whether the next one may follow."""

    policy: Policy
    newest: dict[tuple[str, str], Evidence] = field(default_factory=dict)
    signed: set[str] = field(default_factory=set)  # rules by which a party signed at least once
    waiting: Evidence | None = None  # an emergency whose incident is still to come
    open: dict[str, Evidence] = field(default_factory=dict)  # emergencies, by digest
    emergencies: Once = field(default_factory=Once)

    def verify(
        self, row: Evidence, keys: Mapping[str, PublicKey], door_ms: int | None = None
    ) -> None:
        """Check one statement of DECIDED against what came before. Its signatures hold already.

        door_ms: the time now, if it is to be appended. Raises NotProven for a missing signature,
        Refused for one that does not follow.
        """
        kind = DECIDED[row.kind]
        rule = self.policy.rule(kind.rule)
        strict = self.policy.separate and door_ms is not None
        if rule is None and kind.chained and not strict and kind.rule not in self.signed:
            return
        wanted = kind.usual if rule is None else rule.approvals
        if (emergency := row.body.get("emergency")) is not None:
            if not kind.urgent:
                raise NotProven(f"no emergency is for a {row.kind}")
            times = [row.body["time_ms"]] + ([] if door_ms is None else [door_ms])
            self._verify_emergency(row, emergency, times, keys)
        else:
            given = [keys[ident].party for ident in row.signers if ident in keys]
            for party, count in wanted.items():
                if given.count(party.value) < count:
                    raise NotProven(
                        f"a {row.kind} needs the signature of the {party}, and has those of: "
                        f"{', '.join(str(one) for one in given if one) or 'no party'}"
                    )
        before = self.before(row.kind, row.subject.name)
        if kind.chained and row.body.get("previous") != before:
            raise Refused(
                f"this {row.kind} of {row.subject.name} follows {row.body.get('previous')}, and in"
                f" force is {before}",
                fix="make it again: who signs should see what it takes the place of",
            )

    def before(self, kind: str, name: str) -> str | None:
        """The digest of the newest statement of a kind about a name; None if there is none."""
        row = self.newest.get((kind, name))
        return None if row is None else str(row.digest)

    def follow(self, row: Evidence, keys: Mapping[str, PublicKey]) -> None:
        """Take up an entry; those that are not of FOLLOWED only tell the time."""
        time_ms = service_ms(row, keys)
        for digest in [key for key, one in self.open.items() if ends_ms(one) <= time_ms]:
            del self.open[digest]
        waiting, self.waiting = self.waiting, None
        if row.kind in DECIDED:
            self.newest[row.kind, row.subject.name] = row
            if any(ident in keys and keys[ident].party for ident in row.signers):
                self.signed.add(DECIDED[row.kind].rule)
        elif row.kind == "break-glass/v1" and self.emergencies.take(row):
            self.waiting = row
        elif row.kind == "incident/v1" and waiting is not None and _is_of(row, waiting):
            if time_ms < ends_ms(waiting):
                self.open[row.body["about"]] = waiting
        elif row.kind == "incident-end/v1":
            self.open.pop(row.body["about"], None)

    def _verify_emergency(
        self, row: Evidence, emergency: str, times: list[int], keys: Mapping[str, PublicKey]
    ) -> None:
        """Signed by the party that opened an emergency, within its minutes."""
        opened = self.open.get(emergency)
        if opened is None:
            raise NotProven(f"the {row.kind} names an emergency that is not open: {emergency}")
        if any(not opened.body["time_ms"] <= time_ms < ends_ms(opened) for time_ms in times):
            raise NotProven(f"the {row.kind} is not of the minutes of its emergency")
        parties = {keys[ident].party for ident in row.signers if ident in keys}
        if opened.body["party"] not in parties:
            raise NotProven(
                f"in this emergency a {row.kind} needs the signature of the {opened.body['party']}"
            )


def ends_ms(opened: Evidence) -> int:
    """When an emergency ends by itself."""
    return opened.body["time_ms"] + opened.body["minutes"] * _MINUTE_MS


def service_ms(row: Evidence, keys: Mapping[str, PublicKey]) -> int:
    """When a service says that it made an entry; 0 if a party signed it, or it does not say."""
    if any(ident in keys and keys[ident].party for ident in row.signers):
        return 0
    return max(row.body.get(name, 0) for name in ("time_ms", "sealed_ms"))


def _is_of(incident: Evidence, opened: Evidence) -> bool:
    """Whether an incident is that of an emergency: both are written in one transaction."""
    follows = incident.entry == (opened.entry or 0) + 1
    return follows and incident.body["about"] == str(opened.digest)
