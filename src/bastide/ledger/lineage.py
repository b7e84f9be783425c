# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Lineage: what rests on a dataset, and on what a model rests, by what the statements of the ledger
say of each other.

A statement rests on what it names by digest, and what it is about rests on that too: a training on
datasets, the model on its training, the release on the model, the deployment on the release.
"""

import json
import re
from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Final

from bastide.core.errors import NotProven
from bastide.core.evidence import Evidence
from bastide.core.subject import Digest
from bastide.ledger.ledger import Ledger

__all__ = ["RESTING", "resting_on", "trained_on"]

# What is told, by kind. Other kinds are passed through.
RESTING: Final[Mapping[str, str]] = MappingProxyType(
    {
        "dataset-release/v1": "releases",
        "summary/v1": "summaries",
        "training/v1": "runs",
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
    for row in datasets:
        own = {str(row.subject.digest)}
        roots[row.subject.digest.hex] = set(own)
        roots[row.digest.hex] = set(own)
    if not roots:
        return {}
    # A model may be released before anybody says what it was trained on, so one reading is not
    # enough; the last one finds nothing new.
    before = -1
    found: dict[str, list[Evidence]] = {}
    while before < (before := sum(map(len, roots.values()))):
        found = {str(row.subject.digest): [] for row in datasets}
        for row in ledger.entries():
            for one in _on(row, roots):
                if row.kind in RESTING:
                    found[one].append(row)
    return found


def trained_on(ledger: Ledger, model: Digest) -> tuple[Evidence, ...]:
    """What was ever said of a model's training: the statements `training/v1`, and those of every
    packing and dataset that they name, a packing's dataset too; in the ledger's order.

    Raises NotProven for a training on what no statement made.
    """
    found = {row.digest: row for row in ledger.find("training/v1", subject=model)}
    waiting = [named for row in found.values() for named in row.body["datasets"]]
    while waiting:
        named = waiting.pop()
        kinds = ("dataset/v1", "packing/v1")
        rows = [row for kind in kinds for row in ledger.find(kind, subject=Digest.parse(named))]
        if not rows:
            raise NotProven(f"a training is on {named}, which no statement of the ledger made")
        found[rows[0].digest] = rows[0]
        if rows[0].kind == "packing/v1":
            waiting.append(rows[0].body["dataset"])
    return tuple(sorted(found.values(), key=lambda row: row.entry or 0))


def _on(row: Evidence, roots: dict[str, set[str]]) -> set[str]:
    """The datasets that a statement rests on; what it is about rests on them from now on."""
    if row.kind == "dataset-erasure/v1":
        for made in row.body["datasets"]:
            # Who was in the successor was in the older dataset, on which a model may rest.
            newer = roots.get(made["new"].rpartition(":")[2], set())
            if newer:
                roots.setdefault(made["old"].rpartition(":")[2], set()).update(newer)
    if row.kind in _SKIPPED:
        return set()
    subjects = [subject.digest.hex for subject in row.statement.subjects]
    named = {*_HEX.findall(json.dumps(row.statement.to_json())), *subjects}
    on = set[str]().union(*(roots[one] for one in named if one in roots))
    if on:
        for one in (*subjects, row.digest.hex):
            roots.setdefault(one, set()).update(on)
    return on
