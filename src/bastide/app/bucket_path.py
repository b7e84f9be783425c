# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""A place below ``s3://bucket/prefix`` where exports write, with as much of `Path` as they use."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

from bastide.app.config import Home
from bastide.app.wiring_store import FarFiles, far_files
from bastide.core.bucket import SCHEME, split_url
from bastide.core.errors import Misconfigured

__all__ = ["BucketPath", "folder_at", "made_of", "names_below"]


class Size(NamedTuple):
    """What of a stat_result is used."""

    st_size: int


class BucketPath:
    """One name in a bucket; a folder is what names begin with."""

    def __init__(self, files: FarFiles, url: str, key: str = "") -> None:
        self._files, self._url, self._key = files, url, key

    def __str__(self) -> str:
        return f"{self._url}/{self._key}".rstrip("/")

    def __truediv__(self, name: str) -> "BucketPath":
        return BucketPath(self._files, self._url, f"{self._key}/{name}".lstrip("/"))

    @property
    def name(self) -> str:
        """The last part."""
        return self._key.rpartition("/")[2]

    @property
    def parent(self) -> "BucketPath":
        """Without the last part."""
        return BucketPath(self._files, self._url, self._key.rpartition("/")[0])

    def with_name(self, name: str) -> "BucketPath":
        """Beside this one."""
        return self.parent / name

    def mkdir(self, parents: bool = False, exist_ok: bool = False) -> None:
        """There are no folders to make. But ask once, before work is done in vain."""
        del parents, exist_ok
        self._files.mark("dataset.json")

    def exists(self) -> bool:
        """Whether there is anything at or below this."""
        return bool(self._files.sizes(self._key))

    def iterdir(self) -> Iterator[str]:
        """Something for each name below: enough to know whether there is any."""
        return (name for name, _ in self._files.sizes(self._key))

    def below(self) -> list[str]:
        """The names of all files below this, relative to it, sorted."""
        begin = len(f"{self._key}/") if self._key else 0
        return [name[begin:] for name, _ in self._files.sizes(self._key)]

    def open(self, mode: str = "rb") -> BufferedReader:
        """Read the file. Raises NotFound, Unavailable."""
        if mode != "rb":
            raise Misconfigured(f"a file in a bucket is not opened as {mode!r}")
        return self._files.open(self._key)

    def stat(self) -> "Size":
        """How large the file is. Raises NotFound."""
        with self.open() as stream:
            return Size(stream.seek(0, 2))

    def writing(self, mark: str) -> AbstractContextManager[BinaryIO]:
        """A file that is there when the block ends well."""
        return self._files.writing(self._key, mark)

    def mark(self) -> str:
        """What the file was said to be made of, or ""."""
        return self._files.mark(self._key)


def folder_at(home: Home, target: Path | str) -> Path:
    """A folder, or a place in the object store of a home. Raises Misconfigured."""
    if isinstance(target, str) and target.startswith(SCHEME):
        split_url(target, "to")
        # Exports name their target Path; of a place in a bucket they use what BucketPath has.
        return cast(Path, BucketPath(far_files(home, target), target.rstrip("/")))
    return Path(target)


def names_below(folder: Path) -> list[str]:
    """The names of all files in a folder, or below a place in a bucket, relative to it."""
    if isinstance(folder, BucketPath):
        return folder.below()
    return sorted(
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()
    )


def made_of(path: Path) -> str:
    """What a file in a bucket was made of. Of a file on a disk nothing is known."""
    return path.mark() if isinstance(path, BucketPath) else ""
