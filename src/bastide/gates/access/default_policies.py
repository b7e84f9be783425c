# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""DEFAULT: the policies in force until the parties sign others. RAILS: those that always are.

The defaults say what core/party.py says of each duty; tests/unit/test_access.py compares every
party, action and object.
"""

from typing import Final

from bastide.gates.access.actions import NEVER_IN_EMERGENCY
from bastide.gates.access.calls import SERVICES

__all__ = ["DEFAULT", "RAILS"]

DEFAULT: Final = """\
// Who may begin what. What no policy permits is refused.
// A copy to change: bastide policy show --text > access.cedar

@id("firm-prepares")
permit (principal in Party::"firm", action in Action::"prepare", resource);

@id("firm-admits-evaluates-proposes")
permit (
    principal in Party::"firm",
    action in [Action::"admit", Action::"evaluate", Action::"propose"],
    resource
);

@id("operator-admits-evaluates-proposes")
permit (
    principal in Party::"operator",
    action in [Action::"admit", Action::"evaluate", Action::"propose"],
    resource
);

@id("operator-deploys")
permit (principal in Party::"operator", action in Action::"deploy", resource);

@id("operator-manages-tenants")
permit (principal in Party::"operator", action in Action::"manage-tenants", resource);

@id("guardian-guards")
permit (principal in Party::"guardian", action in Action::"guard", resource);

// What a party's own signature answers for: the ledger asks for that, whoever carries it there.
@id("parties-sign-and-read")
permit (
    principal,
    action in [Action::"sign", Action::"read"],
    resource
) when {
    principal in Party::"firm" || principal in Party::"operator" || principal in Party::"guardian"
};

// Whoever stands for a party can stop the opening of weights and data. The guardian lets it go on;
// what the firm denied in the ledger takes the firm's signature too.
@id("parties-stop")
permit (principal, action in Action::"stop", resource) when {
    principal in Party::"firm" || principal in Party::"operator" || principal in Party::"guardian"
};

// An emergency: who may open one, and what it adds while it is open.
@id("operator-or-guardian-breaks-the-glass")
permit (principal, action in Action::"break-glass", resource) when {
    principal in Party::"operator" || principal in Party::"guardian"
};

@id("emergency-operator-guards")
permit (principal in Party::"operator", action == Action::"guard-set", resource) when {
    context.break_glass
};

@id("emergency-guardian-stops")
permit (
    principal in Party::"guardian",
    action in [Action::"deployment-end", Action::"key-revoke"],
    resource
) when {
    context.break_glass
};
"""

_NEVER = ",\n        ".join(f'Action::"{name}"' for name in NEVER_IN_EMERGENCY)

_PEOPLE = f"""\
// These hold whatever the parties sign.

@id("an-emergency-ends-nothing-for-good")
forbid (
    principal,
    action in [
        {_NEVER}
    ],
    resource
) when {{
    context.break_glass
}};

// Sets that were signed before these actions were there permit neither. Without the first nothing
// could be opened to sign another set; without the second nobody could stop. A set can forbid both.
@id("custodians-unseal-and-parties-stop")
permit (
    principal,
    action in [Action::"unseal", Action::"store-deny"],
    resource
) when {{
    principal in Party::"firm" || principal in Party::"operator" || principal in Party::"guardian"
}};
"""

RAILS: Final = f"{_PEOPLE}\n{SERVICES}"
