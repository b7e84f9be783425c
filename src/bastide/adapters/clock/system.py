# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The machine's own clock."""

import time

__all__ = ["SystemClock"]


class SystemClock:
    """Reads the kernel's real-time and monotonic clocks."""

    def now_ms(self) -> int:
        """Milliseconds since 1970 (UTC)."""
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        """Seconds from an unspecified point; never goes back."""
        return time.monotonic()
