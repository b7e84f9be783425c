# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The life of the store's keys, computed from the ledger: what became of each, and by whose word.

One such key is an epoch of the store: every header is sealed to it until the next rotation. The
states and transitions are those of NIST SP 800-57, as of signing keys. Destruction counts only with
an order that two parties signed.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from bastide.core.canonical import canonical
from bastide.core.errors import NotProven
from bastide.core.evidence import Evidence
from bastide.core.register import TRANSITIONS, KeyState
from bastide.core.subject import Digest, Subject

__all__ = ["SERVICES", "StoreKey", "key_of", "store_keys", "subject_of"]

# Who can hold a key of the store.
SERVICES: Final = ("file", "pkcs11", "openbao", "tpm")


@dataclass(frozen=True, slots=True)
class StoreKey:
    """A key of the store. `changes` are entries and the states that they made; oldest first."""

    key: str
    service: str
    changes: tuple[tuple[int, KeyState], ...]
    proof: str | None = None

    @property
    def state(self) -> KeyState:
        """The state now."""
        return self.changes[-1][1]


def key_of(public: str) -> str:
    """The name of a key, from what it is known by in public: its recipient, or its place."""
    return "store-" + Digest.of(canonical({"store-key": public})).hex[:32]


def subject_of(key: str) -> Subject:
    """The subject of every statement about one key of the store."""
    return Subject(key, Digest.of(canonical({"store-key": key})))


def store_keys(rows: Iterable[Evidence], orders: Mapping[str, str]) -> dict[str, StoreKey]:
    """All keys of the store by name, from the `store-key/v1` entries in their order.

    orders: key by digest of every order that counts. Raises NotProven for a transition that
    SP 800-57 does not know, or a destruction without an order.
    """
    found: dict[str, StoreKey] = {}
    for row in rows:
        key, state = row.body["key"], KeyState(row.body["state"])
        old = found.get(key) or StoreKey(key, row.body["service"], ())
        # A key that was there before the ledger spoke of it comes in as active.
        allowed = TRANSITIONS[old.state] if old.changes else {KeyState.ACTIVE}
        if state not in allowed:
            before = old.state.value if old.changes else "unknown"
            raise NotProven(f"entry {row.entry}: the store's key {key} is {before}, not {state}")
        if state is KeyState.DESTROYED and orders.get(row.body["order"] or "") != key:
            raise NotProven(f"entry {row.entry}: no two parties ordered the end of {key}")
        assert row.entry is not None
        changes = (*old.changes, (row.entry, state))
        found[key] = replace(old, changes=changes, proof=row.body["proof"])
    return found
