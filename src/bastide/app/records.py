# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Use cases about the ledger itself: list, show and prove entries."""

from datetime import UTC, datetime
from typing import Any

from bastide.app.duties import require
from bastide.app.environment import Environment
from bastide.core.errors import NotFound
from bastide.core.evidence import Evidence
from bastide.core.party import Duty
from bastide.crypto import merkle

__all__ = ["list_entries", "prove_entry", "show_entry"]


def list_entries(
    env: Environment, kind: str | None, after: int, limit: int
) -> list[dict[str, Any]]:
    """The newest `limit` entries behind `after`, oldest first."""
    require(env.principal, Duty.READ)
    rows = [
        row for row in env.ledger.entries(max(0, after + 1)) if kind is None or row.kind == kind
    ]
    names = {key.ident: key.party or key.purpose.value for key in env.ledger.keys().values()}
    return [
        {
            "entry": row.entry,
            "time": _time(row),
            "kind": row.kind,
            "subject": row.subject.name,
            "digest": str(row.subject.digest),
            "signers": [names.get(ident, ident) for ident in row.signers],
        }
        for row in rows[-limit:]
    ]


def show_entry(env: Environment, entry: int) -> dict[str, Any]:
    """One entry: its statement, signers and digests. Raises NotFound."""
    require(env.principal, Duty.READ)
    row = _entry(env, entry)
    return {
        "entry": entry,
        "digest": str(row.digest),
        "signers": list(row.signers),
        "statement": row.statement.to_json(),
    }


def prove_entry(env: Environment, entry: int, since: int | None) -> dict[str, Any]:
    """Everything an outsider needs to check that an entry is in the ledger."""
    require(env.principal, Duty.READ)
    _entry(env, entry)
    size = env.ledger.size
    envelope = env.ledger.envelope(entry)
    proof = {
        "entry": entry,
        "size": size,
        "leaf": merkle.leaf_hash(envelope.encode()).hex(),
        "inclusion": [part.hex() for part in env.ledger.prove_inclusion(entry, size)],
        "checkpoint": env.ledger.checkpoint(),
        "envelope": envelope.to_json(),
    }
    if since is not None:
        if since > size:
            raise NotFound(f"the ledger has {size} entries, not {since}")
        proof["since"] = since
        proof["consistency"] = [part.hex() for part in env.ledger.prove_consistency(since, size)]
    return proof


def _entry(env: Environment, entry: int) -> Evidence:
    size = env.ledger.size
    if entry >= size:
        raise NotFound(f"there is no entry {entry}", fix=f"the ledger has entries 0 to {size - 1}")
    (row,) = env.ledger.entries(entry, entry + 1)
    return row


def _time(row: Evidence) -> str:
    stamp = row.body.get("time_ms", row.body.get("last_ms"))
    if stamp is None:
        return "-"
    return datetime.fromtimestamp(stamp / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
