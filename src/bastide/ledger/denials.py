# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Denials: what a party lets nobody open, and who lets it be opened again, by the entries alone.

Each party may deny, with one key and by itself. What is denied is opened again by the guardian,
and by the firm as well if the firm denied it: an owner's denial is the owner's to take back. No
emergency does it. The statement names the newest denial that it ends, so that one which was signed
and kept, or used before, ends no later denial.

An end counts as long as its signatures count. If one of its keys is suspended, or was compromised,
what it ended is denied again, and another end takes its place. The door, every reader and the audit
ask this of one rule (`DenialLog.now`) with the keys as they stand at that entry.

A `load/v1` is a decryption. One of a denied object is refused at the door, and an audit that finds
one has found somebody who wrote past the door.
"""

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from bastide.core.canonical import canonical
from bastide.core.denying import denies
from bastide.core.errors import NotProven, Refused
from bastide.core.evidence import Evidence
from bastide.core.party import Party
from bastide.core.register import Register
from bastide.core.subject import Digest, Subject
from bastide.ledger.once import Find, Once

__all__ = [
    "DENIAL",
    "DENIAL_END",
    "DENIAL_KINDS",
    "DenialLog",
    "Denials",
    "denial_subject",
    "enders",
    "objects_of",
]

DENIAL: Final = "denial/v1"
DENIAL_END: Final = "denial-end/v1"
DENIAL_KINDS: Final = (DENIAL, DENIAL_END)


@dataclass(frozen=True, slots=True)
class Denials:
    """What is denied: by name, the denials since it was last let go, oldest first."""

    standing: dict[str, list[Evidence]]

    def against(self, objects: Iterable[str]) -> list[Evidence]:
        """The newest denial of each name that is the name, or the beginning, of some objects."""
        known = list(objects)
        return [
            rows[-1]
            for name, rows in self.standing.items()
            if any(denies(name, one) for one in known)
        ]


@dataclass(slots=True)
class DenialLog:
    """What was denied and let go in some entries, whose signatures hold: by name, oldest first."""

    said: dict[str, list[Evidence]] = field(default_factory=dict)
    once: Once = field(default_factory=Once)  # a denial that was let go is not said again by others
    _now: tuple[Register, Denials] | None = None  # by which keys, until more is said

    def follow(self, row: Evidence) -> None:
        """Take up an entry."""
        if row.kind == DENIAL_END or (row.kind == DENIAL and self.once.take(row)):
            self.said.setdefault(row.body["name"], []).append(row)
            self._now = None

    def now(self, register: Register) -> Denials:
        """What is denied after these entries, by what became of the keys."""
        known = self._now
        if known is None or known[0] is not register:
            left = {name: _left(rows, register) for name, rows in self.said.items()}
            known = register, Denials({name: rows for name, rows in left.items() if rows})
            self._now = known
        return known[1]

    def verify(self, row: Evidence, register: Register, find: Find) -> None:
        """Check a statement of DENIAL_END, or a load, against what came before.

        Its signatures hold already. Raises NotProven for a missing signature, Refused for an end
        of what is not denied now, and for a load of what is.
        """
        if row.kind == DENIAL_END:
            name = row.body["name"]
            _verify_end(row, _left(self.said.get(name, ()), register), register)
        elif row.kind == "load/v1" and self.said and (denied := self.now(register)).standing:
            _verify_load(row, denied, find)


def denial_subject(name: str) -> Subject:
    """The subject of every statement about a denied name."""
    return Subject(name, Digest.of(canonical({"denial": name})))


def enders(deniers: Iterable[str | None]) -> list[Party]:
    """The parties whose signatures it takes to end what these denied, the guardian first."""
    return [Party.GUARDIAN, Party.FIRM] if Party.FIRM in deniers else [Party.GUARDIAN]


def objects_of(find: Find, deployment: Digest) -> set[str]:
    """The sealed objects that a deployment opens: weights, and its release's signature."""
    names: set[str] = set()
    for row in find("deployment/v1", deployment):
        about = Digest.parse(row.body["deployment"]["release"])
        for released in find("release/v1", about):
            if released.subject.digest != about:  # a model's digest names no release
                continue
            names.add(f"releases/{about.hex}/model.sig")
            for admission in find("admission/v1", Digest.parse(released.body["release"]["model"])):
                names.update(one["object"] for one in admission.body["objects"])
    return names


def _left(rows: Iterable[Evidence], register: Register) -> list[Evidence]:
    """The denials of one name that no end after them has ended."""
    left: list[Evidence] = []
    for row in rows:
        if row.kind == DENIAL:  # it counts whatever became of its key: it only takes away
            left.append(row)
        elif register.counts(row):
            with contextlib.suppress(NotProven, Refused):
                _verify_end(row, left, register)
                left = []
    return left


def _verify_end(row: Evidence, standing: list[Evidence], register: Register) -> None:
    name = row.body["name"]
    if not standing:
        raise Refused(f"nothing in the ledger denies {name} now", fix="bastide store where")
    if row.body["denial"] != str(standing[-1].digest):
        raise Refused(
            f"this ends the denial {row.body['denial']} of {name}, and in force is"
            f" {standing[-1].digest}",
            fix="make it again: who signs should see which denial it ends",
        )
    keys = register.known()
    given = {keys[ident].party for ident in row.signers if ident in keys}
    wanted = enders(one.body["party"] for one in standing)
    if missing := sorted(set(wanted) - given):
        had = ", ".join(sorted(party for party in given if party)) or "no party"
        raise NotProven(
            f"to let {name} be opened again takes the signature of the"
            f" {' and the '.join(missing)} too, and it has those of: {had}"
        )


def _verify_load(row: Evidence, denied: Denials, find: Find) -> None:
    objects = objects_of(find, Digest.parse(row.body["deployment"]))
    for admission in find("admission/v1", Digest.parse(row.body["model"])):
        objects.update(one["object"] for one in admission.body["objects"])
    if against := denied.against(objects):
        name, entry = against[0].body["name"], against[0].entry
        raise Refused(f"a load of what entry {entry} denies to everybody: {name}")
