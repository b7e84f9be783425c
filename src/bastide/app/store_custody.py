# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Who holds the store's key is for two parties to say: they sign an order for each move.

A new key with the same holder is the operator's to make. Another holder (from a token to a file, to
another server) changes who can open everything, so it needs what its destruction needs. The order
names the key in use, so it counts once; it travels and ends as other orders do (app/orders.py).
"""

from collections.abc import Sequence
from typing import Final

from bastide.app import wiring
from bastide.app.denials import SignedDenials
from bastide.app.duties import require
from bastide.app.environment import Environment
from bastide.app.orders import is_over, read_order, verify_alive, verify_quorum
from bastide.app.wiring_keys import held, holder_of, stays
from bastide.core.errors import NotAllowed, NotProven
from bastide.core.evidence import Statement
from bastide.core.limits import ORDER_DAYS
from bastide.core.store_key import subject_of
from bastide.core.utc import DAY_MS
from bastide.crypto.dsse import Envelope
from bastide.ledger.times import seen_ms

__all__ = ["draft_move", "permit_move", "verify_holder"]

KIND: Final = "store-key-move/v1"


def draft_move(env: Environment, to: str, reason: str, days: int = ORDER_DAYS) -> Envelope | None:
    """The order to give the store's key to another holder, with no signature yet.

    None if the holder stays, which takes no order.
    """
    require(env, "read")
    key, here, there = _move(env, to)
    if here == there:
        return None
    require(env, "store-key-move", key)
    now_ms = seen_ms(env.ledger, env.clock.now_ms())
    body = {
        "key": key,
        "from": here,
        "to": there,
        "reason": reason,
        "time_ms": now_ms,
        "expires_ms": now_ms + days * DAY_MS,
    }
    return Envelope(Statement(KIND, (subject_of(key),), body).payload(), ())


def permit_move(env: Environment, to: str, order: Envelope | None) -> None:
    """Return if the holder stays, or if two parties ordered this move; the order is appended.

    Raises Waiting, naming who is missing; NotProven for an order of something else or a signature
    that does not hold; Refused for one whose days are over.
    """
    key, here, there = _move(env, to)
    if here == there:
        return
    require(env, "store-key-move", key)
    ordered = (key, here, there)
    rows = [row for row in env.ledger.find(KIND) if env.ledger.register().counts(row)]
    if any(_said(row.statement) == ordered and not is_over(env, row.statement) for row in rows):
        return  # a kill came between order and rotation
    if order is not None:
        statement = read_order(order, KIND, "moves")
        if _said(statement) != ordered:
            raise NotProven(
                f"the order is not about moving {key} from {here} to {there}", fix="make a new one"
            )
        verify_alive(env, statement)
    what = f"the store's key moves from {here} to {there}, which"
    verify_quorum(env, order or Envelope(b"", ()), what)
    assert order is not None
    env.ledger.append([order])


def verify_holder(env: Environment, old: Sequence[str], new: str) -> None:
    """Return if the new key's holder has the old keys too, or has another name, as was ordered.

    Raises NotProven: a second token with the first one's label, or another server at its address,
    is another holder, and no order can say so; Unavailable if the old key cannot be asked.
    """
    if holder_of(old[0]) != (name := holder_of(new)):
        return
    if not (stays(old[0], new, env.entropy) and _opens(env, old)):
        raise NotProven(
            f"the new key is not where the old one is, though both are called {name}",
            fix="give the other one a name of its own: then two parties can order the move",
        )


def _opens(env: Environment, old: Sequence[str]) -> bool:
    """Whether the first object opens: of a server's key nothing else is known outside.

    Of the store, or else of the desk, which is sealed to the same keys. True if neither has one.
    """
    if held(old[0]).service != "openbao":
        return True
    for folder in (env.home.store, env.home.desk):
        if not folder.exists():
            continue
        store = wiring.open_store(folder, old, (), env.entropy, SignedDenials(env.ledger))
        for name in store.names()[:1]:
            try:
                with store.open(name):
                    return True
            except (NotAllowed, NotProven):
                return False
    return True


def _move(env: Environment, to: str) -> tuple[str, str, str]:
    """The key in use, who holds it, and who is to hold the next one."""
    newest = env.reread_keyring().identities()[0]
    return held(newest).key, holder_of(newest), holder_of(to)


def _said(statement: Statement) -> tuple[str, str, str]:
    body = statement.body
    return body["key"], body["from"], body["to"]
