# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The standing list: hashes of everybody who was erased. Every build obeys it.

It lies sealed in the store; the ledger has its digest. A list that is missing or is another refuses
the build: without it a person would come back.
"""

from typing import Final

from bastide.app.corpus_objects import read_object
from bastide.app.environment import Environment
from bastide.core.erasure import ErasureList
from bastide.core.errors import NotFound, NotProven
from bastide.core.subject import Digest
from bastide.ledger.erased import standing_list

__all__ = ["LISTS", "list_object", "put_list", "read_standing"]

LISTS: Final = "erasures"


def list_object(digest: str) -> str:
    """Where a list lies in the store."""
    return f"{LISTS}/{Digest.parse(digest).hex[:32]}"


def put_list(env: Environment, listed: ErasureList) -> Digest:
    """Seal a list. It is in force when the ledger says so."""
    data = listed.dump()
    digest = Digest.of(data)
    env.store.put(list_object(str(digest)), [data])
    return digest


def read_standing(env: Environment) -> ErasureList | None:
    """The list in force, or None if nobody was erased. Raises NotProven if it is not there."""
    digest = standing_list(env.ledger)
    if digest is None:
        return None
    name = list_object(digest)
    try:
        data = read_object(env.store, name)
    except NotFound as error:
        raise NotProven(
            f"{name} is missing: it says who was erased, and nothing may be built without it",
            fix="restore it from a backup",
        ) from error
    if str(Digest.of(data)) != digest:
        raise NotProven(f"{name} is not the list in force", fix="restore it from a backup")
    return ErasureList.load(data)
