# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Use cases about emergencies: open one, close it with a report, list them with what was done."""

from typing import Any

from bastide.app.duties import require
from bastide.app.emergencies import KIND, Span, spans, told
from bastide.app.environment import Environment
from bastide.core.act import name_actor
from bastide.core.canonical import canonical
from bastide.core.errors import NotAllowed, NotFound, Refused
from bastide.core.evidence import Evidence, Statement
from bastide.core.key import Purpose
from bastide.core.subject import Digest, Subject
from bastide.crypto import dsse
from bastide.crypto.dsse import Signer

__all__ = ["close_emergency", "list_emergencies", "open_emergency"]

_INCIDENT_END = "incident-end/v1"


def open_emergency(env: Environment, reason: str, minutes: int, given: Signer | None) -> Evidence:
    """Sign an emergency with a party's key, and write it together with its incident.

    Raises NotAllowed if no key is at hand of a party that the policies let open one, Refused while
    one is open.
    """
    require(env, "break-glass-open")
    if (row := env.access.emergency()) is not None:
        raise Refused(
            f"an emergency is open, in entry {row.entry}", fix="bastide break-glass close"
        )
    now_ms, policies = env.clock.now_ms(), env.access.policies()
    holders = policies.holders("break-glass-open")
    held = env.parties_at_hand(given)
    party = next((party for party in holders if party in held), None)
    if party is None:
        raise NotAllowed(
            "no key is at hand of a party that may open an emergency",
            reasons=[f"{holder.value} may" for holder in holders],
            fix="give it: --key FILE",
        )
    body = {"party": party.value, "reason": reason, "minutes": minutes, "time_ms": now_ms}
    subject = Subject("break-glass", Digest.of(canonical(body)))
    opened = dsse.sign(Statement(KIND, (subject,), body).payload(), [held[party]])
    # Both or none: in one transaction.
    about = {"what": "break-glass", "about": str(opened.digest), "time_ms": now_ms}
    incident = Statement("incident/v1", (Subject("incident", opened.digest),), about)
    incident = name_actor(incident, env.ledger.login)
    env.ledger.append([opened, dsse.sign(incident.payload(), [env.signer(Purpose.EVIDENCE)])])
    return env.ledger.by_digest(opened.digest)


def close_emergency(env: Environment, report: str) -> Evidence:
    """Close the newest incident with a report. Raises NotFound if none is open."""
    require(env, "incident-end")
    closed = {row.body["about"] for row in env.ledger.find(_INCIDENT_END)}
    rows = [row for row in env.ledger.find(KIND) if str(row.digest) not in closed]
    if not rows:
        raise NotFound("no incident is open")
    about = rows[-1].digest
    body = {"about": str(about), "report": report, "time_ms": env.clock.now_ms()}
    statement = Statement(_INCIDENT_END, (Subject("incident", about),), body)
    return env.ledger.append_statement(statement, [env.signer(Purpose.EVIDENCE)])


def list_emergencies(env: Environment) -> list[dict[str, Any]]:
    """All emergencies, oldest first, each with its report and with what was written under it."""
    require(env, "read")
    ends = {row.body["about"]: row for row in env.ledger.find(_INCIDENT_END)}
    open_now = env.access.emergency()
    return [
        _listed(env, span, ends.get(str(span.row.digest)), open_now) for span in spans(env.ledger)
    ]


def _listed(
    env: Environment, span: Span, end: Evidence | None, open_now: Evidence | None
) -> dict[str, Any]:
    row, found = span.row, span.entries
    under = [
        {"entry": other.entry, "kind": other.kind, "name": other.subject.name}
        for other in env.ledger.entries(found.start, found.stop)
    ]
    return {
        **told(row),
        "open": open_now is not None and open_now.digest == row.digest,
        "report": None if end is None else end.body["report"],
        "under": under,
    }
