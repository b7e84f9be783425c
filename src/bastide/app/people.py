# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Use cases about people who log in: propose a list, put it in force, show it."""

from typing import Any

from bastide.app.access import history
from bastide.app.duties import require
from bastide.app.environment import Environment
from bastide.app.sessions import KIND, PEOPLE, newest_people
from bastide.app.versions import apply_version, propose_version
from bastide.core.canonical import canonical
from bastide.core.errors import Refused
from bastide.core.evidence import Evidence
from bastide.core.people import People
from bastide.core.subject import Digest, Subject
from bastide.crypto.dsse import Envelope, Signer

__all__ = ["apply_people", "list_logins", "propose_people", "show_people"]


def propose_people(env: Environment, people: People, reason: str, given: Signer | None) -> Envelope:
    """The next list as a statement. Raises Refused if it is in force, or under `solo`."""
    require(env, "read")
    if not env.ledger.policy().separate:
        raise Refused(
            "under `solo` one person holds the keys of all parties: there is nobody to tell apart",
            fix="`bastide init --parties separate`",
        )
    told, now = people.to_json(), _newest(env)
    if now is not None and {name: now.body[name] for name in told} == told:
        raise Refused(f"this list is in force already: version {now.body['version']}")
    subject = Subject("people", Digest.of(canonical(told)))
    return propose_version(env, PEOPLE, now, subject, {**told, "reason": reason}, given)


def apply_people(env: Environment, text: str) -> Evidence:
    """Put a signed list in force: whoever has logged in by another must log in again.

    Raises Waiting, Refused, NotProven, as `apply_version` does.
    """
    require(env, "people-apply")
    return apply_version(env, text, PEOPLE, "lists of people", _newest(env))


def show_people(env: Environment) -> dict[str, Any]:
    """The list in force. Raises NotProven."""
    require(env, "read")
    now, listed = _newest(env), newest_people(env.ledger)
    return {
        "version": None if now is None else now.body["version"],
        "entry": None if now is None else now.entry,
        "login": listed is not None,
        **(People(None, ()) if listed is None else listed.people).to_json(),
    }


def list_logins(env: Environment) -> list[dict[str, Any]]:
    """Who logged in, oldest first."""
    require(env, "read")
    return [{"entry": row.entry, **row.body} for row in env.ledger.find(KIND)]


def _newest(env: Environment) -> Evidence | None:
    found = None
    for row in history(env.ledger, PEOPLE, "list of people"):
        found = row
    return found
