# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Lineage: what rests on a dataset, by what the statements of the ledger say of each other.

A statement rests on what it names by digest, and what it is about rests on that too. So one reading
from the oldest to the newest entry finds everything, over any number of steps.
"""

import json
import re
from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Final

from bastide.core.evidence import Evidence
from bastide.ledger.ledger import Ledger

__all__ = ["RESTING", "resting_on"]

# What is told, by kind. Other kinds are passed through.
RESTING: Final[Mapping[str, str]] = MappingProxyType(
    {
        "dataset-release/v1": "releases",
        "summary/v1": "summaries",
        "admission/v1": "models",
        "evaluation/v1": "models",
        "candidate/v1": "models",
        "release/v1": "models",
        "deployment/v1": "deployments",
    }
)
# They name everything of their time, or only say something about what exists.
_SKIPPED: Final = frozenset(
    {"receipts/v1", "share-minute/v1", "refusal/v1", "dataset/v1", "dataset-erasure/v1"}
)
_HEX: Final = re.compile(r"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")


def resting_on(ledger: Ledger, datasets: Collection[Evidence]) -> dict[str, list[Evidence]]:
    """For each dataset, by the digest of its manifest: the evidence of RESTING that rests on it."""
    roots: dict[str, set[str]] = {}  # a digest in hex, and the datasets that it rests on
    found: dict[str, list[Evidence]] = {}
    for row in datasets:
        own = str(row.subject.digest)
        found[own] = []
        roots[row.subject.digest.hex] = {own}
        roots[row.digest.hex] = {own}
    if not roots:
        return found
    for row in ledger.entries():
        if row.kind in _SKIPPED:
            continue
        subjects = [subject.digest.hex for subject in row.statement.subjects]
        named = {*_HEX.findall(json.dumps(row.statement.to_json())), *subjects}
        on = set[str]().union(*(roots[one] for one in named if one in roots))
        if not on:
            continue
        for one in (*subjects, row.digest.hex):
            roots.setdefault(one, set()).update(on)
        if row.kind in RESTING:
            for one in on:
                found[one].append(row)
    return found
