# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Which emergency is in force, and how people are told.

A `break-glass/v1` is in force if one key signed it that counts, if the policies let its party open
one, if an `incident/v1` is about it, if no `incident-end/v1` is, and while its minutes last.
Without its incident it is nothing, so the record cannot be left out.

A clock that is set back does not prolong it: it is over once an entry of a service since then is
later than its minutes (`ledger/decided.py`), and before its own time it is not in force.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from bastide.core.errors import BastideError, NotProven
from bastide.core.evidence import Evidence
from bastide.core.party import Party, Principal
from bastide.core.utc import utc_minute
from bastide.gates.access.policy_set import PolicySet
from bastide.gates.approvals import ends_ms as approval_ends_ms
from bastide.ledger import Ledger, statements
from bastide.ledger.decided import Decisions, ends_ms
from bastide.ledger.once import first_said

__all__ = [
    "KIND",
    "Span",
    "approvals_told",
    "emergency_at",
    "entry_under",
    "mark",
    "spans",
    "told",
    "warning",
]

KIND = "break-glass/v1"


def emergency_at(ledger: Ledger, policies: PolicySet, now_ms: int) -> Evidence | None:
    """The emergency in force. Raises NotProven for one that nobody signed."""
    newest = ledger.newest_of(KIND)
    if newest < 0:
        return None
    envelope, register = ledger.envelope(newest), ledger.register()
    try:
        statements.read_signed(envelope, register.signing(newest))
    except BastideError as error:
        raise NotProven(f"the emergency of entry {newest}: {error.message}") from error
    row = ledger.by_digest(envelope.digest)
    if row.digest not in {one.digest for one in first_said(ledger.find(KIND))}:
        return None  # its party signed it once, and it was in force then
    if not row.body["time_ms"] <= now_ms < ends_ms(row) or not register.counts(row):
        return None
    party = Party(row.body["party"])
    opener = Principal(party.value, frozenset({party}))
    if not policies.decide(opener, "break-glass-open", ("Environment", "")).allowed:
        return None
    return row if _end(ledger, row) is None else None


@dataclass(frozen=True, slots=True)
class Span:
    """An emergency, and the entries that were written while it was open."""

    row: Evidence
    entries: range

    def has(self, other: Evidence) -> bool:
        """Whether something was stated under it. An approval also by the time that it names."""
        if other.entry in self.entries:
            return True
        begun, time_ms = self.row.body["time_ms"], other.body.get("time_ms", 0)
        return other.kind == "approval/v1" and begun <= time_ms < ends_ms(self.row)


def spans(ledger: Ledger) -> list[Span]:
    """Every emergency, oldest first, with what was written under it.

    It ends before its `incident-end/v1`, or before the first entry of a service that is later than
    its minutes.
    """
    found = []
    for row in ledger.find(KIND):
        first = (row.entry or 0) + 2  # after its incident
        end = _end(ledger, row)
        found.append(Span(row, range(first, ledger.size if end is None else end)))
    return found


def _end(ledger: Ledger, opened: Evidence) -> int | None:
    """The entry before which an emergency was over; None while it is open."""
    decisions, keys = Decisions(ledger.policy()), ledger.known_keys()
    begun = opened.entry or 0
    for row in ledger.entries(begun):
        decisions.follow(row, keys)
        if row.entry != begun and str(opened.digest) not in decisions.open:
            return row.entry
    return None if decisions.open else begun


def entry_under(found: Sequence[Span], row: Evidence) -> int | None:
    """The entry of the emergency under which something was stated; None if there was none."""
    return next((span.row.entry for span in found if span.has(row)), None)


def approvals_told(
    ledger: Ledger, rows: Iterable[Evidence], found: Sequence[Span] | None = None
) -> list[dict[str, Any]]:
    """Approvals as plain JSON values, with their ends, and marked where an emergency was open.

    found: what `spans` says, if that was asked already.
    """
    policy = ledger.policy()
    found = spans(ledger) if found is None else found
    return [
        {
            "party": row.body["party"],
            "key": row.signers[0],
            "comment": row.body["comment"],
            "entry": row.entry,
            "ends_ms": approval_ends_ms(row.body, policy),
            "break_glass": entry_under(found, row),
        }
        for row in rows
    ]


def mark(row: Mapping[str, Any]) -> str:
    """What a line about an approval ends with: its end, and the emergency it was made under."""
    entry, ends = row["break_glass"], row["ends_ms"]
    until = "" if ends is None else f"  until {utc_minute(ends)}"
    return until if entry is None else f"{until}  UNDER BREAK-GLASS (entry {entry})"


def told(row: Evidence) -> dict[str, Any]:
    """An emergency as plain JSON values."""
    return {
        "statement": str(row.digest),
        "entry": row.entry,
        "party": row.body["party"],
        "reason": row.body["reason"],
        "time_ms": row.body["time_ms"],
        "ends_ms": ends_ms(row),
    }


def warning(row: dict[str, Any]) -> str:
    """The line that every command prints while one is open."""
    until = datetime.fromtimestamp(row["ends_ms"] / 1000, UTC).strftime("%H:%M:%S UTC")
    return (
        f"BREAK-GLASS IS OPEN until {until}: opened by the {row['party']} in entry"
        f" {row['entry']}: {row['reason']}"
    )
