# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""SCHEMA: the Cedar schema that policies are checked against, made of the table of actions.

Each duty is a group of its actions, so `action in Action::"deploy"` is all that deploying takes.
"""

from typing import Final

from bastide.core.party import Duty
from bastide.gates.access.actions import ACTIONS
from bastide.gates.access.calls import CALLS

__all__ = ["SCHEMA"]


def _schema() -> str:
    types = sorted({row.on for row in ACTIONS.values()})
    lines = [
        "// Who: a person acts for parties, a service has one role.",
        "entity Party;",
        "entity Person in [Party];",
        "entity Role;",
        "entity Service in [Role];",
        "",
        "// On what: a thing by its name, or the whole environment.",
        "entity Environment;",
        *(f"entity {name};" for name in types),
        "",
        "// break_glass: an emergency is open, see `bastide break-glass`.",
        "type Circumstances = { break_glass: Bool };",
    ]
    for duty in Duty:
        lines += ["", f'action "{duty}";' if duty.value not in ACTIONS else f"// {duty}"]
        for name, row in ACTIONS.items():
            if row.duty is not duty:
                continue
            group = "" if name == duty.value else f' in ["{duty}"]'
            lines += [
                f"// {row.does}",
                f'action "{name}"{group} appliesTo {{',
                f"  principal: [Person], resource: [Environment, {row.on}],",
                "  context: Circumstances",
                "};",
            ]
    lines += ["", "// What services ask of control."]
    for call in CALLS:
        lines += [
            f'action "call-{call}" appliesTo {{',
            "  principal: [Service], resource: [Environment], context: Circumstances",
            "};",
        ]
    return "\n".join(lines) + "\n"


SCHEMA: Final = _schema()
