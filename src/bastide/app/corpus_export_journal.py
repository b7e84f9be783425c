# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What an export has finished, so that one that was killed goes on.

* On a disk, a journal in the export's folder. Its first line says what is exported and how; if
  that is another, nothing is taken over. Each further line names the files of one shard by their
  digests, and is believed only where they still have them. It is there until all is written, and
  does not stay behind an export that failed before its first shard was finished.
* In a bucket, a mark of each file, set with it: a digest over the same, and the shard.
"""

import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from bastide.app.bucket_path import BucketPath, made_of
from bastide.core.canonical import canonical

__all__ = ["JOURNAL", "Journal"]

JOURNAL: Final = ".export.jsonl"


class _Row(msgspec.Struct):
    """A finished shard. files: name below the folder, and SHA-256."""

    shard: int
    files: dict[str, str]


class Journal:
    """The journal of one export to a folder. what: all that decides the content of its files."""

    def __init__(self, target: Path, what: Mapping[str, Any]) -> None:
        self._target = target
        self._far = isinstance(target, BucketPath)
        self._head = canonical(dict(what))
        found = None if self._far else self._read()
        self._rows: dict[int, _Row] = found or {}
        self.goes_on = found is not None  # an earlier run of the same export left it, on a disk

    def __enter__(self) -> "Journal":
        if not self._far:
            # Written anew: the next line must not stand behind one that was cut off.
            lines = [self._head, *map(msgspec.json.encode, self._rows.values())]
            with (self._target / JOURNAL).open("wb") as file:
                _write(file, b"".join(line + b"\n" for line in lines))
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        if not self._far and (kind is None or not self._rows):
            (self._target / JOURNAL).unlink(missing_ok=True)

    def mark(self, shard: int) -> str:
        """What a bucket keeps beside the files of a shard; -1: of the files over all."""
        return f"sha256:{hashlib.sha256(self._head + str(shard).encode()).hexdigest()}"

    def finished(self, shard: int, files: Sequence[Path]) -> bool:
        """Whether these are the files of a shard, all of them, and each as it was written."""
        if self._far:
            return all(made_of(path) == self.mark(shard) for path in files)
        row = self._rows.get(shard)
        if row is None or row.files.keys() != {self._name(path) for path in files}:
            return False
        return all(
            path.is_file() and _digest(path) == row.files[self._name(path)] for path in files
        )

    def add(self, shard: int, files: Sequence[Path]) -> None:
        """A shard's files are whole."""
        if self._far:
            return
        self._rows[shard] = _Row(shard, {self._name(path): _digest(path) for path in files})
        with (self._target / JOURNAL).open("ab") as file:
            _write(file, msgspec.json.encode(self._rows[shard]) + b"\n")

    def _name(self, path: Path) -> str:
        return path.relative_to(self._target).as_posix()

    def _read(self) -> dict[int, _Row] | None:
        """What an earlier run finished; None if it was another export, or none."""
        path = self._target / JOURNAL
        if not path.is_file():
            return None
        first, *lines = path.read_bytes().split(b"\n")
        if first != self._head:
            return None
        rows: dict[int, _Row] = {}
        # Behind the last line feed stands what a kill cut off.
        for line in lines[:-1]:
            try:
                row = msgspec.json.decode(line, type=_Row)
            except msgspec.DecodeError:
                return {}
            rows[row.shard] = row
        return rows


def _write(file: Any, data: bytes) -> None:
    file.write(data)
    file.flush()
    os.fsync(file.fileno())


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
