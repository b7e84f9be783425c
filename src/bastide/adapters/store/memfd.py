# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Decrypt an object into memory that nobody can change any more.

The content goes into an anonymous file (memfd_create(2)) and never touches a disk. It is decrypted,
hashed and written on three threads at once: each of these takes about as long as the others, and
none holds the interpreter's lock for long. The file is handed out only if its digest is the
expected one, sealed so that not even this process can change it.
"""

import fcntl
import hashlib
import os
import queue
import threading
from collections.abc import Callable
from contextlib import ExitStack
from typing import Final

from bastide.adapters.store.filling import FillingReader
from bastide.core.errors import NotProven, Unavailable
from bastide.core.limits import MIB
from bastide.core.subject import Digest
from bastide.ports import Reader, SealingStore

__all__ = ["create_memfd", "decrypt_to_memfd"]

_STEP_BYTES: Final = MIB // 2
_BUFFERS: Final = 6  # one for each stage, and as many to smooth their differences
_SEALS: Final = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL


# A buffer, and how much of it is filled.
_Piece = tuple[bytearray, int]


def create_memfd() -> int:
    """Return a descriptor over an empty anonymous file that can be sealed."""
    return os.memfd_create("bastide", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)


def decrypt_to_memfd(
    store: SealingStore,
    name: str,
    expect: Digest,
    size: int,
    progress: Callable[[int, int], None] | None = None,
    into: int | None = None,
) -> int:
    """Return a descriptor over the content of an object, sealed against every change.

    It is `into`, an empty one of `create_memfd`, if that is given; that stays the caller's also
    when this fails. Raises NotProven if the size or digest is another, Unavailable if there is not
    enough memory.
    """
    descriptor = create_memfd() if into is None else into
    with ExitStack() as failing:
        if into is None:
            failing.callback(os.close, descriptor)
        with store.open(name) as reader:
            if reader.size != size:
                raise NotProven(f"{name} has {reader.size} bytes, not the admitted {size}")
            digest = _fill_memfd(descriptor, reader, name, progress)
        if digest != expect:
            raise NotProven(f"{name} has the digest {digest}, not {expect}")
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, _SEALS)
        os.lseek(descriptor, 0, os.SEEK_SET)
        failing.pop_all()
    return descriptor


def _fill_memfd(
    descriptor: int, reader: Reader, name: str, progress: Callable[[int, int], None] | None
) -> Digest:
    try:
        return _fill(descriptor, reader, progress)
    except (OSError, MemoryError) as error:
        raise Unavailable(
            f"{name} needs {reader.size} bytes of memory and did not get them: {error}",
            fix="free memory, or raise the memory limit of this process",
        ) from error


def _fill(descriptor: int, reader: Reader, progress: Callable[[int, int], None] | None) -> Digest:
    # Three stages, each on its own thread: decrypt (here), hash, write. Buffers go round.
    state = hashlib.sha256()
    free: queue.SimpleQueue[_Piece | None] = queue.SimpleQueue()
    for _ in range(_BUFFERS):
        free.put((bytearray(_STEP_BYTES), 0))
    writing = _Stage("write", lambda view: _write(descriptor, view), free)
    hashing = _Stage("hash", state.update, writing.inbox)
    total = reader.size
    try:
        for offset in range(0, total, _STEP_BYTES):
            piece = free.get()
            assert piece is not None
            buffer, length = piece[0], min(_STEP_BYTES, total - offset)
            _read(reader, offset, memoryview(buffer)[:length])
            hashing.inbox.put((buffer, length))
            if progress is not None:
                progress(offset + length, total)
            if writing.error is not None:
                break
    finally:
        hashing.inbox.put(None)
        hashing.join()
        writing.join()
    if writing.error is not None:
        raise writing.error
    return Digest(state.hexdigest())


def _read(reader: Reader, offset: int, view: memoryview) -> None:
    if isinstance(reader, FillingReader):
        count = reader.read_into(offset, view)
    else:
        data = reader.read_at(offset, len(view))
        count = len(data)
        view[:count] = data
    if count != len(view):
        raise NotProven(f"the content ends at byte {offset + count}")


def _write(descriptor: int, view: memoryview) -> None:
    while view:
        view = view[os.write(descriptor, view) :]


class _Stage:
    """A thread that does one thing to every piece, in order, and passes it on.

    After an error it only passes on, so that nobody waits for ever; None ends it.
    """

    def __init__(
        self,
        name: str,
        deed: Callable[[memoryview], None],
        then: "queue.SimpleQueue[_Piece | None]",
    ) -> None:
        self.inbox: queue.SimpleQueue[_Piece | None] = queue.SimpleQueue()
        self.error: Exception | None = None
        self._deed = deed
        self._then = then
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def join(self) -> None:
        self._thread.join()

    def _run(self) -> None:
        while (piece := self.inbox.get()) is not None:
            buffer, length = piece
            if self.error is None:
                try:
                    self._deed(memoryview(buffer)[:length])
                except Exception as error:  # the starter raises it
                    self.error = error
            self._then.put(piece)
        self._then.put(None)
