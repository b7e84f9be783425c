# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Sessions: who has logged in at this terminal, and until when.

A session is a `login/v1` that the evidence key signed: a person, a party, and the digest of a
secret together with the terminal's session. The secret is in a file that only this user reads. It
holds while its minutes last, for the list of people by which it was made, and nowhere else:
another terminal, another user or another boot of the machine gives another digest.

It names a person for the access policies. It signs nothing.
"""

import contextlib
import os
from dataclasses import dataclass

from bastide.app.access import history
from bastide.app.config import Home
from bastide.core.errors import BastideError, NotProven
from bastide.core.evidence import Evidence, Statement
from bastide.core.people import People, Person
from bastide.core.subject import Digest, Subject
from bastide.crypto.dsse import Signer
from bastide.ledger import Ledger, statements
from bastide.ledger.times import seen_ms
from bastide.ports import Entropy

__all__ = ["KIND", "PEOPLE", "Listed", "end_session", "newest_people", "open_session", "session_at"]

KIND = "login/v1"
PEOPLE = "people/v1"
_SECRET_BYTES = 32
_MINUTE_MS = 60_000


@dataclass(frozen=True, slots=True)
class Listed:
    """A list of people in force, and the statement that it is from."""

    people: People
    statement: Evidence


def newest_people(ledger: Ledger) -> Listed | None:
    """The list in force; None if nobody has to log in. Raises NotProven."""
    if ledger.newest_of(PEOPLE) < 0:
        return None
    found = None
    for row in history(ledger, PEOPLE, "list of people"):
        found = row
    if found is None:
        return None
    people = People.from_json({name: found.body[name] for name in ("provider", "person")})
    return None if people.provider is None else Listed(people, found)


def open_session(
    home: Home,
    ledger: Ledger,
    evidence: Signer,
    entropy: Entropy,
    listed: Listed,
    person: Person,
    how: str,
    now_ms: int,
) -> Evidence:
    """Write that somebody logged in, and keep the secret for this terminal."""
    secret = entropy.token(_SECRET_BYTES)
    assert listed.people.provider is not None
    body = {
        "person": person.name,
        "party": person.party.value,
        "people": str(listed.statement.digest),
        "how": how,
        "until_ms": now_ms + listed.people.provider.minutes * _MINUTE_MS,
        "time_ms": now_ms,
    }
    statement = Statement(KIND, (Subject("login", _mark(secret)),), body)
    row = ledger.append_statement(statement, [evidence])
    home.sessions.mkdir(mode=0o700, exist_ok=True)
    for old in home.sessions.iterdir():  # of terminals that were closed
        if now_ms - old.stat().st_mtime * 1000 > 2 * 86_400_000:
            old.unlink(missing_ok=True)
    path = home.sessions / _file()
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(secret)
    return row


def end_session(home: Home) -> bool:
    """Forget the secret of this terminal: nobody has it any more. False if there was none."""
    try:
        (home.sessions / _file()).unlink()
    except FileNotFoundError:
        return False
    return True


def session_at(home: Home, ledger: Ledger, listed: Listed, now_ms: int) -> Evidence | None:
    """The session of this terminal, if it holds. Raises NotProven for one that nobody signed."""
    try:
        secret = (home.sessions / _file()).read_bytes()
    except FileNotFoundError:
        return None
    for row in ledger.find(KIND, _mark(secret)):
        entry = row.entry or 0
        register = ledger.register()
        try:
            statements.read_signed(ledger.envelope(entry), register.signing(entry))
        except BastideError as error:
            raise NotProven(f"the login of entry {entry}: {error.message}") from error
        # A clock that is set back prolongs nothing that the newest entries have seen.
        holds = row.body["time_ms"] <= now_ms and seen_ms(ledger, now_ms) < row.body["until_ms"]
        current = row.body["people"] == str(listed.statement.digest)
        return row if holds and current and register.counts(row) else None
    return None


def _mark(secret: bytes) -> Digest:
    return Digest.of(b"bastide login v1\0" + secret + b"\0" + _terminal())


def _file() -> str:
    return Digest.of(_terminal()).hex[:32]


def _terminal() -> bytes:
    """What the kernel says of the session that we are in: user, boot, its leader and start."""
    leader = os.getsid(0)
    told = [str(os.getuid()), _read("/proc/sys/kernel/random/boot_id"), str(leader)]
    # proc_pid_stat(5): after the name in brackets, the start is the 20th; ids are used again.
    told += _read(f"/proc/{leader}/stat").rpartition(")")[2].split()[19:20]
    return "\0".join(told).encode()


def _read(path: str) -> str:
    with contextlib.suppress(OSError), open(path, encoding="ascii", errors="replace") as file:  # noqa: PTH123
        return file.read().strip()
    return ""
