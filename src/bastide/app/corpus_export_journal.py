# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What an export that takes long has finished, so that one that was killed goes on.

The journal lies in the export's folder until all is written. Its first line says what is exported
and how; if that is another, nothing is taken over. Each further line names the files of one shard
by their digests, and is believed only where they still have them.
"""

import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from bastide.core.limits import MIB

__all__ = ["Journal"]

_NAME: Final = ".export.jsonl"


class _Row(msgspec.Struct):
    """A finished shard. files: name and SHA-256; told: what its writer counted."""

    shard: int
    files: dict[str, str]
    told: dict[str, Any]


class Journal:
    """The journal of one folder. what: everything that decides what the files hold."""

    def __init__(self, target: Path, what: Mapping[str, Any]) -> None:
        self._path = target / _NAME
        head = msgspec.json.encode(dict(what))
        self._rows = self._read(head)
        # Written anew: the next line must not stand behind one that was cut off.
        rows = b"".join(msgspec.json.encode(row) + b"\n" for row in self._rows.values())
        self._path.write_bytes(head + b"\n" + rows)

    def known(self, shard: int) -> dict[str, Any] | None:
        """What was counted of a shard whose files are whole, or None: then it is to be written."""
        row = self._rows.get(shard)
        if row is None:
            return None
        for name, digest in row.files.items():
            path = self._path.with_name(name)
            if not path.is_file() or _digest(path) != digest:
                return None
        return row.told

    def add(self, shard: int, files: Sequence[Path], told: Mapping[str, Any]) -> None:
        """A shard's files are whole."""
        row = _Row(shard, {path.name: _digest(path) for path in files}, dict(told))
        with self._path.open("ab") as file:
            file.write(msgspec.json.encode(row) + b"\n")
            file.flush()
            os.fsync(file.fileno())

    def close(self) -> None:
        """All is written: nothing is to be gone on with."""
        self._path.unlink()

    def _read(self, head: bytes) -> dict[int, _Row]:
        if not self._path.is_file():
            return {}
        first, *lines = self._path.read_bytes().split(b"\n")
        if first != head:
            return {}
        rows: dict[int, _Row] = {}
        # Behind the last line feed stands what a kill cut off.
        for line in lines[:-1]:
            try:
                row = msgspec.json.decode(line, type=_Row)
            except msgspec.DecodeError:
                return {}
            rows[row.shard] = row
        return rows


def _digest(path: Path) -> str:
    state = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(MIB):
            state.update(chunk)
    return state.hexdigest()
