# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""`bastide corpus check`: every fault of an OpenEuroLLM collection, from metadata to the last span.

Beside the metadata and the files (corpus_collection) it judges the counts, the table of the cycle's
README.md against the metadata, and datamix.txt. Texts are hashed and joined with their annotations
as a build would do it; nothing is written.
"""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from bastide.app.corpus_collection import Dataset, find_datasets, input_files, read_small, unfit
from bastide.app.corpus_files import InputFile, hash_file, read_file
from bastide.app.remedies import outside
from bastide.core.errors import Refused
from bastide.readers.openeurollm import OpenEuroLlm
from bastide.readers.openeurollm_metadata import CONTAMINATION, PII, CollectionFault

__all__ = ["check_collection"]

Progress = Callable[[str, int, int], None]

_COLUMNS: Final = {"PII": PII, "Contamination": CONTAMINATION}  # of a cycle's table
_DONE: Final = "\u2705"  # white heavy check mark: complete
_NONE: Final = "\u2796"  # heavy minus sign: inapplicable
_WEIGHT: Final = re.compile(r"[0-9]+(\.[0-9]*)?([eE]-?[0-9]+)?")


def check_collection(root: Path, progress: Progress | None = None) -> dict[str, Any]:
    """All faults of a directory, sorted, with what was looked at. Raises NotFound, Unavailable."""
    datasets = find_datasets(root)
    faults: list[CollectionFault] = []
    files: list[InputFile] = []
    counts = 0
    for number, dataset in enumerate(datasets, 1):
        files += input_files(dataset, root)
        for path in sorted((dataset.path / "counts").glob("**/*.json")):
            if not path.is_file():
                continue
            counts += 1
            faults += _count_faults(dataset, path)
        faults += dataset.faults
        if progress is not None:
            progress("reading metadata and counts", number, len(datasets))
    for cycle in sorted({dataset.path.parent for dataset in datasets if dataset.path != root}):
        own = {one.path.name: one for one in datasets if one.path.parent == cycle}
        faults += _table_faults(root, cycle, own)
        faults += _mix_faults(root, cycle, own)
    for number, file in enumerate(files, 1):
        faults += _text_faults(file)
        if progress is not None:
            progress("reading texts", number, len(files))
    return {
        "directory": str(root),
        "datasets": len(datasets),
        "files": len(files),
        "counts": counts,
        "faults": [{**asdict(one), "fix": one.fix} for one in sorted(faults)],
    }


def _count_faults(dataset: Dataset, path: Path) -> Iterator[CollectionFault]:
    shown = path.relative_to(dataset.root).as_posix()
    raw = read_small(path)
    try:
        row = json.loads(raw)
        documents, errors = row["documents"], row.get("errors", 0)
        if type(documents) is not int or type(errors) is not int or documents < 0:
            raise TypeError
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        yield CollectionFault(shown, 0, "", "count-unreadable", "not a count of documents")
        return
    if documents == 0:
        before = raw[: raw.find(b'"documents"')]
        line, told = before.count(b"\n") + 1, f"0 documents, {errors} errors"
        yield CollectionFault(shown, line, "documents", "no-documents", told)


def _table_faults(root: Path, cycle: Path, own: dict[str, Dataset]) -> Iterator[CollectionFault]:
    """Where the table says that there is an annotation or none, and the metadata the opposite."""
    path = cycle / "README.md"
    if not path.is_file():
        return
    columns: list[str] = []
    told: set[tuple[str, str]] = set()
    text = read_small(path).decode(errors="replace")
    for number, line in enumerate(text.splitlines(), 1):
        if not line.startswith("|"):
            columns = []
            continue
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if not columns:
            columns = cells
            continue
        row = dict(zip(columns, cells, strict=False))
        name = row.get("Path", "").partition("(")[0].strip("~` ")
        if name not in own:
            continue
        for column, kinds in _COLUMNS.items():
            mark = row.get(column, "")[:1]
            made = bool(set(own[name].metadata.annotations()) & set(kinds))
            if mark not in (_DONE, _NONE) or made is (mark == _DONE) or (name, column) in told:
                continue
            told.add((name, column))
            says = "there is none" if made else "it is complete"
            names = "names one" if made else "names none"
            yield CollectionFault(
                path.relative_to(root).as_posix(), number, f"{name}.{column}", "contradiction",
                f"the table says {says}, metadata.yaml {names}",
            )  # fmt: skip


def _mix_faults(root: Path, cycle: Path, own: dict[str, Dataset]) -> Iterator[CollectionFault]:
    path = cycle / "datamix.txt"
    if not path.is_file():
        return
    shown = path.relative_to(root).as_posix()
    text = read_small(path).decode(errors="replace")
    for number, line in enumerate(text.splitlines(), 1):
        row = line.partition("#")[0].split()
        if not row:
            continue
        if len(row) != 2 or not _WEIGHT.fullmatch(row[0]):
            told = "not a weight and a path"
            yield CollectionFault(shown, number, "", "datamix-unreadable", told)
        elif row[1].split("/")[0] not in own:
            told = f"there is no dataset {row[1].split('/')[0]!r}"
            yield CollectionFault(shown, number, row[1], "datamix-unknown", told)


def _text_faults(file: InputFile) -> Iterator[CollectionFault]:
    """Hash a file and its annotations, and join them if they were made for each other."""
    hashed = hash_file(file)
    if not hashed.beside:
        return
    if found := unfit([hashed]):
        yield from found
        return
    try:
        with file.open() as stream:
            for _ in read_file(OpenEuroLlm(**file.settings), stream, "check", hashed, bytes(32)):
                pass
    except Refused as error:
        for reason in error.reasons:
            name, _, told = reason.partition(": ")
            yield CollectionFault(name, 0, "", "annotation-unreadable", told)
    except OSError as error:
        raise outside(error, file.name) from error
