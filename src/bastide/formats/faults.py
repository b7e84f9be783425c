# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Faults: what a validator found wrong with a file, every one, up to a bound."""

from bastide.core.errors import Refused
from bastide.core.limits import FAULTS_MAX

__all__ = ["Faults"]


class Faults:
    """A list of reasons against one file; a hostile file cannot make it grow without end."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._reasons: list[str] = []
        self._more = 0

    def __bool__(self) -> bool:
        return bool(self._reasons)

    @property
    def reasons(self) -> tuple[str, ...]:
        """Every reason; beyond the bound only how many more there are."""
        more = (f"and {self._more} more faults",) if self._more else ()
        return (*self._reasons, *more)

    def add(self, reason: str) -> None:
        """Note a fault and go on."""
        if len(self._reasons) < FAULTS_MAX:
            self._reasons.append(reason)
        else:
            self._more += 1

    def fatal(self, reason: str) -> Refused:
        """Note a fault after which nothing more can be read; the caller raises the result."""
        self._reasons.append(reason)
        return self.refusal()

    def refusal(self) -> Refused:
        """All faults as one error."""
        return Refused(f"not {self._what} that is safe to load", reasons=self.reasons)
