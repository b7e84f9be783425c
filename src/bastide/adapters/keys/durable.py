# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Writes small private files so that they exist as a whole, on the disk, or not at all."""

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

from bastide.core.errors import Misconfigured, NotFound, Unavailable

__all__ = ["read_small", "write_new", "write_over"]

_SMALL_BYTES_MAX = 1024 * 1024


def write_new(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Write a new file. Raises Misconfigured if there is one: a key is never overwritten."""
    # A link, unlike a rename, fails if the name is taken.
    _write(path, data, mode, Path.hardlink_to)


def write_over(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Put a file in the place of another, at once. Raises Unavailable."""
    _write(path, data, mode, lambda there, draft: draft.replace(there))


def _write(path: Path, data: bytes, mode: int, put: Callable[[Path, Path], object]) -> None:
    draft = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # A killed try may have left a draft. Nobody else's file is written to, nor through a link.
        draft.unlink(missing_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(draft, flags, mode)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            put(path, draft)
        finally:
            with contextlib.suppress(FileNotFoundError):
                draft.unlink()
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except FileExistsError as error:
        raise Misconfigured(
            f"{path} exists already; a key file is never overwritten",
            fix="move it away, or choose another path",
        ) from error
    except OSError as error:
        raise Unavailable(
            f"{path} cannot be written: {error.strerror}",
            fix=f"free disk space, or check the permissions of {path.parent}",
        ) from error


def read_small(path: Path) -> bytes:
    """Read a key file. Raises NotFound, or Misconfigured for what cannot be one."""
    try:
        if not path.is_file():
            raise NotFound(f"there is no key file {path}", fix="check the path")
        with path.open("rb") as file:
            data = file.read(_SMALL_BYTES_MAX + 1)
    except OSError as error:
        raise Misconfigured(
            f"{path} cannot be read: {error.strerror}", fix="make it readable for this user"
        ) from error
    if len(data) > _SMALL_BYTES_MAX:
        raise Misconfigured(f"{path} is too large for a key file", fix="name the key file")
    return data
