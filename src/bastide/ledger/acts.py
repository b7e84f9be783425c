# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Whether the login that an act names (core/act.py) is in the ledger, before it."""

from sqlalchemy import Connection

from bastide.core.act import ACTS, BY, LOGIN
from bastide.core.errors import NotFound, NotProven
from bastide.core.evidence import Evidence
from bastide.core.subject import Digest
from bastide.ledger import queries

__all__ = ["verify_actor"]


def verify_actor(connection: Connection, row: Evidence, before: int) -> None:
    """Raise NotProven unless the login that a statement names is an entry before that index."""
    if row.kind not in ACTS or (named := row.body.get(BY)) is None:
        return
    try:
        entry = queries.index_of(connection, Digest.parse(named))
    except NotFound as error:
        raise NotProven(f"the {row.kind} names a login that is not in the ledger") from error
    kind = queries.entry(connection, entry)[1].kind
    if kind != LOGIN or entry >= before:
        raise NotProven(f"the {row.kind} names entry {entry}, a {kind}, as who did it")
