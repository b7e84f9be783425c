# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""How a process ended, in words for a log."""

from signal import Signals

__all__ = ["ending"]


def ending(status: int) -> str:
    """Of an exit status, which is negative for a signal."""
    if status >= 0:
        return f"ended with status {status}"
    try:
        return f"was killed by {Signals(-status).name}"
    except ValueError:  # one that this system does not name
        return f"was killed by signal {-status}"
