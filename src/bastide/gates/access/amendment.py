# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""An amendment: policies that give left-out actions to whom the default set gives them.

A set that lists actions one by one says nothing of an action that came with a later version, and
what no policy permits is refused. The program cannot change a set that parties signed; it can write
down what to add, and they sign that.
"""

from collections.abc import Iterable
from typing import Final

from bastide.core.party import Party
from bastide.gates.access.policy_set import default_policies

__all__ = ["LEFT_OUT_FIX", "amendment"]

LEFT_OUT_FIX: Final = "`bastide policy show --left-out` writes the policies to add"
_NOTHING = "// Nothing is left out: each action is given to a party, or named.\n"


def amendment(left_out: Iterable[str]) -> str:
    """Policies in Cedar's text, to be put behind those of the set that leaves the actions out."""
    rows: dict[tuple[Party, ...], list[str]] = {}
    for action in left_out:
        rows.setdefault(default_policies().holders(action), []).append(action)
    return "\n".join(_policy(*row) for row in rows.items()) or _NOTHING


def _policy(parties: tuple[Party, ...], actions: list[str]) -> str:
    listed = ", ".join(f'Action::"{action}"' for action in actions)
    who = " || ".join(f'principal in Party::"{party.value}"' for party in parties)
    names = "-or-".join(party.value for party in parties)
    return (
        f'@id("left-out-to-{names}")\n'
        f"permit (\n    principal,\n    action in [{listed}],\n    resource\n"
        f") when {{\n    {who}\n}};\n"
    )
