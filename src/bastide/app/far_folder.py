# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""A folder in a bucket, with as much of `Path` as the reading of a collection uses.

The names below it are listed once. A folder is what names begin with; there are no links.
"""

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, total_ordering
from io import BufferedReader
from pathlib import Path

from bastide.app.bucket_path import Size
from bastide.app.wiring_store import FarFiles
from bastide.core.errors import NotFound

__all__ = ["FarFolder", "Listing"]


@dataclass(frozen=True)
class Listing:
    """What lies in a bucket. url: of the bucket. home: whose account reads it. sizes: by name."""

    files: FarFiles
    url: str
    home: str
    sizes: Mapping[str, int]

    @cached_property
    def folders(self) -> frozenset[str]:
        """Every folder, without the last slash; the bucket itself is empty."""
        found = {""}
        for name in self.sizes:
            while name := name.rpartition("/")[0]:
                found.add(name)
        return frozenset(found)

    def matching(self, expression: str) -> list["FarFolder"]:
        """The folders whose whole name fits, sorted."""
        fits = re.compile(expression)
        return [FarFolder(self, name) for name in sorted(self.folders) if fits.fullmatch(name)]


@total_ordering
class FarFolder:
    """One name in a listing: of a file, of a folder, or of nothing."""

    def __init__(self, listing: Listing, key: str) -> None:
        self._listing = listing
        self._key = key

    def __str__(self) -> str:
        return f"{self._listing.url}/{self._key}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FarFolder) and self._key == other._key

    def __lt__(self, other: "FarFolder") -> bool:
        return self._key.split("/") < other._key.split("/")

    def __hash__(self) -> int:
        return hash(self._key)

    def __truediv__(self, name: str) -> "FarFolder":
        return FarFolder(self._listing, f"{self._key}/{name}".strip("/"))

    @property
    def home(self) -> str:
        """Whose account reads it."""
        return self._listing.home

    @property
    def name(self) -> str:
        """The last part."""
        return self._key.rpartition("/")[2]

    @property
    def parent(self) -> "FarFolder":
        """Without the last part."""
        return FarFolder(self._listing, self._key.rpartition("/")[0])

    def with_name(self, name: str) -> "FarFolder":
        """Beside this one."""
        return self.parent / name

    def is_file(self) -> bool:
        """Whether it is listed."""
        return self._key in self._listing.sizes

    def is_dir(self) -> bool:
        """Whether anything is listed below it."""
        return self._key in self._listing.folders

    def iterdir(self) -> Iterator["FarFolder"]:
        """The folders in it: nobody asks for the files."""
        for name in sorted(self._listing.folders):
            if name and name.rpartition("/")[0] == self._key:
                yield FarFolder(self._listing, name)

    def below(self) -> list["FarFolder"]:
        """All files below it, sorted, without what has a part that begins with a dot."""
        begin = f"{self._key}/" if self._key else ""
        found = (name for name in self._listing.sizes if name.startswith(begin))
        plain = (name for name in found if "/." not in f"/{name[len(begin) :]}")
        return sorted(FarFolder(self._listing, name) for name in plain)

    def relative_to(self, folder: "FarFolder") -> Path:
        """The rest of its name; of what is not below the folder, with `..` as on a disk."""
        return Path(os.path.relpath(f"/{self._key}", f"/{folder._key}"))

    def open(self, mode: str = "rb") -> BufferedReader:
        """Read the file. Raises NotFound, Unavailable."""
        del mode
        return self._listing.files.open(self._key)

    def stat(self) -> Size:
        """How large the file is, as it was listed. Raises NotFound."""
        if not self.is_file():
            raise NotFound(f"there is no {self}", fix="check the path")
        return Size(self._listing.sizes[self._key])
