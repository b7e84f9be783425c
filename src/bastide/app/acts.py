# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Who did what: the person behind a statement that names a login, as the list of people had it."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from bastide.core.act import BY
from bastide.core.evidence import Evidence
from bastide.core.subject import Digest
from bastide.ledger import Ledger

__all__ = ["acted", "count_acts"]


def acted(ledger: Ledger, row: Evidence) -> dict[str, Any] | None:
    """The person who was logged in, their party, and the entry of the login; None for nobody."""
    if (named := row.body.get(BY)) is None:
        return None
    login = ledger.by_digest(Digest.parse(named))
    body = login.body
    return {"person": body["person"], "party": body["party"], "login": login.entry}


def count_acts(ledger: Ledger, rows: Iterable[Evidence]) -> list[dict[str, Any]]:
    """How many statements each person who logged in has made."""
    by_login = Counter(row.body[BY] for row in rows if BY in row.body)
    found: Counter[tuple[str, str]] = Counter()
    for named, number in by_login.items():
        body = ledger.by_digest(Digest.parse(named)).body
        found[body["person"], body["party"]] += number
    return [
        {"person": person, "party": party, "statements": number}
        for (person, party), number in sorted(found.items())
    ]
