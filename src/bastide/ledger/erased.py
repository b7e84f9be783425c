# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What the ledger says of erasures: the standing list in force, and which dataset follows which."""

from collections.abc import Mapping
from typing import Any

from bastide.core.errors import Refused
from bastide.core.evidence import Evidence
from bastide.ledger.ledger import Ledger

__all__ = [
    "datasets",
    "erasure_of",
    "live_datasets",
    "standing_list",
    "successors",
    "verify_not_erased",
]


def standing_list(ledger: Ledger) -> str | None:
    """The digest of the list that every build obeys, or None if nobody was ever erased."""
    rows = ledger.find("dataset-erasure/v1")
    return rows[-1].body["list"] if rows else None


def successors(ledger: Ledger) -> dict[str, Mapping[str, Any]]:
    """What the ledger says of each dataset that was made anew, by the digest of the old one."""
    return {
        made["old"]: made
        for row in ledger.find("dataset-erasure/v1")
        for made in row.body["datasets"]
    }


def datasets(ledger: Ledger) -> list[Evidence]:
    """Every dataset, oldest first; a successor stands right after the one that it follows.

    So the newest of a name stays the newest when a person is erased from it and from older ones.
    """
    rows = ledger.find("dataset/v1")
    before = {made["new"]: old for old, made in successors(ledger).items()}
    entries = {str(row.subject.digest): row.entry or 0 for row in rows}

    def place(row: Evidence) -> tuple[int, int]:
        digest = str(row.subject.digest)
        while digest in before:
            digest = before[digest]
        return entries[digest], row.entry or 0

    return sorted(rows, key=place)


def live_datasets(ledger: Ledger) -> list[Evidence]:
    """The datasets that were not made anew."""
    gone = successors(ledger)
    return [row for row in datasets(ledger) if str(row.subject.digest) not in gone]


def erasure_of(ledger: Ledger, dataset: Evidence) -> Evidence | None:
    """The erasure from which a dataset came, or None if it was built from its sources."""
    digest = str(dataset.subject.digest)
    for row in ledger.find("dataset-erasure/v1"):
        if any(made["new"] == digest for made in row.body["datasets"]):
            return row
    return None


def verify_not_erased(ledger: Ledger, dataset: Evidence) -> None:
    """Return if a dataset's content may still be used. Raises Refused, naming its successor."""
    made = successors(ledger).get(str(dataset.subject.digest))
    if made is not None:
        raise Refused(
            f"this dataset {dataset.subject.name} is no more: a person was erased from it",
            reasons=(f"{made['removed']} of its documents were removed; entry {dataset.entry} and"
                     " its root stay in the ledger",),
            fix=f"its successor is {made['new']}; it is released anew",
        )  # fmt: skip
