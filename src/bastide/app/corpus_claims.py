# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What an OpenEuroLLM collection says of itself, judged for `corpus check` and every build alike.

The counts below each dataset, the table of its cycle's README.md against the metadata, and the
cycle's datamix.txt. Of a dataset that is given alone, the cycle is the directory that it lies in.
"""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from bastide.app.corpus_datasets import (
    Dataset,
    files_below,
    find_datasets,
    is_dataset,
    read_small,
    shown_below,
)
from bastide.readers.openeurollm_metadata import CONTAMINATION, PII, CollectionFault

__all__ = ["Claims", "judge_claims"]

_COLUMNS: Final = {"PII": PII, "Contamination": CONTAMINATION}  # of a cycle's table
_DONE: Final = "\u2705"  # white heavy check mark: complete
_NONE: Final = "\u2796"  # heavy minus sign: inapplicable
_WEIGHT: Final = re.compile(r"[0-9]+(\.[0-9]*)?([eE]-?[0-9]+)?")


@dataclass(slots=True)
class Claims:
    """What a directory holds and says. counts: how many files of counts were read."""

    datasets: list[Dataset]
    counts: int = 0
    faults: list[CollectionFault] = field(default_factory=list)


def judge_claims(
    root: Path, base: Path, progress: Callable[[int, int], None] | None = None
) -> Claims:
    """The datasets below a directory and the faults of their counts, tables and mixes.

    base: what the names of faults are relative to. The faults of the metadata stand in each
    dataset. Raises NotFound, Unavailable.
    """
    told = Claims(find_datasets(root, base))
    cycles: dict[Path, dict[str, Dataset]] = {}
    for number, dataset in enumerate(told.datasets, 1):
        for path in files_below(dataset.path / "counts"):
            if path.name.endswith(".json"):
                told.counts += 1
                told.faults += _count_faults(dataset, path)
        cycles.setdefault(dataset.path.parent, {})[dataset.path.name] = dataset
        if progress is not None:
            progress(number, len(told.datasets))
    for cycle in sorted(cycles):
        told.faults += _table_faults(base, cycle, cycles[cycle])
        told.faults += _mix_faults(base, cycle)
    return told


def _count_faults(dataset: Dataset, path: Path) -> Iterator[CollectionFault]:
    shown = shown_below(dataset.base, path)
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


def _table_faults(base: Path, cycle: Path, own: dict[str, Dataset]) -> Iterator[CollectionFault]:
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
                shown_below(base, path), number, f"{name}.{column}", "contradiction",
                f"the table says {says}, metadata.yaml {names}",
            )  # fmt: skip


def _mix_faults(base: Path, cycle: Path) -> Iterator[CollectionFault]:
    path = cycle / "datamix.txt"
    if not path.is_file():
        return
    shown = shown_below(base, path)
    text = read_small(path).decode(errors="replace")
    for number, line in enumerate(text.splitlines(), 1):
        row = line.partition("#")[0].split()
        if not row:
            continue
        if len(row) != 2 or not _WEIGHT.fullmatch(row[0]):
            told = "not a weight and a path"
            yield CollectionFault(shown, number, "", "datamix-unreadable", told)
        elif (name := row[1].split("/")[0]) in ("", ".", "..") or not is_dataset(cycle / name):
            told = f"there is no dataset {name!r}"
            yield CollectionFault(shown, number, row[1], "datamix-unknown", told)
