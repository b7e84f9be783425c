# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Who calls: an API key or a signature to its grant, by one keyed hash and one look-up in memory.

The look-up compares HMACs, not keys: without the pepper a caller cannot choose what is compared,
so the time it takes tells nothing about the keys that exist.

Who signs names an access key id, which is not secret. Its secret is derived from the pepper and the
key's id when it is needed; a key that is revoked has left the snapshot, and its pair with it.
"""

import ipaddress
from functools import lru_cache

from bastide.core import apikey
from bastide.core.snapshot import KeyGrant, Snapshot

__all__ = ["Signers", "grant_of", "inside", "well_formed"]

_KEY_LENGTH = 40
_PREFIX = "bst_"


def well_formed(key: str | None) -> str | None:
    """A key of the right form, or None; `grant_of` says if it is good."""
    good = key is not None and len(key) == _KEY_LENGTH and key.isascii() and key.startswith(_PREFIX)
    return key if good else None


@lru_cache(maxsize=4_096)
def inside(networks: tuple[str, ...], address: str) -> bool:
    """True if an address lies in one of the ranges. One that cannot be read lies in none."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = found.ipv4_mapped if found.version == 6 else None
    return any((mapped or found) in ipaddress.ip_network(row) for row in networks)


def grant_of(snapshot: Snapshot, pepper: bytes, key: str) -> KeyGrant | None:
    """What a key may do now, or None if it is unknown or revoked."""
    return snapshot.keys.get(apikey.mac(pepper, key))


class Signers:
    """Finds who signs. The access key ids of a snapshot are worked out once."""

    def __init__(self, pepper: bytes) -> None:
        self._pepper = pepper
        self._snapshot: Snapshot | None = None
        self._grants: dict[str, KeyGrant] = {}

    def find(self, snapshot: Snapshot, access_key: str) -> tuple[KeyGrant, str] | None:
        """The grant and the secret behind an access key id, or None if no active key has it."""
        if snapshot is not self._snapshot:
            self._grants = {
                apikey.sigv4_ident(grant.key): grant for grant in snapshot.keys.values()
            }
            self._snapshot = snapshot
        grant = self._grants.get(access_key)
        return None if grant is None else (grant, apikey.sigv4_pair(self._pepper, grant.key)[1])
