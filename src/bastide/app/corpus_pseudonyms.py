# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The key of a dataset's pseudonyms: made with the dataset, and destroyed when somebody says so.

It is one object of the dataset's folder, sealed, and nothing else of the dataset opens it. While it
exists, who holds it can tell whether a known value belongs to a pseudonym; without it nobody can.
"""

from typing import Final

from bastide.app.corpora import find_dataset
from bastide.app.corpus_build import folder_of
from bastide.app.duties import require_stage
from bastide.app.environment import Environment
from bastide.core.evidence import Evidence, Statement
from bastide.core.key import Purpose

__all__ = ["end_pseudonym_key"]

_KIND: Final = "pseudonym-key-end/v1"


def end_pseudonym_key(env: Environment, name: str) -> Evidence:
    """Destroy the key of a dataset's pseudonyms, then say so in the ledger. Raises NotFound.

    A kill between the two leaves no key and no statement: the same again writes it. Once more is
    the statement that exists.
    """
    require_stage(env.principal, "corpus")
    row = find_dataset(env, name)
    env.store.delete(f"{folder_of(row.body['build'])}/key")
    if known := env.ledger.find(_KIND, subject=row.subject.digest):
        return known[-1]
    body = {
        "dataset": str(row.subject.digest),
        "build": row.body["build"],
        "time_ms": env.clock.now_ms(),
    }
    statement = Statement(_KIND, (row.subject,), body)
    return env.ledger.append_statement(statement, [env.signer(Purpose.EVIDENCE)])
