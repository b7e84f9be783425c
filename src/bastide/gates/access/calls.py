# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""CALLS: what our services ask of control, and which roles may. SERVICES: the same as policies.

A call is a kind of frame on control's socket (dialects/frames.py). A guest is who shows no
credential. Policies that the parties sign can forbid more, but give no role another's call: a
runner that was taken over must not write a gateway's receipts, whatever was signed.
"""

from typing import Final

__all__ = ["CALLS", "GUEST", "ROLES", "SERVICES"]

GUEST: Final = "guest"
# A machine is another than control's, with all of its runners; a joiner has an invitation only.
ROLES: Final = ("gateway", "desk", "runner", "supervisor", "machine", "joiner", GUEST)

CALLS: Final[dict[str, tuple[str, ...]]] = {
    "snapshot": ("gateway", "desk", "runner", "supervisor", "machine"),
    "erasure": (
        "gateway",
        "desk",
        "runner",
        "supervisor",
        "machine",
    ),  # every link follows the list
    "receipt": ("gateway", "desk"),
    "promise-key": ("gateway",),
    "sealed-nodes": ("gateway",),
    "loaded": ("runner", "machine"),
    "cut": ("runner", "machine"),
    "share-minute": ("runner", "machine"),
    "taken": ("runner", "machine"),
    "node-challenge": ("runner", "machine"),
    "node-join": ("runner", "machine"),
    "node-headers": ("runner", "machine"),
    "certificate": ("gateway", "desk", "machine"),
    "machine-join": ("joiner",),
    "ledger": ("machine",),
    "object": ("machine",),
    "status": ROLES,
}


def _policies() -> str:
    rows = []
    for call, roles in CALLS.items():
        who = " || ".join(f'principal in Role::"{role}"' for role in roles)
        scope = f'action == Action::"call-{call}", resource'
        rows.append(
            f'@id("roles-call-{call}")\n'
            f"permit (principal is Service, {scope}) when {{\n    {who}\n}};\n\n"
            f'@id("no-other-role-calls-{call}")\n'
            f"forbid (principal is Service, {scope}) unless {{\n    {who}\n}};\n"
        )
    return "\n".join(rows)


SERVICES: Final = _policies()
