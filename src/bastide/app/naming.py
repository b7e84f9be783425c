# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What a person means by a name: the newest thing that is called so, or has that digest."""

from collections.abc import Sequence

from bastide.core.errors import NotFound
from bastide.core.evidence import Evidence
from bastide.ledger import Ledger
from bastide.ledger.erased import datasets, verify_not_erased

__all__ = ["named_dataset", "newest_named"]


def newest_named(rows: Sequence[Evidence], name: str, what: str) -> Evidence:
    """The newest row of a name or digest. Raises NotFound, with the names that there are."""
    for row in reversed(rows):
        if name in (row.subject.name, str(row.subject.digest), row.subject.digest.hex):
            return row
    known = ", ".join(sorted({row.subject.name for row in rows})) or "none"
    raise NotFound(f"there is no {what} {name!r}", fix=f"known {what}s: {known}")


def named_dataset(ledger: Ledger, name: str) -> Evidence:
    """The newest dataset of a name or digest. Raises NotFound, and Refused for one from which a
    person was erased: it names the successor.
    """
    row = newest_named(datasets(ledger), name, "dataset")
    verify_not_erased(ledger, row)
    return row
