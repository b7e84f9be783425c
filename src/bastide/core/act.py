# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""ACTS: the statements that a person's command makes. Those of who has logged in name the login.

`by` is the digest of a `login/v1` in the same ledger: it says who, and has no name in it. It is
missing where nobody has logged in, and in entries from before there were logins. What a party's
key signs names that key instead, or both: so does what a party decides by a command here
(app/deciding.py). What a service says by itself is nobody's act.
"""

from dataclasses import replace
from typing import Final

from bastide.core.evidence import Statement
from bastide.core.subject import Digest

__all__ = ["ACTS", "BY", "LOGIN", "name_actor"]

BY: Final = "by"
LOGIN: Final = "login/v1"

ACTS: Final = frozenset(
    {
        "admission/v1",
        "alias/v1",
        "api-key-expiry/v1",
        "api-key-revocation/v1",
        "api-key/v2",
        "budget/v1",
        "candidate/v1",
        "ceremony/v1",
        "dataset-erasure/v1",
        "dataset-release/v1",
        "dataset/v1",
        "deployment-end/v1",
        "deployment/v1",
        "erasure/v1",
        "evaluation/v1",
        "guard/v1",
        "incident-end/v1",
        "incident/v1",
        "machine-end/v1",
        "machine/v1",
        "packing/v1",
        "price/v1",
        "project/v1",
        "pseudonym-key-end/v1",
        "refusal/v1",
        "release/v1",
        "share/v1",
        "store-key/v1",
        "summary/v1",
        "tenant/v1",
        "training/v1",
    }
)


def name_actor(statement: Statement, login: Digest | None) -> Statement:
    """The statement of an act, with the login of who acts; it takes the place of any other."""
    if statement.kind not in ACTS:
        return statement
    body = {name: value for name, value in statement.body.items() if name != BY}
    return replace(statement, body=body if login is None else {**body, BY: str(login)})
