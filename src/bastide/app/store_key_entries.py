# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What the ledger says of the store's keys, and where those are that were replaced.

Every function may be run again after a kill: what is written already is not written twice.
"""

import json
from collections.abc import Sequence
from typing import Any

from bastide.app import wiring
from bastide.app.duties import require
from bastide.app.environment import Environment
from bastide.app.wiring_keys import held
from bastide.core.errors import Misconfigured
from bastide.core.evidence import Evidence, Statement
from bastide.core.key import Purpose
from bastide.core.register import KeyState
from bastide.core.store_key import StoreKey, store_keys, subject_of

__all__ = [
    "KIND",
    "ORDER",
    "forget_place_of",
    "list_store_keys",
    "lives",
    "note",
    "note_active",
    "note_replaced",
    "place_of",
    "refuse_known",
]

KIND = "store-key/v1"
ORDER = "store-key-shred/v1"
_ENDED = (KeyState.DEACTIVATED, KeyState.COMPROMISED, KeyState.DESTROYED)


def lives(env: Environment) -> dict[str, StoreKey]:
    """The store's keys that the ledger speaks of. Raises NotProven."""
    orders = {str(row.digest): row.body["key"] for row in env.ledger.find(ORDER)}
    return store_keys(env.ledger.find(KIND), orders)


def list_store_keys(env: Environment) -> list[dict[str, Any]]:
    """Each key with its state and changes; one from the founding is active without an entry."""
    require(env, "read")
    known, places = lives(env), _places(env)
    rows: list[dict[str, Any]] = []
    for identity in env.keyring.identities():
        here = held(identity)
        if here.key not in known:
            rows.append({"key": here.key, "service": here.service, "state": "active", "since": 0})
    for life in known.values():
        changes = [{"entry": entry, "state": state.value} for entry, state in life.changes]
        row = {"key": life.key, "service": life.service, "state": life.state.value}
        more = {"changes": changes, "proof": life.proof, "at_hand": life.key in places}
        rows.append({**row, "since": life.changes[-1][0], **more})
    return rows


def note(
    env: Environment,
    key: str,
    service: str,
    state: KeyState,
    order: str | None = None,
    proof: str | None = None,
) -> Evidence:
    """Append that a key is in another state now."""
    body = {
        "key": key,
        "service": service,
        "state": state.value,
        "order": order,
        "proof": proof,
        "time_ms": env.clock.now_ms(),
    }
    statement = Statement(KIND, (subject_of(key),), body)
    return env.ledger.append_statement(statement, [env.signer(Purpose.EVIDENCE)])


def note_active(env: Environment, identities: Sequence[str]) -> None:
    """State every key that the ledger does not know yet; `identities` are newest first."""
    known = lives(env)
    for here in map(held, reversed(identities)):
        if here.key not in known:
            note(env, here.key, here.service, KeyState.ACTIVE)


def note_replaced(env: Environment, identities: Sequence[str], compromised: bool) -> None:
    """State that keys are replaced, and keep where they are until they are destroyed."""
    known, places = lives(env), _places(env)
    for here in map(held, identities):
        if here.place is not None:
            places[here.key] = here.place
    _write_places(env, places)
    state = KeyState.COMPROMISED if compromised else KeyState.DEACTIVATED
    for here in map(held, identities):
        if known[here.key].state not in _ENDED:
            note(env, here.key, here.service, state)


def refuse_known(env: Environment, identities: Sequence[str]) -> None:
    """A key that was replaced never comes back. Raises Misconfigured."""
    known = lives(env)
    for here in map(held, identities):
        if here.key in known and known[here.key].state in _ENDED:
            raise Misconfigured(
                f"the key {here.key} was the store's before, and is {known[here.key].state}",
                fix="name another `object` for the new key",
            )


def place_of(env: Environment, key: str) -> str | None:
    """Where a replaced key is; None if this machine does not know."""
    return _places(env).get(key)


def forget_place_of(env: Environment, key: str) -> None:
    """A destroyed key is nowhere."""
    places = _places(env)
    if places.pop(key, None) is not None:
        _write_places(env, places)


def _places(env: Environment) -> dict[str, str]:
    try:
        return dict(json.loads(env.home.retired.read_text()))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise Misconfigured(
            f"{env.home.retired} is damaged", fix="restore it from a backup"
        ) from error


def _write_places(env: Environment, places: dict[str, str]) -> None:
    if places != _places(env):
        wiring.replace_small(env.home.retired, json.dumps(places, indent=1).encode() + b"\n")
