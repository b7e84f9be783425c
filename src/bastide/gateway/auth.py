# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Who calls: an API key to its grant, by one keyed hash and one look-up in memory.

The look-up compares HMACs, not keys: without the pepper a caller cannot choose what is compared,
so the time it takes tells nothing about the keys that exist.
"""

from collections.abc import Mapping

from bastide.core import apikey
from bastide.core.snapshot import KeyGrant, Snapshot

__all__ = ["bearer", "grant_of"]

_KEY_LENGTH = 40
_PREFIX = b"bst_"


def bearer(headers: Mapping[bytes, bytes]) -> str | None:
    """The API key of a request, if it has one of the right form; `grant_of` says if it is good."""
    scheme, _, value = headers.get(b"authorization", b"").partition(b" ")
    if scheme.lower() != b"bearer":
        return None
    value = value.strip(b" ")
    well_formed = len(value) == _KEY_LENGTH and value.isascii() and value.startswith(_PREFIX)
    return value.decode() if well_formed else None


def grant_of(snapshot: Snapshot, pepper: bytes, key: str) -> KeyGrant | None:
    """What a key may do now, or None if it is unknown or revoked."""
    return snapshot.keys.get(apikey.mac(pepper, key))
