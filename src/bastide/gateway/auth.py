# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Who calls: an API key to its grant, by one keyed hash and one look-up in memory.

The look-up compares HMACs, not keys: without the pepper a caller cannot choose what is compared,
so the time it takes tells nothing about the keys that exist.
"""

from bastide.core import apikey
from bastide.core.snapshot import KeyGrant, Snapshot

__all__ = ["grant_of", "well_formed"]

_KEY_LENGTH = 40
_PREFIX = "bst_"


def well_formed(key: str | None) -> str | None:
    """A key of the right form, or None; `grant_of` says if it is good."""
    good = key is not None and len(key) == _KEY_LENGTH and key.isascii() and key.startswith(_PREFIX)
    return key if good else None


def grant_of(snapshot: Snapshot, pepper: bytes, key: str) -> KeyGrant | None:
    """What a key may do now, or None if it is unknown or revoked."""
    return snapshot.keys.get(apikey.mac(pepper, key))
