# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The tables of docs/reference/access.md."""

from generate import _table

from bastide.gates.access.actions import ACTIONS
from bastide.gates.access.calls import CALLS, ROLES
from bastide.gates.access.default_policies import DEFAULT, RAILS

__all__ = ["actions", "calls", "default_set"]


def actions() -> str:
    """Every action of the access policies."""
    rows = [
        [f"`{name}`", f"`{row.duty}`", f"`{row.on}`", row.does] for name, row in ACTIONS.items()
    ]
    return _table(["action", "duty", "on", "does"], rows)


def calls() -> str:
    """What services ask of control, and which roles may."""
    return _table(
        ["call", *ROLES],
        [
            [f"`{name}`", *("yes" if role in roles else "" for role in ROLES)]
            for name, roles in CALLS.items()
        ],
    )


def default_set() -> str:
    """The policies in force until the parties sign others, and the rails."""
    return f"```text\n{DEFAULT}\n{RAILS}```"
