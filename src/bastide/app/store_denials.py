# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Use cases about openings of sealed objects: who opened what, what nobody may open.

A denial is a party's statement in the ledger, and so is its end (`ledger/denials.py`): who holds
the machine can remove neither unseen. The names stand in a file of the home as well, which stops
at once what has no database, and stops what nobody has signed: while the environment is locked or
its ledger damaged, and where no party's key is at hand. A file binds programs, not who owns it.

The policies are in the ledger, which is sealed itself. What is locked can still be stopped: then
denying, and reading the record, ask nobody. They take away, or show what this user's own files
say; to let something be opened again takes the ledger, always.
"""

import contextlib
import json
import shlex
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from bastide.app import wiring
from bastide.app.config import Home
from bastide.app.deciding import acting, read_signed_draft
from bastide.app.duties import require
from bastide.app.enrolment import read_draft
from bastide.app.environment import Environment
from bastide.app.orders import sign_as_parties
from bastide.core.denying import EVERYTHING, denies
from bastide.core.errors import BastideError, Misconfigured, NotProven
from bastide.core.evidence import Evidence, Statement
from bastide.core.party import Party
from bastide.crypto import dsse
from bastide.crypto.dsse import Envelope, Signer
from bastide.ledger import Ledger, field_checks
from bastide.ledger.denials import (
    DENIAL,
    DENIAL_END,
    denial_subject,
    enders,
    objects_of,
)
from bastide.ledger.statements import check_shape

__all__ = [
    "allow",
    "carry_allowance",
    "carry_denial",
    "carry_denial_locked",
    "denied",
    "deny",
    "deny_locked",
    "draft_allowance",
    "draft_denial",
    "letting_go",
    "object_names",
    "openings",
    "openings_locked",
    "taken_in",
]

_LAST_MS: Final = 253_402_300_800_000  # the year 10000, which no date can say
# What each line of the record of openings says.
_OPENING: Final[dict[str, Callable[[Any], bool]]] = {
    "time_ms": lambda value: field_checks.count(value) and value < _LAST_MS,
    "object": lambda value: isinstance(value, str) and value.isprintable(),
    "key": lambda value: isinstance(value, str) and value.isprintable(),
    "process": field_checks.count,
    "outcome": field_checks.one_of("asked", "denied", "failed", "foreign"),
}
# Whose held key signs where one person holds all: whose denial its own party can end.
_HELD: Final = (Party.GUARDIAN, Party.OPERATOR, Party.FIRM)


def openings(env: Environment, limit: int) -> tuple[list[dict[str, Any]], list[str]]:
    """The newest lines of the record of openings, oldest first, and those that are none of ours."""
    require(env, "read")
    return openings_locked(env.home, limit)


def openings_locked(home: Home, limit: int) -> tuple[list[dict[str, Any]], list[str]]:
    """The same of an environment that cannot be opened, so that nobody can be asked.

    A line of another kind hides none of those beside it: it is named, `FILE line N`, as often as
    `limit` says.
    """
    newest: deque[dict[str, Any]] = deque(maxlen=limit)
    foreign: deque[str] = deque(maxlen=limit)
    for path in (home.openings.with_name(home.openings.name + ".1"), home.openings):
        if not path.exists():
            continue
        with path.open(errors="replace") as lines:
            for number, line in enumerate(lines, start=1):
                # A line without an end may be on its way; an empty one ends a torn one.
                if (row := _opening(line)) is not None:
                    newest.append(row)
                elif line.strip() and line.endswith("\n"):
                    foreign.append(f"{path} line {number}")
    return list(newest), list(foreign)


def _opening(line: str) -> dict[str, Any] | None:
    """What a line of the record says, or None if no `WatchedKeys` wrote it whole."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(row, dict) or row.keys() != _OPENING.keys() or not line.endswith("\n"):
        return None
    return row if all(holds(row[field]) for field, holds in _OPENING.items()) else None


def denied(env: Environment) -> list[dict[str, Any]]:
    """What nobody may open: `name`, and `party`, `entry` and `reason` of each who signed.

    These are null of what stands in the file alone.
    """
    standing = env.ledger.denials().standing
    rows = [
        {"name": name, **{key: row.body[key] for key in ("party", "reason")}, "entry": row.entry}
        for name, signed in standing.items()
        for row in signed
    ]
    return rows + _unsigned(name for name in _listed(env.home) if name not in standing)


def letting_go(env: Environment, rows: Sequence[dict[str, Any]], name: str) -> str:
    """The command that ends what `denied` says of a name, with the keys that it takes."""
    wanted = enders(row["party"] for row in rows if row["name"] == name)
    held = env.party_signers()
    keys = "".join(f" --key {party}.key" for party in wanted if party not in held)
    return f"bastide store allow {shlex.quote(name)}{keys}"


def deny(env: Environment, names: Sequence[str], reason: str) -> list[dict[str, Any]]:
    """Let nobody open objects of these names, or that begin so; ``*`` is all. It holds at once.

    It is signed with the given key, or under `solo` with a held one; without either it stands in
    the file alone. It does so, too, where the policies in the ledger do not hold: forging them
    must stop no stop. A name that no object has yet is taken, too: `taken_in` tells. Raises
    Misconfigured for one that none can have, and then denies nothing.
    """
    names = _checked(names)
    signer = _signer(env)
    asking = acting(env) if signer is not None else env
    with contextlib.suppress(NotProven):
        _require_each(asking, "store-deny", names)
    drafts = []
    if signer is not None:
        assert signer.public.party is not None
        party = Party(signer.public.party)
        drafts = [_denial(env, name, party, reason) for name in names]
    deny_locked(env.home, names)
    for statement in drafts:
        assert signer is not None
        env.ledger.append([dsse.sign(statement.payload(), [signer])])
    return denied(env)


def deny_locked(home: Home, names: Sequence[str]) -> list[dict[str, Any]]:
    """The same of an environment that cannot be opened: a stop must not wait for a passphrase."""
    names, listed = _checked(names), _listed(home)
    listed += [name for name in names if name not in listed]
    wiring.deny_list(home.denied).write(listed)
    return _unsigned(listed)


def carry_denial_locked(home: Home, text: str) -> tuple[str, list[dict[str, Any]]]:
    """The name that a denial from elsewhere speaks of, on this machine's list for now.

    No ledger says whose signatures it has: it only takes away, as what nobody signed does.
    """
    _, statement = read_draft(text)
    if statement.kind != DENIAL:
        raise Misconfigured(f"not a {DENIAL} but a {statement.kind}", fix="give another file")
    check_shape(statement)
    name = statement.body["name"]
    return name, deny_locked(home, [name])


def draft_denial(env: Environment, name: str, party: Party, reason: str) -> Envelope:
    """A denial that a party signs elsewhere. Raises Misconfigured."""
    require(env, "read")
    return Envelope(_denial(env, name, party, reason).payload(), ())


def carry_denial(env: Environment, text: str) -> tuple[str, list[dict[str, Any]]]:
    """Put a denial into force that was signed elsewhere: its name, and what is denied then.

    Raises NotProven if its party did not sign it, Refused if it is too old, or there already.
    """
    signed, statement = read_signed_draft(env, text, DENIAL)
    name = statement.body["name"]
    with contextlib.suppress(NotProven):
        _require_each(acting(env, signed), "store-deny", [name])
    env.ledger.append([signed])
    deny_locked(env.home, [name])
    return name, denied(env)


def taken_in(home: Home, names: Iterable[str], ledger: Ledger | None) -> list[dict[str, Any]]:
    """What names take in now: `objects`, how many, and `deployments`, whose objects those are.

    `objects` is null where the store cannot be listed, `deployments` while the ledger is locked. Of
    a name that takes in nothing, `known` are the beginnings that objects have.
    """
    held = None
    with contextlib.suppress(BastideError):  # a stop does not fail since this cannot be told
        held = object_names(home)
    rows: list[dict[str, Any]] = []
    for name in dict.fromkeys(names):
        count = None if held is None else sum(denies(name, one) for one in held)
        row = {"name": name, "objects": count, "deployments": _opened_by(ledger, name)}
        if held is not None and count == 0:
            row["known"] = sorted({one.partition("/")[0] + "/" for one in held})
        rows.append(row)
    return rows


def object_names(home: Home) -> list[str]:
    """The names of all sealed objects, the desk's too. Raises Unavailable."""
    keys = wiring.make_store_keys("file", wiring.entropy())  # any: to list opens nothing
    found: list[str] = []
    for folder in (home.store, home.desk):
        if folder.exists():
            found += wiring.open_store(folder, keys, (), wiring.entropy(), tuple).names()
    return found


def _opened_by(ledger: Ledger | None, name: str) -> list[str] | None:
    if ledger is None:
        return None
    active = ledger.deployments(active=True)
    return sorted(
        {
            row.subject.name
            for row in active
            if any(denies(name, one) for one in objects_of(ledger.find, row.subject.digest))
        }
    )


def allow(
    env: Environment, names: Sequence[str], reason: str, given: Sequence[Signer]
) -> list[dict[str, Any]]:
    """Let objects be opened again, signed with the given keys or under `solo` with all held ones.

    Raises Misconfigured for a name that nothing denies, NotProven if a signature is missing.
    """
    standing, listed = env.ledger.denials().standing, _listed(env.home)
    names = tuple(dict.fromkeys(names))
    for name in names:
        if name in standing:
            continue  # its end has signatures of its own
        _require_each(env, "store-allow", [name])
        if name not in listed:
            known = ", ".join(dict.fromkeys((*standing, *listed))) or "nothing"
            raise Misconfigured(f"{name} is not denied", fix=f"denied: {known}")
    for name in names:
        if name in standing:
            draft = Envelope(_end(env, name, reason).payload(), ())
            _end_denial(env, sign_as_parties(env, draft, given), name)
        _unlist(env.home, name)
    return denied(env)


def draft_allowance(env: Environment, name: str, reason: str) -> Envelope:
    """The end of a denial, for parties to sign elsewhere. Raises Misconfigured."""
    require(env, "read")
    if name not in env.ledger.denials().standing:
        raise Misconfigured(f"nothing in the ledger denies {name}", fix="bastide store where")
    return Envelope(_end(env, name, reason).payload(), ())


def carry_allowance(env: Environment, text: str) -> list[dict[str, Any]]:
    """End a denial by the statement that parties signed elsewhere. Raises what `allow` does."""
    signed, statement = read_signed_draft(env, text, DENIAL_END)
    name = statement.body["name"]
    _end_denial(env, signed, name)
    _unlist(env.home, name)
    return denied(env)


def _end_denial(env: Environment, signed: Envelope, name: str) -> None:
    _require_each(acting(env, signed), "store-allow", [name])
    env.ledger.append([signed])


def _signer(env: Environment) -> Signer | None:
    """Who signs a denial: the key that was given, or one that is held."""
    if env.claim is not None:
        return env.claim.signer
    held = env.party_signers()
    return next((held[party] for party in _HELD if party in held), None)


def _denial(env: Environment, name: str, party: Party, reason: str) -> Statement:
    _checked([name])
    body = {"name": name, "party": party.value, "reason": reason}
    return _made(env, DENIAL, name, body)


def _end(env: Environment, name: str, reason: str) -> Statement:
    newest: Evidence = env.ledger.denials().standing[name][-1]
    body = {"name": name, "denial": str(newest.digest), "reason": reason}
    return _made(env, DENIAL_END, name, body)


def _made(env: Environment, kind: str, name: str, said: dict[str, Any]) -> Statement:
    body = {**said, "time_ms": env.clock.now_ms()}
    statement = Statement(kind, (denial_subject(name),), body)
    check_shape(statement)
    return statement


def _checked(names: Sequence[str]) -> tuple[str, ...]:
    """Each name once. Raises Misconfigured for one that no object's name can begin with."""
    for name in names:
        if not field_checks.beginning(name):
            raise Misconfigured(
                f"no object's name can begin with {name[:80]!r}: nothing is denied",
                fix="names are of a-z, 0-9, '.', '_', '-' and '/', as `models/`; '*' is all",
                place="names",
            )
    return tuple(dict.fromkeys(names))


def _listed(home: Home) -> list[str]:
    return list(wiring.deny_list(home.denied).read())


def _unlist(home: Home, name: str) -> None:
    listed = _listed(home)
    if name in listed:
        wiring.deny_list(home.denied).write([one for one in listed if one != name])


def _unsigned(names: Iterable[str]) -> list[dict[str, Any]]:
    return [{"name": name, "party": None, "reason": None, "entry": None} for name in names]


def _require_each(env: Environment, action: str, names: Sequence[str]) -> None:
    """Ask for each name. Of `*` the environment is asked: it is everything."""
    for name in names or (EVERYTHING,):
        require(env, action, None if name == EVERYTHING else name)
