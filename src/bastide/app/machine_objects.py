# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Bodies of sealed objects, brought from control to a machine piece by piece.

What comes opens with nothing that is on the machine's disk: the header, which a runner got for its
quoted key, stays in that runner's memory. A fetch that was cut goes on where it was; a body's name
is of one write, so what is there is never of another version. Whether it is right, loading proves
(app/loading.py). What no deployment of the machine needs any more is removed, and everything once
control says that the machine counts no more.
"""

import asyncio
import contextlib
import fcntl
import os
from collections.abc import Generator, Mapping, Set
from pathlib import Path
from typing import Any

from bastide.app import wiring_store
from bastide.app.clients import Asked
from bastide.app.config import Home
from bastide.app.node_broker import objects_of
from bastide.core.errors import Unavailable
from bastide.core.limits import OBJECT_PIECE_BYTES, OBJECT_PIECES_AT_ONCE
from bastide.core.subject import Digest
from bastide.ledger import Ledger
from bastide.stages import deploy

__all__ = ["drop_all", "drop_bodies", "drop_unneeded", "fetch_bodies"]


async def fetch_bodies(
    control: Asked, home: Home, deployment: str, headers: Mapping[str, bytes]
) -> int:
    """Bring what the headers name and is not here; bytes that came.

    Bodies that an object had before are removed. Raises what control answers, and Unavailable for
    a disk that takes no more.
    """
    came = 0
    for name, header in headers.items():
        body = wiring_store.body_name(name, header)
        came += await _fetch(control, home, deployment, body)
        for old in _bodies(home, name):
            if old.name != body.rpartition("/")[2]:
                old.unlink(missing_ok=True)
        for begun in _begun(home, name).glob("*"):
            begun.unlink(missing_ok=True)
    return came


def drop_unneeded(home: Home, ledger: Ledger, machine: str) -> int:
    """Remove bodies, and beginnings of them, that no deployment on this machine needs; how many.

    Call it when no runner of another deployment fetches. Raises NotProven, NotFound for a ledger
    that does not say what they need: then all stays.
    """
    rows = [row for row in deploy.active(ledger) if deploy.plan_of(row).machine == machine]
    return _drop_but(home, {name for row in rows for name in objects_of(ledger, row)})


def drop_all(home: Home) -> int:
    """Remove all bodies, and beginnings of them, of a machine that counts no more; how many."""
    return _drop_but(home, set())


def _drop_but(home: Home, needed: Set[str]) -> int:
    gone = [path for path in home.store.rglob("*.body") if _object(home, path) not in needed]
    kept = {_begun(home, name) for name in needed}
    gone += [path for path in _fetched(home).glob("*/*") if path.parent not in kept]
    for path in gone:
        path.unlink(missing_ok=True)
    return len(gone)


def drop_bodies(home: Home, headers: Mapping[str, bytes]) -> None:
    """Remove what was brought: it did not prove to be right, and another fetch may."""
    for name in headers:
        for body in _bodies(home, name):
            body.unlink(missing_ok=True)


async def _fetch(control: Asked, home: Home, deployment: str, name: str) -> int:
    target = home.store / name
    if target.exists():
        return 0
    of, _, write = name.removesuffix(".body").rpartition(".")
    part = _begun(home, of) / write
    with _disk(part):
        part.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    came = 0
    async with _held(part) as descriptor:
        if target.exists():  # another replica's runner was quicker
            return 0
        at, size = os.fstat(descriptor).st_size, None
        while size is None or at < size:
            wanted = range(at, at + OBJECT_PIECE_BYTES * OBJECT_PIECES_AT_ONCE, OBJECT_PIECE_BYTES)
            asked = [{"deployment": deployment, "name": name, "at": place} for place in wanted]
            # One alone first: it tells how many there are.
            some = asked if size is not None else asked[:1]
            begun = at
            for piece in await asyncio.gather(*(control.ask("object", row) for row in some)):
                size = piece["size"]
                at += len(piece["data"])
                came += len(piece["data"])
                with _disk(part):
                    await asyncio.to_thread(_append, descriptor, piece["data"])
            if at == begun and at < (size or 0):
                raise Unavailable(f"control's copy of {name} ends before its {size} bytes")
        with _disk(target):
            await asyncio.to_thread(_publish, descriptor, part, target)
    return came


@contextlib.asynccontextmanager
async def _held(part: Path) -> Any:
    """A partial file, while no other runner of this machine writes it."""
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
    with _disk(part):
        descriptor = os.open(part, flags, 0o600)
    try:
        await asyncio.to_thread(fcntl.flock, descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)


def _append(descriptor: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(descriptor, left) :]


def _publish(descriptor: int, part: Path, target: Path) -> None:
    os.fsync(descriptor)
    part.rename(target)
    folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _fetched(home: Home) -> Path:
    return home.machine / "fetched"


def _begun(home: Home, name: str) -> Path:
    """The folder of what has come of an object's bodies."""
    return _fetched(home) / Digest.of(name.encode()).hex


def _object(home: Home, body: Path) -> str:
    """Whose body it is: `NAME.WRITE.body`."""
    return body.relative_to(home.store).as_posix().removesuffix(".body").rpartition(".")[0]


def _bodies(home: Home, name: str) -> list[Path]:
    path = home.store / name
    return [row for row in path.parent.glob(f"{path.name}.*.body") if row.is_file()]


@contextlib.contextmanager
def _disk(path: Path) -> Generator[None]:
    try:
        yield
    except OSError as error:
        raise Unavailable(
            f"{path} cannot be written: {error.strerror}", fix="free space on this machine"
        ) from error
