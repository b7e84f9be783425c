# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Which emergency is in force, and how people are told.

A `break-glass/v1` is in force if one key signed it that counts, if the policies let its party open
one, if an `incident/v1` is about it, if no `incident-end/v1` is, and while its minutes last.
Without its incident it is nothing, so the record cannot be left out.

A clock that is set back does not prolong it: time is the latest that any entry since then has,
and before its own time it is not in force.
"""

from datetime import UTC, datetime
from typing import Any

from bastide.core.errors import BastideError, NotProven
from bastide.core.evidence import Evidence
from bastide.core.party import Party, Principal
from bastide.gates.access.policy_set import PolicySet
from bastide.ledger import Ledger, statements

__all__ = ["KIND", "emergency_at", "ends_ms", "told", "warning"]

KIND = "break-glass/v1"
_MINUTE_MS = 60_000


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
    if not row.body["time_ms"] <= now_ms < ends_ms(row) or not register.counts(row):
        return None
    party = Party(row.body["party"])
    opener = Principal(party.value, frozenset({party}))
    if not policies.decide(opener, "break-glass-open", ("Environment", "")).allowed:
        return None
    about = str(row.digest)
    if not any(other.body["about"] == about for other in ledger.find("incident/v1")):
        return None
    if any(other.body["about"] == about for other in ledger.find("incident-end/v1")):
        return None
    times = (other.body.get("time_ms", 0) for other in ledger.entries(newest))
    return row if max(times) < ends_ms(row) else None


def ends_ms(row: Evidence) -> int:
    """When an emergency ends by itself."""
    return row.body["time_ms"] + row.body["minutes"] * _MINUTE_MS


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
