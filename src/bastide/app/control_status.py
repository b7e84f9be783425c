# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What control tells everybody who asks: names and counts, and no key."""

from collections.abc import Container, Mapping, Sequence
from typing import Any

from bastide.app.control_watch import near_limits
from bastide.app.snapshots import runners
from bastide.core.snapshot import Served, Snapshot
from bastide.ledger import Ledger

__all__ = ["status_of"]


def status_of(
    snapshot: Snapshot,
    entries: int,
    ledger: Ledger,
    witnesses: Mapping[str, str],
    pending: int,
    stopped: Mapping[str, Sequence[str]],
    alarm: Mapping[str, Any] | None,
    machines: Container[str],
) -> dict[str, Any]:
    """The answer to `status`. `pending`: receipts in no entry yet; `alarm`: an emergency;
    `machines`: others than control's that are connected."""

    def there(row: Served) -> dict[str, Any]:
        return {"machine": row.machine, "connected": row.machine in machines}

    served = [row for row in (*snapshot.served.values(), *snapshot.coming) if not row.machine]
    return {
        "environment": snapshot.environment,
        "entries": entries,
        "models": sorted(snapshot.served),
        "runners": {name: row.name for name, (row, _) in runners(served).items()},
        "coming": {row.name: row.deployment for row in snapshot.coming},
        "sockets": [list(row.sockets) for row in snapshot.served.values() if not row.machine],
        "elsewhere": {
            row.name: {**there(row), "loaded": any(row.sockets)}
            for row in snapshot.served.values()
            if row.machine
        },
        "coming_elsewhere": {row.name: there(row) for row in snapshot.coming if row.machine},
        "tenants": [row.subject.name for row in ledger.find("tenant/v1")],
        "receipts": snapshot.receipts,
        "receipts_pending": pending,
        "budgets_near": near_limits(snapshot.budgets),
        "stopped": dict(stopped),
        "witnesses": dict(witnesses),
        "emergency": alarm,
    }
