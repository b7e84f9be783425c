# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Every opening is an event, and the owner can deny it: a decorator of key services.

Before a key service is asked, one line of JSON goes to the record of openings:

    {"time_ms": 1795701234567, "object": "models/...", "key": "SoftHSM v2 ...", "process": 4711,
     "outcome": "asked"}

If the line cannot be written, nothing is opened. `denied`, `failed` and `foreign` (sealed to other
keys) are lines, too.
The deny list is a text file: one object name, or the beginning of one, a line; ``*`` is all. A
list that is there and cannot be read denies everything. What parties denied in the ledger counts
beside it, so that a file which is gone opens nothing that they denied.
"""

import contextlib
import json
import os
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path

from bastide.adapters.keys.durable import write_over
from bastide.core.denying import denies
from bastide.core.errors import BastideError, Refused, Unavailable
from bastide.core.limits import KEY_EVENTS_BYTES_MAX
from bastide.crypto import age
from bastide.ports import Clock, DenyList, KeyService

__all__ = ["ChainedKeys", "DenyFile", "WatchedKeys"]


class ChainedKeys:
    """Several key services as one, newest first: while a store moves from one to the next."""

    def __init__(self, services: Sequence[KeyService]) -> None:
        self._services = tuple(services)

    @property
    def name(self) -> str:
        """The names of all."""
        return ", then ".join(service.name for service in self._services)

    def recipients(self) -> tuple[age.Recipient, ...]:
        """Those of all, newest first."""
        return tuple(found for service in self._services for found in service.recipients())

    def unwrap(self, stanzas: Sequence[age.Stanza], what: str) -> bytes | None:
        """What the first service that fits gives."""
        for service in self._services:
            if (file_key := service.unwrap(stanzas, what)) is not None:
                return file_key
        return None

    def health(self) -> str:
        """All of them must answer."""
        return ", then ".join(service.health() for service in self._services)


class DenyFile:
    """The deny list as a file, and what others say beside it.

    Whoever can write the home can change the file. `also` is what parties denied in the ledger, as
    the process that opens knows it; it raises what keeps it from knowing.
    """

    def __init__(self, path: Path, also: Callable[[], Sequence[str]] = tuple) -> None:
        self._path = path
        self._also = also

    def read(self) -> tuple[str, ...]:
        """The list, and what is denied beside it. Raises Unavailable if it cannot be read."""
        return (*self._lines(), *self._also())

    def _lines(self) -> tuple[str, ...]:
        try:
            lines = self._path.read_text().splitlines()
        except FileNotFoundError:
            return ()
        except (OSError, UnicodeDecodeError) as error:
            raise Unavailable(
                f"the deny list {self._path} cannot be read, so nothing is opened",
                fix="make it a readable text file, or remove it",
            ) from error
        return tuple(line.strip() for line in lines if line.strip())

    def write(self, names: Sequence[str]) -> None:
        """Put another in its place. Raises Unavailable if the disk is full."""
        write_over(self._path, "".join(f"{name}\n" for name in names).encode())


class WatchedKeys:
    """Records every opening in `events` before it happens, and obeys the deny list."""

    def __init__(self, inner: KeyService, events: Path, denied: DenyList, clock: Clock) -> None:
        self._inner = inner
        self._events = events
        self._denied = denied
        self._clock = clock

    @property
    def name(self) -> str:
        """That of the service inside."""
        return self._inner.name

    def recipients(self) -> tuple[age.Recipient, ...]:
        """Those of the service inside."""
        return self._inner.recipients()

    def unwrap(self, stanzas: Sequence[age.Stanza], what: str) -> bytes | None:
        """As the service inside. Raises Refused for what the owner denies."""
        denied = self._denied.read()
        if against := [one for one in denied if denies(one, what)]:
            self._record(what, "denied")
            names = " ".join(shlex.quote(name) for name in dict.fromkeys(against))
            raise Refused(
                f"the owner denies the opening of {what}",
                fix="with the guardian's key, and the firm's too if `bastide store where` says that"
                f" the firm denied it: bastide store allow {names}",
            )
        self._record(what, "asked")
        try:
            file_key = self._inner.unwrap(stanzas, what)
        except BastideError:
            self._record(what, "failed")
            raise
        if file_key is None:
            self._record(what, "foreign")
        return file_key

    def health(self) -> str:
        """As the service inside."""
        return self._inner.health()

    def _record(self, what: str, outcome: str) -> None:
        row = {
            "time_ms": self._clock.now_ms(),
            "object": what,
            "key": self.name,
            "process": os.getpid(),
            "outcome": outcome,
        }
        line = (json.dumps(row) + "\n").encode()
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            self._events.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(self._events, flags, 0o600)
            try:
                # A line that was torn when the disk was full must not take this one with it.
                size = os.fstat(descriptor).st_size
                if size and os.pread(descriptor, 1, size - 1) != b"\n":
                    line = b"\n" + line
                # One short write in append mode: lines of several processes do not mix.
                written = os.write(descriptor, line)
                full = os.fstat(descriptor).st_size > KEY_EVENTS_BYTES_MAX
            finally:
                os.close(descriptor)
            if full:
                # Another process may just have put the full record aside.
                with contextlib.suppress(FileNotFoundError):
                    self._events.replace(self._events.with_name(self._events.name + ".1"))
        except OSError as error:
            raise _unwritten(self._events, error.strerror or "") from error
        if written != len(line):
            raise _unwritten(self._events, "the disk is full")


def _unwritten(path: Path, reason: str) -> Unavailable:
    return Unavailable(
        f"the opening cannot be recorded in {path} ({reason}), so nothing is opened",
        fix="free disk space, or mend its permissions",
    )
