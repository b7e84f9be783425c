# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Files that steps need: suites, records of sites, block lists, finders of names.

A filter says which of its settings name files (`filters.filter.NeedsFiles`). They are hashed as the
sources are and are part of a build's name. A worker reads them again, and refuses what changed.

A process makes a table and opens a finder once, however many parts it reads. It keeps those it
used last, ends a finder that it keeps no more, and the others when it ends itself.
"""

import atexit
import hashlib
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec

from bastide.app import wiring_spans
from bastide.app.asked_finder import AskedFinder
from bastide.app.remedies import outside
from bastide.core.canonical import canonical
from bastide.core.dataset import Asked, Searched
from bastide.core.errors import Misconfigured, NotFound, Refused
from bastide.core.limits import CORPUS_STEP_FILE_BYTES_MAX
from bastide.core.subject import Digest

__all__ = [
    "StepFile",
    "asked_finders",
    "close_finders",
    "fill",
    "find_step_files",
    "searched_suites",
]

_KEPT: Final = 8

# The filters that this process filled, the one used last at the end, with the finder that it asks.
# Who refers to a changed file has another digest, and so another entry.
_filled: dict[tuple[Any, tuple["StepFile", ...]], tuple[Any, AskedFinder | None]] = {}


class StepFile(msgspec.Struct, frozen=True):
    """One file. name: as the recipe writes it. digest: SHA-256 of the content, in hex."""

    name: str
    path: str
    size: int
    digest: str


def find_step_files(filters: Sequence[Any], folder: Path) -> tuple[StepFile, ...]:
    """The files that filters name, sorted, hashed. Raises NotFound, Misconfigured, Unavailable."""
    names = {name for one in filters for name in _names(one)}
    return tuple(_hashed(folder, name) for name in sorted(names))


def fill(filters: Sequence[Any], files: Sequence[StepFile]) -> list[Any]:
    """The filters, those that need files with their content.

    Raises Misconfigured, naming file and line, and Refused for a file that changed.
    """
    known = {file.name: file for file in files}
    filled = []
    for one in filters:
        if hasattr(one, "file_settings"):
            key = one, tuple(known[name] for name in _names(one))
            row = _filled[key] = _filled.pop(key, None) or _make(*key)
            filled.append(row[0])
        else:
            filled.append(one)
    _keep(max(_KEPT, len(filters)))  # all of these, however many
    return filled


def searched_suites(filters: Sequence[Any]) -> list[Searched]:
    """The suites for whose questions some filled filters look."""
    return [row for one in filters for row in getattr(one, "covered", ())]


def asked_finders(filters: Sequence[Any]) -> list[Asked]:
    """The finders of names that some filled filters ask."""
    return [row for one in filters for row in getattr(one, "asked", ())]


def close_finders() -> None:
    """End the finders that this process has opened. Filters that are filled later get others."""
    _keep(0)


def _keep(count: int) -> None:
    while len(_filled) > count:
        _, finder = _filled.pop(next(iter(_filled)))
        if finder is not None:
            finder.close()


def _make(one: Any, files: tuple[StepFile, ...]) -> tuple[Any, AskedFinder | None]:
    if not hasattr(one, "asking"):
        return one.given({file.name: _content(file) for file in files}), None
    name = files[0].name
    reads = [partial(_content, file) for file in files]
    finder = AskedFinder(name, wiring_spans.open_finder(one.scheme, name, reads))
    atexit.unregister(close_finders)  # it is registered once
    atexit.register(close_finders)
    digest = Digest.of(canonical([one.scheme, *(file.digest for file in files)]))
    return one.asking(finder.find, str(digest)), finder


def _names(one: Any) -> list[str]:
    """The files that one filter names, in the order of its settings, each once."""
    settings = getattr(one, "file_settings", ())
    return list(dict.fromkeys(name for field in settings for name in getattr(one, field)))


def _hashed(folder: Path, name: str) -> StepFile:
    path = folder / name
    try:
        size = path.stat().st_size
        if size > CORPUS_STEP_FILE_BYTES_MAX:
            raise Misconfigured(
                f"{name} has {size} bytes, over {CORPUS_STEP_FILE_BYTES_MAX}",
                fix="a step may need less",
                place=name,
            )
        with path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
    except (FileNotFoundError, IsADirectoryError) as error:
        raise NotFound(
            f"a step needs the file {name}, which is not there",
            fix=f"paths are relative to {folder}",
        ) from error
    except OSError as error:
        raise outside(error, name) from error
    return StepFile(name, str(path), size, digest)


def _content(file: StepFile) -> bytes:
    try:
        data = Path(file.path).read_bytes()
    except OSError as error:
        raise outside(error, file.name) from error
    if hashlib.sha256(data).hexdigest() != file.digest:
        raise Refused(
            f"{file.name} changed while the dataset was built",
            reasons=(f"{file.name}: another digest than when the build began",),
            fix="run the build again when nobody writes to the file",
        )
    return data
