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


def bearer(headers: Mapping[bytes, bytes]) -> str | None:
    """The API key of a request, if it has one that is no typing error."""
    scheme, _, value = headers.get(b"authorization", b"").partition(b" ")
    if scheme.lower() != b"bearer":
        return None
    key = value.strip(b" ").decode("latin-1")
    if len(key) != _KEY_LENGTH or not apikey.is_key(key):
        return None
    return key


def grant_of(snapshot: Snapshot, pepper: bytes, key: str) -> KeyGrant | None:
    """What a key may do now, or None if it is unknown or revoked."""
    return snapshot.keys.get(apikey.mac(pepper, key))
