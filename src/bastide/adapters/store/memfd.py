# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Decrypt an object into memory that nobody can change any more.

The content goes into an anonymous file (memfd_create(2)) and never touches a disk. It is hashed
on a second thread while it is decrypted: hashing takes longer than decrypting, and neither holds
the interpreter's lock. The file is sealed, then handed out only if its digest is the expected one.
"""

import fcntl
import hashlib
import os
import queue
import threading
from collections.abc import Callable
from typing import Final, Protocol, runtime_checkable

from bastide.core.errors import NotProven, Unavailable
from bastide.core.limits import MIB
from bastide.core.subject import Digest
from bastide.ports import Reader, SealingStore

__all__ = ["decrypt_to_memfd"]

_STEP_BYTES: Final = MIB
_BUFFERS: Final = 4  # one being filled, one being hashed, two to smooth the difference
_SEALS: Final = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL


@runtime_checkable
class _Filling(Protocol):
    """A reader that can decrypt straight into a buffer."""

    def read_into(self, offset: int, buffer: memoryview) -> int: ...


def decrypt_to_memfd(
    store: SealingStore,
    name: str,
    expect: Digest,
    size: int,
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """Return a descriptor over the content of an object, sealed against every change.

    Raises NotProven if its size or digest is another, Unavailable if there is not enough memory.
    The caller closes the descriptor.
    """
    with store.open(name) as reader:
        if reader.size != size:
            raise NotProven(f"{name} has {reader.size} bytes, not the {size} that were admitted")
        descriptor = os.memfd_create("bastide", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            digest = _fill(descriptor, reader, progress)
            if digest != expect:
                raise NotProven(f"{name} has the digest {digest}, not {expect}")
            fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, _SEALS)
            os.lseek(descriptor, 0, os.SEEK_SET)
        except (OSError, MemoryError) as error:
            os.close(descriptor)
            raise Unavailable(
                f"{name} needs {size} bytes of memory and did not get them: {error}",
                fix="free memory, or raise the memory limit of this process",
            ) from error
        except BaseException:
            os.close(descriptor)
            raise
    return descriptor


def _fill(descriptor: int, reader: Reader, progress: Callable[[int, int], None] | None) -> Digest:
    hashing = _Hashing()
    total = reader.size
    try:
        for offset in range(0, total, _STEP_BYTES):
            buffer = hashing.take_free()
            view = memoryview(buffer)[: min(_STEP_BYTES, total - offset)]
            _read(reader, offset, view)
            hashing.give(buffer, len(view))
            _write(descriptor, view)
            if progress is not None:
                progress(offset + len(view), total)
    finally:
        digest = hashing.finish()
    return digest


def _read(reader: Reader, offset: int, view: memoryview) -> None:
    if isinstance(reader, _Filling):
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


class _Hashing:
    """A thread that hashes buffers in order and hands them back.

    A buffer comes back only when it is hashed; its writer has let go of it by then, because it
    takes the next one after its own write.
    """

    def __init__(self) -> None:
        self._state = hashlib.sha256()
        self._full: queue.SimpleQueue[tuple[bytearray, int] | None] = queue.SimpleQueue()
        self._free: queue.SimpleQueue[bytearray] = queue.SimpleQueue()
        for _ in range(_BUFFERS):
            self._free.put(bytearray(_STEP_BYTES))
        self._thread = threading.Thread(target=self._run, name="hashing", daemon=True)
        self._thread.start()

    def take_free(self) -> bytearray:
        return self._free.get()

    def give(self, buffer: bytearray, length: int) -> None:
        self._full.put((buffer, length))

    def finish(self) -> Digest:
        self._full.put(None)
        self._thread.join()
        return Digest(self._state.hexdigest())

    def _run(self) -> None:
        while (given := self._full.get()) is not None:
            buffer, length = given
            self._state.update(memoryview(buffer)[:length])
            self._free.put(buffer)
