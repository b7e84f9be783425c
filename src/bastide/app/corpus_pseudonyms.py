# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The key of a dataset's pseudonyms: made with the dataset, and destroyed when somebody says so.

It is one object of the dataset's folder, sealed, and nothing else of the dataset opens it. While it
exists, who holds it can tell whether a known value belongs to a pseudonym; without it nobody can.
"""

import json
import re
from collections.abc import Iterator, Sequence
from typing import Final

from bastide.app.corpus_build import folder_of
from bastide.app.corpus_objects import read_object
from bastide.app.corpus_plan import build_filters, local_steps
from bastide.app.duties import require
from bastide.app.environment import Environment
from bastide.app.naming import named_dataset
from bastide.core.errors import NotFound
from bastide.core.evidence import Evidence, Statement
from bastide.core.key import Purpose
from bastide.core.recipe import Step
from bastide.detectors.erasure import PSEUDONYM
from bastide.detectors.personal.kinds import KINDS, MODEL_KINDS
from bastide.filters.chain import hidden, masked_name
from bastide.filters.pseudonym import pseudonym

__all__ = ["end_pseudonym_key", "names_in", "pseudonyms_of"]

_KIND: Final = "pseudonym-key-end/v1"
# Some values are found only where a word says what they are.
_CARRIERS: Final = ("{}", "e-mail: {}", "tel. {}", "IBAN {}", "passport {}", "tax number {}",
                    "ID {}", "VAT {}", "born {}")  # fmt: skip


def end_pseudonym_key(env: Environment, name: str) -> Evidence:
    """Destroy the key of a dataset's pseudonyms, then say so in the ledger. Raises NotFound.

    A kill between the two leaves no key and no statement: the same again writes it. Once more is
    the statement that exists.
    """
    require(env, "pseudonym-key-end", name)
    row = named_dataset(env.ledger, name)
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
    steps = _steps(env, folder)
    any_key = bytes(range(32))
    if masked_name(build_filters(steps, any_key), any_key, ident) == ident:
        return (ident,)
    require(env, "dataset-text")
    try:
        key = read_object(env.store, f"{folder}/key")
    except NotFound as error:
        raise NotFound(
            "the name holds personal data, which the dataset masks, and the key of its pseudonyms"
            " is destroyed: nobody can tell whether it is there",
            fix="name the document as the dataset does, such as <EMAIL:...>",
        ) from error
    return (ident, masked_name(build_filters(steps, key), key, ident))


def pseudonyms_of(
    env: Environment, row: Evidence, values: Sequence[str]
) -> tuple[tuple[str, ...], str]:
    """The pseudonyms that a dataset may have for some values, in any kind and usual spelling.

    Also what became of its key: `used`, `destroyed` (then nobody can say which they are), or
    `none` if no step masks anything.
    """
    folder = folder_of(row.body["build"])
    steps = _steps(env, folder)
    unkeyed = build_filters(steps, bytes(range(32)))
    if not any(hasattr(one, "hidden") or hasattr(one, "asking") for one in unkeyed):
        return (), "none"
    try:
        key = read_object(env.store, f"{folder}/key")
    except NotFound:
        return (), "destroyed"
    filters = build_filters(steps, key)
    found: set[str] = set()
    for value in values:
        for carrier in _CARRIERS:
            found.update(PSEUDONYM.findall(hidden(filters, carrier.format(value))))
        forms = tuple(_forms(value))
        found.update(
            pseudonym(key, kind, form) for kind in (*KINDS, *MODEL_KINDS, "id") for form in forms
        )
    return tuple(sorted(found)), "used"


def _forms(value: str) -> Iterator[str]:
    """The forms in which finders call two spellings of a value the same."""
    plain = re.sub(r"[\W_]+", "", value)
    digits = re.sub(r"\D+", "", value)
    yield from (value, value.casefold(), plain, plain.upper(), plain.casefold(), digits)
    yield from (f"+{digits}", re.sub(r"[\W_]+", " ", value).casefold())


def _steps(env: Environment, folder: str) -> list[Step]:
    recipe = json.loads(read_object(env.store, f"{folder}/recipe"))
    return local_steps([Step(one["step"], one["settings"]) for one in recipe["steps"]])
