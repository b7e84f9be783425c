# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Party, Duty, Principal: who may do what, and never twice."""

from dataclasses import dataclass
from enum import StrEnum


class Party(StrEnum):
    """The three parties of DESIGN.md section 1."""

    FIRM = "firm"  # makes the model
    OPERATOR = "operator"  # runs the machines
    GUARDIAN = "guardian"  # guards both


class Duty(StrEnum):
    """What one may be entitled to do. Which party holds a duty is in DUTIES."""

    PREPARE = "prepare"
    ADMIT = "admit"
    EVALUATE = "evaluate"
    PROPOSE = "propose"
    DEPLOY = "deploy"
    MANAGE_TENANTS = "manage-tenants"
    GUARD = "guard"
    SIGN = "sign"
    STOP = "stop"
    BREAK_GLASS = "break-glass"
    READ = "read"


DUTIES: dict[Duty, frozenset[Party]] = {
    Duty.PREPARE: frozenset({Party.FIRM}),
    Duty.ADMIT: frozenset({Party.FIRM, Party.OPERATOR}),
    Duty.EVALUATE: frozenset({Party.FIRM, Party.OPERATOR}),
    Duty.PROPOSE: frozenset({Party.FIRM, Party.OPERATOR}),
    Duty.DEPLOY: frozenset({Party.OPERATOR}),
    Duty.MANAGE_TENANTS: frozenset({Party.OPERATOR}),
    Duty.GUARD: frozenset({Party.GUARDIAN}),
    Duty.SIGN: frozenset(Party),
    Duty.STOP: frozenset(Party),
    Duty.BREAK_GLASS: frozenset({Party.OPERATOR, Party.GUARDIAN}),
    Duty.READ: frozenset(Party),
}


@dataclass(frozen=True, slots=True)
class Principal:
    """Someone at the door: a name, and the parties that one acts for."""

    name: str
    parties: frozenset[Party]

    def holds(self, duty: Duty) -> bool:
        """True if one of the principal's parties has the duty."""
        return bool(self.parties & DUTIES[duty])
