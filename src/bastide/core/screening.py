# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What a guard says about a text that somebody only wants judged: no model is asked.

Unlike a receipt this holds the data that was found: it goes back to who sent it, and nowhere else.
"""

from dataclasses import dataclass

from bastide.core.guard import Action

__all__ = ["Match", "Screened"]


@dataclass(frozen=True, slots=True)
class Match:
    """A piece of a text that a detector found. `text` has no place in logs or in the ledger."""

    detector: str
    action: Action
    text: str


@dataclass(frozen=True, slots=True, repr=False)
class Screened:
    """One text: as the policy lets it through, or `refused`, and what was found in it."""

    text: str
    refused: bool = False
    matches: tuple[Match, ...] = ()

    @property
    def changed(self) -> bool:
        """True if the policy does not let the text through as it is."""
        return any(match.action != Action.OBSERVE for match in self.matches)
