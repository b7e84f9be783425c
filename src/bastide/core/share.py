# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Share: compute of one deployment, what a tenant is promised of it, and what it was given.

All amounts are in cost units. One unit is what one output token costs; a prompt token costs less,
by a weight that is measured (docs/adr/0013-shares.md).
"""

import math
from dataclasses import dataclass

from bastide.core.limits import SHARE_BURST_S, SHARE_GUARD_FRACTION


@dataclass(frozen=True, slots=True)
class Share:
    """Parallel slots and context tokens that each replica of a deployment reserves."""

    slots: int
    context_tokens: int


@dataclass(frozen=True, slots=True)
class Promise:
    """What one tenant is promised of one deployment.

    tokens_per_s: units a second that it gets whenever it asks for them, whatever others do;
    burst_s: how many seconds of that it may take at once; weight: its part of what is left.
    """

    tokens_per_s: float = 0.0
    burst_s: float = SHARE_BURST_S
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Cost:
    """Units per token. Prompt tokens that the engine had in its cache cost nothing."""

    prompt: float = 0.25
    output: float = 1.0

    def of(self, prompt_tokens: float, output_tokens: float) -> float:
        """The units of some tokens."""
        return self.prompt * prompt_tokens + self.output * output_tokens


@dataclass(slots=True)
class Tally:
    """What one tenant got in a period, in units.

    delivered: under its promise; borrowed: beyond it; owed: due under its promise, and still not
    begun when the period ended; starved_s: time in which something due waited; refused: requests.
    """

    delivered: float = 0.0
    borrowed: float = 0.0
    owed: float = 0.0
    starved_s: float = 0.0
    refused: int = 0

    @property
    def promised(self) -> float:
        """What the promise came to: what was delivered under it, and what is still owed."""
        return self.delivered + self.owed


def guard_slots(slots: int) -> int:
    """How many of `slots` are never lent, so that a guaranteed tenant finds one free.

    Of one slot none can be kept, or nobody without a promise would ever be answered. Of two, one
    kept would cost half of what the engine can do (measured: docs/adr/0013-shares.md).
    """
    return 0 if slots < 3 else max(1, math.ceil(SHARE_GUARD_FRACTION * slots))
