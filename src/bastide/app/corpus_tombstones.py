# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The tombstones of a dataset that follows another: proofs that name hashes alone."""

from collections.abc import Iterator

from bastide.app.corpus_successor import read_tombstones
from bastide.app.duties import require
from bastide.app.environment import Environment
from bastide.app.naming import newest_named
from bastide.core.errors import NotFound
from bastide.ledger.erased import datasets, erasure_of

__all__ = ["tombstones_of"]


def tombstones_of(env: Environment, name: str) -> Iterator[str]:
    """The tombstones of a successor, as lines of JSON. Raises NotFound for another dataset."""
    require(env, "read")
    row = newest_named(datasets(env.ledger), name, "dataset")
    if erasure_of(env.ledger, row) is None:
        raise NotFound(f"nobody was erased to make this dataset {name}", fix="bastide corpus ls")
    return map(bytes.decode, read_tombstones(env.store, row.body["build"]))
