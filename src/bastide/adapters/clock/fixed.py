# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""A clock that stands still until it is moved. For tests and dry runs."""

__all__ = ["FixedClock"]


class FixedClock:
    """Shows `start_ms` and moves only by `advance`."""

    def __init__(self, start_ms: int = 1_700_000_000_000) -> None:
        self._now_ms = start_ms

    def now_ms(self) -> int:
        """Milliseconds since 1970 (UTC)."""
        return self._now_ms

    def monotonic(self) -> float:
        """Seconds; moves with `advance` only."""
        return self._now_ms / 1000

    def advance(self, milliseconds: int) -> None:
        """Move the clock forward."""
        self._now_ms += milliseconds
