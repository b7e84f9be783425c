# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Heads: signed checkpoints, read with the ledger key that was in force at their size."""

from typing import Final

from bastide.core.register import Register
from bastide.crypto import note
from bastide.crypto.note import Checkpoint

__all__ = ["open_head"]

_DIGITS_MAX: Final = 19


def open_head(text: str, origin: str, register: Register) -> Checkpoint:
    """Verify a checkpoint and read it. Raises NotProven, also if no ledger key was active."""
    rows = text.split("\n", 2)
    stated = rows[1] if len(rows) == 3 else ""
    sound = stated.isascii() and stated.isdecimal() and len(stated) <= _DIGITS_MAX
    # Which key it is depends on what it says; whether it says so, the signature shows.
    size = max(1, int(stated)) if sound else 1
    return note.open_checkpoint(text, origin, register.ledger_key(size))
