# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Capacity: what a deployment can do, measured while it does all it can."""

from typing import Final

__all__ = ["Capacity"]

_SAMPLE_S: Final = 1.0  # shorter samples are mostly the cost of single prompts
_NEWEST: Final = 0.2  # the weight of the newest sample: five samples to forget an old truth


class Capacity:
    """Cost units a second, averaged over the time in which requests wait for slots.

    An idle deployment says nothing about its limit, so what it does then does not count.
    """

    def __init__(self) -> None:
        self.units_per_s: float | None = None
        self._units = 0.0
        self._seconds = 0.0

    def add(self, units: float) -> None:
        """Count work that was done while requests waited."""
        self._units += units

    def advance(self, seconds: float) -> None:
        """Count time in which requests waited."""
        # A sample ends when the next time begins, so that it has all that was done in it.
        if seconds > 0 and self._seconds >= _SAMPLE_S:
            sample, old = max(0.0, self._units / self._seconds), self.units_per_s
            self.units_per_s = sample if old is None else old + _NEWEST * (sample - old)
            self._units = self._seconds = 0.0
        self._seconds += seconds
