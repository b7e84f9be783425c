# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What a denial takes in: one rule for the ledger, for who asks it, and for who opens objects."""

from typing import Final

__all__ = ["EVERYTHING", "denies"]

EVERYTHING: Final = "*"


def denies(name: str, what: str) -> bool:
    """Whether a denial of a name is one of an object: its name, a beginning of it, or all."""
    return name == EVERYTHING or what.startswith(name)
