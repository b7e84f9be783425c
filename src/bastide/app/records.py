# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Use cases about the ledger itself: list, show and prove entries."""

from collections.abc import Sequence
from datetime import UTC, datetime
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from bastide.app.acts import acted, count_acts
from bastide.app.duties import require
from bastide.app.emergencies import approvals_told, entry_under, spans
from bastide.app.environment import Environment
from bastide.app.witnesses import compare_head, compare_heads
from bastide.core.errors import NotFound
from bastide.core.evidence import KINDS, Evidence
from bastide.core.subject import Digest
from bastide.crypto import merkle
from bastide.crypto.tlog_proof import write_proof

__all__ = [
    "audit_ledger",
    "export_ledger",
    "head",
    "list_entries",
    "prove_entry",
    "rebuild_ledger",
    "show_entry",
    "tlog_proof",
]


def list_entries(
    env: Environment, kind: str | None, after: int, limit: int
) -> list[dict[str, Any]]:
    """The newest `limit` entries behind `after`, oldest first. Raises NotFound for no kind."""
    require(env, "read")
    rows = [
        row for row in env.ledger.entries(max(0, after + 1)) if kind is None or row.kind == kind
    ]
    if kind is not None and kind not in KINDS and not rows:
        close = get_close_matches(kind, KINDS, 1)
        fix = f"did you mean {close[0]!r}?" if close else "docs/reference/statements.md has all"
        raise NotFound(f"there is no kind {kind!r}", fix=fix)
    found = spans(env.ledger)
    names = {key.ident: key.party or key.purpose.value for key in env.ledger.known_keys().values()}
    return [
        {
            "entry": row.entry,
            "time": _time(row),
            "kind": row.kind,
            "subject": row.subject.name,
            "digest": str(row.subject.digest),
            "signers": [names.get(ident, ident) for ident in row.signers],
            "break_glass": entry_under(found, row),
            "by": (acted(env.ledger, row) or {}).get("person"),
        }
        for row in rows[-limit:]
    ]


def show_entry(env: Environment, entry: int) -> dict[str, Any]:
    """One entry: its statement, signers and digests. Raises NotFound."""
    require(env, "read")
    row = _entry(env, entry)
    given = (env.ledger.by_digest(Digest.parse(one)) for one in row.body.get("approvals", ()))
    found = spans(env.ledger)
    return {
        "entry": entry,
        "digest": str(row.digest),
        "signers": list(row.signers),
        "by": acted(env.ledger, row),
        "break_glass": entry_under(found, row),
        "approvals": approvals_told(env.ledger, given, found),
        "statement": row.statement.to_json(),
    }


def prove_entry(env: Environment, entry: int, since: int | None) -> dict[str, Any]:
    """Everything an outsider needs to check that an entry is in the ledger."""
    require(env, "read")
    _entry(env, entry)
    checkpoint = env.ledger.checkpoint()
    size = int(checkpoint.splitlines()[1])  # C2SP tlog-checkpoint: the second line
    envelope = env.ledger.envelope(entry)
    proof = {
        "entry": entry,
        "size": size,
        "leaf": merkle.leaf_hash(envelope.encode()).hex(),
        "inclusion": [part.hex() for part in env.ledger.prove_inclusion(entry, size)],
        "checkpoint": checkpoint,
        "envelope": envelope.to_json(),
    }
    if since is not None:
        if since > size:
            raise NotFound(f"the ledger has {size} entries, not {since}")
        proof["since"] = since
        proof["consistency"] = [part.hex() for part in env.ledger.prove_consistency(since, size)]
    return proof


def head(env: Environment) -> str:
    """The newest signed checkpoint."""
    require(env, "read")
    return env.ledger.checkpoint()


def tlog_proof(env: Environment, entry: int) -> str:
    """The proof of an entry as a C2SP tlog-proof, under the newest cosigned head that has it."""
    require(env, "read")
    _entry(env, entry)
    cosigned = env.heads.newest()
    checkpoint = env.ledger.checkpoint()
    if cosigned is not None and entry < cosigned[0]:
        checkpoint = cosigned[1]
    size = int(checkpoint.splitlines()[1])  # C2SP tlog-checkpoint: the second line
    return write_proof(entry, env.ledger.prove_inclusion(entry, size), checkpoint)


def audit_ledger(env: Environment, heads: Sequence[str] = ()) -> dict[str, Any]:
    """Recompute everything; what was there, and how much each person who logged in has done.

    heads: such as others kept. Raises NotProven, naming the first fault.
    """
    require(env, "read")
    env.ledger.audit()
    env.book.audit()
    for note in heads:
        compare_head(env.ledger, note)
    return {
        "entries": env.ledger.size,
        "cosigned_heads": compare_heads(env.ledger, env.heads),
        "acts": count_acts(env.ledger, env.ledger.entries()),
        "approvals_under_break_glass": _approvals_under(env),
    }


def rebuild_ledger(env: Environment) -> int:
    """Drop every projection and replay; the number of entries."""
    require(env, "ledger-rebuild")
    env.ledger.rebuild()
    env.book.rebuild()
    return env.ledger.size


def export_ledger(env: Environment, folder: Path) -> int:
    """Write the log as C2SP tlog-tiles; the number of entries."""
    require(env, "read")
    folder.parent.mkdir(parents=True, exist_ok=True)
    env.ledger.export(folder)
    return env.ledger.size


def _approvals_under(env: Environment) -> list[dict[str, Any]]:
    told = approvals_told(env.ledger, env.ledger.find("approval/v1"))
    return [row for row in told if row["break_glass"] is not None]


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
    return datetime.fromtimestamp(stamp / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
