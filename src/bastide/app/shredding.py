# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Use cases about the end of a replaced key of the store: two parties order it, and it is proven.

The order names one key, how it is destroyed and what that leaves; it travels to be signed as key
statements do. Once two parties have signed, it is appended, the key is destroyed, and what was
found is appended. After a kill in between the same command goes on from the order in the ledger.
"""

from collections.abc import Sequence
from typing import Any

from bastide.app.alone import alone
from bastide.app.duties import require
from bastide.app.environment import Environment
from bastide.app.orders import (
    is_over,
    read_order,
    sign_as_parties,
    verify_alive,
    verify_quorum,
)
from bastide.app.pushes import pushes
from bastide.app.store_key_entries import ORDER, forget_place_of, lives, note, place_of
from bastide.app.wiring_keys import Held, destroy, held, of_keyring, opens
from bastide.core.errors import NotFound, NotProven, Refused
from bastide.core.evidence import Evidence, Statement
from bastide.core.limits import ORDER_DAYS
from bastide.core.register import KeyState
from bastide.core.store_key import StoreKey, subject_of
from bastide.core.utc import DAY_MS
from bastide.crypto.dsse import Envelope, Signer
from bastide.ledger.times import seen_ms

__all__ = ["draft_order", "pending_order", "settle_order", "sign_order"]

_EXITS = "the owner's exit identities, to which every object is sealed beside the store's key"
_OPENED = "a header made for the key opened before, and did not after"
_GONE = "an earlier run had this order, and the key was gone"
_NO_COPY = "the keyring file of this environment does not hold it"
_REPLACED = (KeyState.DEACTIVATED, KeyState.COMPROMISED)


def draft_order(env: Environment, key: str, reason: str, days: int = ORDER_DAYS) -> Envelope:
    """The order to destroy a replaced key within some days, with no signature yet.

    Raises NotFound for no key of the store's, Refused for one that is not replaced.
    """
    require(env, "store-key-shred", key)
    life = _replaced(env, key)
    here, now_ms = _held(env, life), seen_ms(env.ledger, env.clock.now_ms())
    left = _left(env) if life.state is KeyState.COMPROMISED else [_live(env), *_left(env)]
    body = {
        "key": key,
        "service": life.service,
        "means": here.means,
        "leaves": [here.leaves, _EXITS, *left],
        "reason": reason,
        "time_ms": now_ms,
        "expires_ms": now_ms + days * DAY_MS,
    }
    return Envelope(Statement(ORDER, (subject_of(key),), body).payload(), ())


def sign_order(env: Environment, order: Envelope, given: Sequence[Signer]) -> Envelope:
    """Sign with the given keys, else with those of parties that the keyring holds.

    Raises NotAllowed for a key of no party, NotProven for one that has signed already, Refused for
    an order whose days are over.
    """
    verify_alive(env, read_order(order, ORDER, "destroys"))
    return sign_as_parties(env, order, given)


def pending_order(env: Environment, key: str) -> Evidence | None:
    """An order in the ledger that counts and was not carried out: a kill came between.

    One whose days are over is pending only if its key is gone: then that is still to be stated.
    """
    require(env, "read")
    life = lives(env).get(key)
    if life is None or life.state not in _REPLACED:
        return None
    register = env.ledger.register()
    rows = [row for row in env.ledger.find(ORDER) if row.body["key"] == key]
    counting = (row for row in rows if register.counts(row))
    return next((row for row in counting if not _too_late(env, row.statement, life)), None)


def settle_order(env: Environment, order: Envelope | Evidence) -> dict[str, Any]:
    """Append an order once two parties signed it, destroy the key, and append what was found.

    order: an envelope, or the evidence of `pending_order`. Raises Waiting, naming who is missing;
    NotProven for a signature that does not hold, or if the key still opens; Refused for a key that
    is in use or gone, or for an order whose days are over; Unavailable if its key service is away:
    then nothing is appended.
    """
    require(env, "read")
    statement = (
        order.statement if isinstance(order, Evidence) else read_order(order, ORDER, "destroys")
    )
    key = statement.body["key"]
    require(env, "store-key-shred", key)
    # Two at once would both find the key as it was, and say its end twice.
    with alone(env.home.root, lambda: None):
        life = _replaced(env, key)
        here = _held(env, life)
        if (statement.body["service"], statement.body["means"]) != (life.service, here.means):
            raise NotProven(f"the order says of {key} what is not so", fix="make a new one")
        if not isinstance(order, Evidence) or _too_late(env, statement, life):
            verify_alive(env, statement)
        if isinstance(order, Envelope) and (gone := set(_left(env)) - {*statement.body["leaves"]}):
            raise NotProven(
                f"since the order was written releases left for other keys: {', '.join(gone)}",
                fix="make a new one",
            )
        ordered = order if isinstance(order, Evidence) else _ordered(env, here, order)
        proof = _carry_out(env, here)
        row = note(env, key, life.service, KeyState.DESTROYED, str(ordered.digest), proof)
        forget_place_of(env, key)
    return {
        "key": key,
        "service": life.service,
        "order": ordered.entry,
        "entry": row.entry,
        "proof": proof,
        "leaves": list(ordered.body["leaves"]),
    }


def _too_late(env: Environment, statement: Statement, life: StoreKey) -> bool:
    """Whether an order's days are over, while its key still opens."""
    if not is_over(env, statement):
        return False
    here = _held(env, life)
    return here.place is None or opens(here.place, env.entropy)


def _ordered(env: Environment, here: Held, order: Envelope) -> Evidence:
    """The order in the ledger: appended now, or before a kill."""
    verify_quorum(env, order, "to destroy a key")
    if (pending := pending_order(env, here.key)) is not None:
        return pending
    if here.place is not None and not opens(here.place, env.entropy):
        raise NotProven(
            f"the key service holds no key {here.key}",
            fix="is it the right token or server? What is not there cannot be destroyed",
        )
    env.ledger.append([order])
    return env.ledger.by_digest(order.digest)


def _carry_out(env: Environment, here: Held) -> str:
    if here.place is None:
        if here.key in {held(text).key for text in env.reread_keyring().identities()}:
            raise Refused(f"the keyring still holds {here.key}", fix="bastide store rotate")
        return _NO_COPY
    return _OPENED if destroy(here.place, env.entropy) else _GONE


def _left(env: Environment) -> list[str]:
    """Whom releases were sealed to beside the store's keys; they keep what they fetched."""
    rows = list(pushes(env.ledger, past=True))
    told = ", ".join(f"{row.subject.name} to {row.body['recipient']}" for row in rows)
    return [f"keys that releases were pushed to: {told}"] if rows else []


def _live(env: Environment) -> str:
    """What a rotation without new data leaves: the same bodies open by the keys in use."""
    count = len(env.store.names())
    return f"the headers of {count} objects now, for the keys in use: the bodies are the same"


def _replaced(env: Environment, key: str) -> StoreKey:
    life = lives(env).get(key)
    if key in {held(text).key for text in env.reread_keyring().identities()}:
        raise Refused(
            f"the store uses the key {key}",
            fix="replace it first: bastide store rotate --to PLACE",
        )
    if life is None:
        raise NotFound(f"the store never had a key {key}", fix="bastide store keys")
    if life.state not in _REPLACED:
        raise Refused(f"the key {key} is {life.state}: there is nothing to destroy")
    return life


def _held(env: Environment, life: StoreKey) -> Held:
    """What is known of a replaced key. Raises NotFound if only its service knows where it is."""
    if life.service == "file":
        return of_keyring(life.key)
    place = place_of(env, life.key)
    if place is None:
        raise NotFound(
            f"{env.home.retired} does not say where {life.key} is",
            fix="restore that file from a backup, on the machine that rotated the key",
        )
    here = held(place)
    if here.key != life.key:
        raise NotProven(f"{env.home.retired} names another key for {life.key}")
    return here
