# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The datasets of an OpenEuroLLM directory: a dataset, a cycle of them, or a collection of cycles.

A directory on the disk or, as FarFolder, in a bucket; only what both have is used.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, cast

from bastide.app.far_folder import FarFolder
from bastide.app.remedies import outside
from bastide.core.errors import NotFound
from bastide.core.limits import CORPUS_METADATA_BYTES_MAX
from bastide.readers.openeurollm_metadata import CollectionFault, Metadata, parse_metadata

__all__ = [
    "Dataset",
    "files_below",
    "find_datasets",
    "is_dataset",
    "read_small",
    "shown_below",
]

_METADATA: Final = "metadata.yaml"
_DEEP: Final = 2  # a dataset lies at most so deep below the directory
_DATA: Final = ("source", "release", "counts")


@dataclass(slots=True)
class Dataset:
    """One dataset. base: what the names of faults are relative to. cycle: the metadata above."""

    path: Path
    base: Path
    metadata: Metadata
    cycle: Metadata
    faults: list[CollectionFault] = field(default_factory=list)

    def fault(self, code: str, message: str, place: str = "", file: str = "") -> None:
        """Note a fault, of its metadata unless another file is named."""
        known = self.metadata.lines if not file else {}
        name = file or shown_below(self.base, self.path / _METADATA)
        self.faults.append(CollectionFault(name, known.get(place, 0), place, code, message))


def find_datasets(root: Path, base: Path) -> list[Dataset]:
    """Every dataset below a directory, sorted by path. Raises NotFound, Unavailable.

    base: what the names of faults are relative to.
    """
    if not root.is_dir():
        raise NotFound(f"there is no directory {root}", fix="check the path")
    if root.name in ("", "..") and not isinstance(root, FarFolder):
        # As `.` it has neither a name nor a directory above. Links stay as they are: a dataset
        # lies where it is linked.
        root = Path(os.path.abspath(root))  # noqa: PTH100
    above = root.parent / _METADATA
    cycle = _parsed(base, root.parent)[0] if above.is_file() else Metadata()
    found = list(_walk(base, root, cycle if cycle.is_cycle else Metadata(), _DEEP))
    if not found:
        raise NotFound(f"{root} holds no dataset", fix=f"a dataset is a directory with {_METADATA}")
    return found


def _walk(base: Path, path: Path, cycle: Metadata, deep: int) -> Iterator[Dataset]:
    own: list[CollectionFault] = []
    if (path / _METADATA).is_file():
        metadata, own = _parsed(base, path)
        if not metadata.is_cycle:
            yield Dataset(path, base, metadata, cycle, own)
            return
        cycle = metadata
    elif is_dataset(path):
        lost = Dataset(path, base, Metadata(), cycle)
        lost.fault("metadata-missing", "the dataset has none")
        yield lost
        return
    first = True
    try:
        folders = sorted(one for one in path.iterdir() if one.is_dir() and one.name[0] != ".")
    except OSError as error:
        raise outside(error, str(path)) from error
    for folder in folders if deep else ():
        for dataset in _walk(base, folder, cycle, deep - 1):
            # What the cycle's own file lacks is told once, with its first dataset.
            dataset.faults[:0] = own if first else []
            first = False
            yield dataset


def is_dataset(path: Path) -> bool:
    """Whether a directory looks like one, with its metadata or without."""
    return (path / _METADATA).is_file() or any((path / name).is_dir() for name in _DATA)


def _parsed(base: Path, path: Path) -> tuple[Metadata, list[CollectionFault]]:
    return parse_metadata(read_small(path / _METADATA), shown_below(base, path / _METADATA))


def read_small(path: Path) -> bytes:
    """A file of a bounded size; of a larger one, one byte too many. Raises Unavailable."""
    try:
        with path.open("rb") as file:
            return file.read(CORPUS_METADATA_BYTES_MAX + 1)
    except OSError as error:
        raise outside(error, str(path)) from error


def files_below(folder: Path) -> Iterator[Path]:
    """All files, sorted. Collections are made of links to directories, so these are followed."""
    if isinstance(folder, FarFolder):
        return iter(cast(Sequence[Path], folder.below()))
    seen: set[str] = set()
    found = []
    for path, folders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(path)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = [one for one in folders if one[0] != "."]
        found += [Path(path, name) for name in names if name[0] != "."]
    return iter(sorted(found))


def shown_below(base: Path, path: Path) -> str:
    """The name of a path in faults and records: relative to another."""
    if isinstance(path, FarFolder):
        return str(path.relative_to(base)) if isinstance(base, FarFolder) else str(path)
    return os.path.relpath(path, base)
