# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The keys that open sealed objects: where they are, and new keys.

A rotation gives every object a new header; bodies are not touched. Whoever copied a header and
has its old key can still open that copy, so after a compromise `rekey` seals the bodies anew too.
Both go on where they were after a kill: the keyring holds new and old keys until the last object.
"""

import json
from collections.abc import Callable, Iterator
from typing import Any, Final

from bastide.app import wiring
from bastide.app.alone import alone
from bastide.app.config import Home
from bastide.app.denials import SignedDenials
from bastide.app.duties import require
from bastide.app.environment import Environment, open_environment
from bastide.app.orders import sign_as_parties
from bastide.app.services import running_pid
from bastide.app.store_custody import draft_move, permit_move, verify_holder
from bastide.app.store_denials import denied, letting_go, object_names
from bastide.app.store_key_entries import note_active, note_replaced, refuse_known
from bastide.app.store_move import objects
from bastide.core.denying import denies
from bastide.core.errors import Misconfigured, NotAllowed, NotProven, Refused
from bastide.core.limits import MIB
from bastide.crypto.dsse import Envelope
from bastide.ports import Reader, SealingStore

__all__ = ["rotate", "where"]

Progress = Callable[[str, int, int], None]
_SAVE_EACH: Final = 64  # headers: a kill repeats at most so many, and repeating is harmless


def where(home: Home, passphrase: str) -> dict[str, Any]:
    """Who holds the key, whether it answers, and what is sealed to. Raises Unavailable."""
    with open_environment(home, passphrase) as env:
        require(env, "read")
        names = denied(env)
    service = wiring.key_service(env.keyring.identities())
    return {
        "holds": service.health(),
        "recipients": [str(recipient) for recipient in service.recipients()],
        "rotation": json.loads(home.rotation.read_text()) if home.rotation.exists() else None,
        "denied": names,
        **objects(home),
    }


def rotate(
    home: Home,
    passphrase: str,
    to: str,
    rekey: bool,
    progress: Progress,
    order: Envelope | None = None,
) -> dict[str, Any]:
    """Give every sealed object a header for new keys, or a new file key too with `rekey`.

    `to` is `file` or a place of a key service; another holder takes the order of two parties, whom
    the keyring may hold. Raises Waiting without, Refused while the services run: they hold the old
    keys; and while any object is denied, before it has made a key.
    """
    if running_pid(home) is not None:
        raise Refused("the services run with the keys of now", fix="bastide down")
    with open_environment(home, passphrase) as env, alone(home.root, lambda: None):
        require(env, "service-key-rotate")
        _refuse_denied(env)
        state = _begin(env, passphrase, to, rekey, order)
        keyring = env.reread_keyring()
        identities = keyring.identities()
        newest, old = identities[: state["new"]], identities[state["new"] :]
        note_active(env, identities)
        counts = {"objects": 0, "bytes": 0}
        signed = SignedDenials(env.ledger)
        exits = tuple(env.ledger.charter().body["exit_recipients"])
        for folder, sealed_to in ((home.store, exits), (home.desk, ())):
            if folder.exists():
                store = wiring.open_store(folder, identities, sealed_to, env.entropy, signed)
                _renew(home, store, folder.name, state, progress, counts)
                only_new = wiring.open_store(folder, newest, sealed_to, env.entropy, signed)
                _check(only_new, store, state, progress, counts)
        # First the ledger, then the keyring: what a kill leaves undone is done by the next run.
        note_replaced(env, old, compromised=state["rekey"])
        wiring.replace_store_keys(home.keyring, passphrase, keyring, newest, env.entropy)
        home.rotation.unlink()
    return {**counts, "rekeyed": state["rekey"], "retired": len(old)}


def _refuse_denied(env: Environment) -> None:
    """A rotation opens every object: one that may not open what is there would stop half-way."""
    if not (rows := denied(env)):
        return
    names = object_names(env.home)
    against = [row for row in rows if any(denies(row["name"], one) for one in names)]
    if against:
        by_name = dict.fromkeys(row["name"] for row in against)
        raise Refused(
            "a rotation opens every object, and some may not be opened",
            reasons=[
                f"{row['name']} is denied by the {row['party']} in entry {row['entry']}"
                if row["entry"] is not None
                else f"{row['name']} is denied on this machine's list"
                for row in against
            ],
            fix=", and ".join(letting_go(env, rows, name) for name in by_name),
        )


def _begin(
    env: Environment, passphrase: str, to: str, rekey: bool, order: Envelope | None
) -> dict[str, Any]:
    """The state of the rotation under way, or of a new one: its keys are in the keyring then."""
    home = env.home
    if home.rotation.exists():
        state = json.loads(home.rotation.read_text())
        if rekey and not state["rekey"]:
            raise Refused(
                "a rotation without --rekey-data is under way",
                fix="end it first: bastide store rotate",
            )
        return state
    if order is None and (draft := draft_move(env, to, "")) is not None:
        order = sign_as_parties(env, draft, ())
    permit_move(env, to, order)
    keyring = env.reread_keyring()
    old, new = keyring.identities(), wiring.make_store_keys(to, env.entropy)
    if set(new) & set(old):
        raise Misconfigured(
            "the store's key is there already", fix="name another `object` for the new key"
        )
    verify_holder(env, old, new[0])
    refuse_known(env, new)
    wiring.replace_store_keys(home.keyring, passphrase, keyring, (*new, *old), env.entropy)
    state = {"new": len(new), "rekey": rekey, "folder": "", "after": ""}
    _save(home, state)
    return state


def _renew(
    home: Home,
    store: SealingStore,
    folder: str,
    state: dict[str, Any],
    progress: Progress,
    counts: dict[str, int],
) -> None:
    """Go through one store in the order of names, and note how far."""
    names = store.names()
    # The stores come in the order store, desk: one that was left is done.
    if state["folder"] not in ("", folder):
        if folder == "store":
            return
        state["after"] = ""
    done = [name for name in names if state["folder"] == folder and name <= state["after"]]
    what = "sealing objects anew" if state["rekey"] else "rewriting headers"
    for number, name in enumerate(names[len(done) :], start=len(done)):
        progress(what, number, len(names))
        _renew_one(store, name, state, counts)
        if state["rekey"] or number % _SAVE_EACH == 0:
            state.update(folder=folder, after=name)
            _save(home, state)
    progress(what, len(names), len(names))
    state.update(folder=folder, after=names[-1] if names else "")
    _save(home, state)


def _check(
    only_new: SealingStore,
    store: SealingStore,
    state: dict[str, Any],
    progress: Progress,
    counts: dict[str, int],
) -> None:
    """Open every header with the new keys alone, before the old ones go.

    A process that began before the rotation may have sealed to the old keys meanwhile.
    """
    names = only_new.names()
    for number, name in enumerate(names):
        progress("opening with the new key", number, len(names))
        try:
            with only_new.open(name):
                continue
        except NotAllowed:
            _renew_one(store, name, state, counts)
    progress("opening with the new key", len(names), len(names))


def _renew_one(
    store: SealingStore, name: str, state: dict[str, Any], counts: dict[str, int]
) -> None:
    if state["rekey"]:
        with store.open(name) as reader:
            counts["bytes"] += store.put(name, _pieces(reader))
    else:
        store.rewrap(name)
    counts["objects"] += 1


def _pieces(reader: Reader) -> Iterator[bytes]:
    for offset in range(0, reader.size, MIB):
        if not (piece := reader.read_at(offset, MIB)):
            raise NotProven("an object ends before its size")
        yield piece


def _save(home: Home, state: dict[str, Any]) -> None:
    wiring.replace_small(home.rotation, json.dumps(state).encode() + b"\n")
