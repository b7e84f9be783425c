# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Succession: a deployment takes another's place once all of its replicas can answer.

Until then the older one serves, so nobody is refused while engines load; and one that cannot load
changes nothing. What had begun at the older one comes to its end there.
"""

from collections.abc import Sequence

from bastide.core.evidence import Evidence
from bastide.crypto.dsse import Signer
from bastide.ledger import Ledger
from bastide.ports import Clock
from bastide.stages import deploy

__all__ = ["coming", "serving", "succeed"]


def serving(active: Sequence[Evidence]) -> dict[str, Evidence]:
    """What answers, by name, of deployments that may serve, oldest first."""
    found: dict[str, Evidence] = {}
    for row in active:
        found.setdefault(row.subject.name, row)
    return found


def coming(active: Sequence[Evidence]) -> dict[str, Evidence]:
    """What is to take the place of what answers, by name."""
    newest = {row.subject.name: row for row in active}
    now = serving(active)
    return {name: row for name, row in newest.items() if row is not now[name]}


def succeed(ledger: Ledger, deployment: str, signer: Signer, clock: Clock) -> None:
    """A replica has loaded: if it was the last that its deployment waited for, end the older ones.

    Replicas that stated no number, before there were more, are the first.
    """
    active = deploy.active(ledger)
    rows = [row for row in active if str(row.subject.digest) == deployment]
    if not rows:
        return
    mine = rows[-1]
    alike = [row for row in active if row.subject.name == mine.subject.name]
    older = alike[: alike.index(mine)]
    if not older or mine is not alike[-1]:
        return
    loads = ledger.find("load/v1", subject=mine.subject.digest)
    loaded = {row.body.get("replica", 1) for row in loads if _place(row) > _place(mine)}
    if len(loaded) >= deploy.plan_of(mine).replicas:
        for row in older:
            deploy.end(ledger, row, "replaced", signer, clock)


def _place(row: Evidence) -> int:
    assert row.entry is not None
    return row.entry
