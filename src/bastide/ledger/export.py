# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Export: the ledger as C2SP tlog-tiles, for tools that never heard of Bastide.

The folder holds ``checkpoint``, ``tile/<level>/...`` and ``tile/entries/...``. Everything is
written into a draft beside the folder and renamed as the last step; memory does not grow with the
ledger.
"""

import os
import shutil
from pathlib import Path

from sqlalchemy import Connection, Engine, select

from bastide.core.errors import Misconfigured, Unavailable
from bastide.crypto.tiles import ENTRIES, Tile, bundle, of_level, tiles
from bastide.ledger import proofs, queries, schema
from bastide.ledger.tree import head

__all__ = ["export"]


def export(records: Engine, folder: Path) -> None:
    """Write a log of its newest size.

    Raises Misconfigured if the folder is there already and not empty, NotFound if the ledger is
    empty, Unavailable if the disk is full.
    """
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise Misconfigured(f"{folder} is there already", fix="name a new folder")
    draft = folder.with_name(folder.name + ".partial")
    try:
        shutil.rmtree(draft, ignore_errors=True)  # what a killed export left behind
        draft.mkdir(parents=True)
        with schema.reading(records) as connection:
            _write_log(connection, draft)
        for place in [path for path in draft.rglob("*") if path.is_dir()]:
            _sync(place)
        _sync(draft)
        draft.replace(folder)
        _sync(folder.parent)
    except OSError as error:
        shutil.rmtree(draft, ignore_errors=True)
        raise Unavailable(
            f"{folder} cannot be written: {error.strerror}", fix="free disk space, then again"
        ) from error
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise


def _write_log(connection: Connection, draft: Path) -> None:
    note = queries.newest_note(connection)
    size, _ = head(connection)
    for tile in tiles(size):
        hashes = proofs.read_hashes(connection, tile.level, tile.index, tile.width)
        _write(draft / tile.path, b"".join(hashes))
    for tile in of_level(ENTRIES, size):
        _write(draft / tile.path, bundle(_entries(connection, tile)))
    _write(draft / "checkpoint", note.encode())


def _entries(connection: Connection, tile: Tile) -> list[bytes]:
    table = schema.entry
    wanted = select(table.c.data).where(table.c.index >= tile.first).order_by(table.c.index)
    return list(connection.execute(wanted.limit(tile.width)).scalars())


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
