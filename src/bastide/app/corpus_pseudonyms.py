# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The key of a dataset's pseudonyms: made with the dataset, and destroyed when somebody says so.

It is one object of the dataset's folder, sealed, and nothing else of the dataset opens it. While it
exists, who holds it can tell whether a known value belongs to a pseudonym; without it nobody can.
"""

import json
from typing import Final

from bastide.app.corpus_build import folder_of
from bastide.app.corpus_objects import read_object
from bastide.app.corpus_plan import build_filters, local_steps
from bastide.app.duties import require_stage
from bastide.app.environment import Environment
from bastide.app.naming import newest_named
from bastide.core.errors import NotFound
from bastide.core.evidence import Evidence, Statement
from bastide.core.key import Purpose
from bastide.core.recipe import Step
from bastide.filters.chain import masked_name

__all__ = ["end_pseudonym_key", "names_in"]

_KIND: Final = "pseudonym-key-end/v1"


def end_pseudonym_key(env: Environment, name: str) -> Evidence:
    """Destroy the key of a dataset's pseudonyms, then say so in the ledger. Raises NotFound.

    A kill between the two leaves no key and no statement: the same again writes it. Once more is
    the statement that exists.
    """
    require_stage(env.principal, "corpus")
    row = newest_named(env.ledger.find("dataset/v1"), name, "dataset")
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


def names_in(env: Environment, row: Evidence, ident: str) -> tuple[str, ...]:
    """The names under which a record may stand in a dataset: its own, and the masked one.

    Raises NotFound if its own holds personal data and the key is destroyed: then an answer that it
    is not there would say nothing. Raises NotAllowed for who may not see what is behind pseudonyms.
    """
    folder = folder_of(row.body["build"])
    recipe = json.loads(read_object(env.store, f"{folder}/recipe"))
    steps = local_steps([Step(one["step"], one["settings"]) for one in recipe["steps"]])
    any_key = bytes(range(32))
    if masked_name(build_filters(steps, any_key), any_key, ident) == ident:
        return (ident,)
    require_stage(env.principal, "corpus")
    try:
        key = read_object(env.store, f"{folder}/key")
    except NotFound as error:
        raise NotFound(
            "the name holds personal data, which the dataset masks, and the key of its pseudonyms"
            " is destroyed: nobody can tell whether it is there",
            fix="name the document as the dataset does, such as <EMAIL:...>",
        ) from error
    return (ident, masked_name(build_filters(steps, key), key, ident))
