# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Erasure of a person from the datasets, as the ledger tells it. It never learns who it is.

1. The subject comes onto the standing list: from now on no build takes a document about it.
2. Which datasets were made anew without it, old root beside new root.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from bastide.core.evidence import Evidence, Statement
from bastide.core.subject import Digest, Subject
from bastide.crypto.dsse import Signer
from bastide.ledger import Ledger
from bastide.ports import Clock

__all__ = ["record"]


def record(
    ledger: Ledger,
    subject: bytes,
    listed: Digest,
    entries: int,
    datasets: Sequence[Mapping[str, Any]],
    signer: Signer,
    clock: Clock,
) -> Evidence:
    """State that the list is in force, and which datasets were made anew; once, if again."""
    body = {
        "subject": subject.hex(),
        "list": str(listed),
        "entries": entries,
        "datasets": [dict(row) for row in datasets],
    }
    for row in ledger.find("dataset-erasure/v1", name="subject"):
        if all(row.body[name] == value for name, value in body.items()):
            return row
    statement = Statement(
        "dataset-erasure/v1",
        (Subject("subject", Digest.parse(f"sha256:{subject.hex()}")),),
        {**body, "time_ms": clock.now_ms()},
    )
    return ledger.append_statement(statement, [signer])
