# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""A store in a folder, through obstore, with the durability that the port asks for.

An object is drafted below ``.partial``, flushed to the disk, renamed into place, and the folders
are flushed. A killed writer leaves only a draft; the next start removes it. A draft's folder is
locked while its writer lives, so that several processes may share one store.
"""

import contextlib
import errno
import fcntl
import itertools
import os
import re
import shutil
from collections.abc import Generator, Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final

import obstore
from obstore.exceptions import BaseError as ObstoreError
from obstore.store import LocalStore as ObstoreLocal

from bastide.adapters.store.files import FileReader
from bastide.adapters.store.names import below, check_name
from bastide.core.errors import BastideError, Misconfigured, NotFound, Unavailable
from bastide.core.limits import MIB

__all__ = ["LocalStore"]

_DRAFTS: Final = ".partial"
_PART_BYTES: Final = 8 * MIB
_PARTS_AT_ONCE: Final = 2  # with the one being filled: at most 24 MiB in flight
_OS_ERROR = re.compile(r"\(os error (\d+)\)")
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_CLASH = {errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENOTEMPTY}
_serial = itertools.count()


class LocalStore:
    """Objects as files below `root`, readable for this user only. Raises Unavailable."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._drafts = root / _DRAFTS
        try:
            root.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._drafts.mkdir(mode=0o700, exist_ok=True)
            self._objects = ObstoreLocal(root)
            self._sweep_drafts()
        except (OSError, ObstoreError) as error:
            raise self._trouble(error, "open the store") from error

    def put(self, name: str, chunks: Iterable[bytes | memoryview]) -> int:
        """Write one object and return its size."""
        check_name(name)
        try:
            with self._draft() as folder:
                draft = folder / "object"
                size = self._write(str(draft.relative_to(self._root)), chunks)
                self._publish(draft, name)
        except (OSError, ObstoreError) as error:
            raise self._trouble(error, f"write {name}") from error
        return size

    def open(self, name: str) -> AbstractContextManager[FileReader]:
        """Open an object. Raises NotFound."""
        check_name(name)
        try:
            return contextlib.closing(FileReader(self._root / name))
        except (NotFound, Misconfigured) as error:
            if not (self._root / name).is_file():
                raise NotFound(f"the store has no object {name}") from error
            raise Unavailable(error.message, fix=error.fix) from error

    def delete(self, name: str) -> None:
        """Remove an object, if there is one."""
        check_name(name)
        path = self._root / name
        try:
            path.unlink()
            _flush(path.parent)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return
        except OSError as error:
            raise self._trouble(error, f"delete {name}") from error

    def names(self, prefix: str = "") -> list[str]:
        """All names below a prefix, sorted."""
        folder = prefix.rstrip("/")
        if folder:
            check_name(folder)
        try:
            batches = list(obstore.list(self._objects, prefix=folder or None))
        except (OSError, ObstoreError) as error:
            raise self._trouble(error, "list the store") from error
        found = (row["path"] for batch in batches for row in batch)
        return sorted(name for name in found if not below(name, _DRAFTS) and below(name, folder))

    def _write(self, path: str, chunks: Iterable[bytes | memoryview]) -> int:
        # Not `obstore.put`: it runs the caller's iterator on a thread of its own, where any use of
        # a store from inside the iterator would panic.
        size = 0
        writer = obstore.open_writer(
            self._objects, path, buffer_size=_PART_BYTES, max_concurrency=_PARTS_AT_ONCE
        )
        try:
            for chunk in chunks:
                # obstore keeps what it is given until it is written, and a view may be reused by
                # its owner: `bytes` copies a view, and passes bytes on as they are.
                size += writer.write(bytes(chunk))
            writer.close()  # a writer that is not closed leaves only its draft
        finally:
            del writer  # a traceback must not keep its file, and so the space of it, in use
        return size

    def _publish(self, draft: Path, name: str) -> None:
        target = self._root / name
        # The order makes the promise: data, then the name, then the folders that hold the name.
        descriptor = os.open(draft, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fchmod(descriptor, 0o600)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft.rename(target)
        folder = target.parent
        while True:
            _flush(folder)
            if folder == self._root:
                return
            folder = folder.parent

    @contextlib.contextmanager
    def _draft(self) -> Generator[Path]:
        """A locked folder of our own; gone afterwards."""
        while True:
            folder = self._drafts / f"{os.getpid()}-{next(_serial)}"
            with contextlib.suppress(FileExistsError):
                folder.mkdir(mode=0o700)
                if (lock := _lock(folder)) is not None:
                    break
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            os.close(lock)

    def _sweep_drafts(self) -> None:
        for folder in self._drafts.iterdir():
            if (lock := _lock(folder)) is not None:  # nobody lives who could finish it
                shutil.rmtree(folder, ignore_errors=True)
                os.close(lock)

    def _trouble(self, error: Exception, deed: str) -> BastideError:
        code = error.errno if isinstance(error, OSError) else None
        if code is None and (match := _OS_ERROR.search(str(error))):
            code = int(match.group(1))  # obstore keeps the number only in its text
        if code in _FULL:
            return Unavailable(
                f"cannot {deed}: the disk of {self._root} is full",
                fix=f"free space below {self._root}, then try again; nothing half-written is kept",
            )
        if code in _CLASH:
            return Misconfigured(
                f"cannot {deed} below {self._root}: the name is taken by a folder, or a part of"
                " it by an object",
                fix="choose another name",
            )
        reason = os.strerror(code) if code else str(error).partition("\n")[0]
        return Unavailable(
            f"cannot {deed} below {self._root}: {reason}",
            fix=f"check the disk and the permissions of {self._root}",
        )


def _lock(folder: Path) -> int | None:
    """Lock a folder; None if another holds it or it is gone."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if Path(folder).stat().st_ino == os.fstat(descriptor).st_ino:
            return descriptor
    except (BlockingIOError, FileNotFoundError):
        pass
    os.close(descriptor)
    return None


def _flush(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
