# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""A dataset as files in clear: the one place where its texts leave the sealed store.

A file appears under its name only when it is whole and its shard's digest was right.
"""

import hashlib
import os
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, Final

import msgspec

from bastide.app.corpus_objects import zstandard
from bastide.app.corpus_shards import Line
from bastide.app.remedies import outside
from bastide.core.dataset import Manifest, Shard
from bastide.core.errors import Misconfigured, NotProven
from bastide.core.limits import MIB
from bastide.ports import SealingStore

__all__ = ["FORMS", "raw_lines", "shard_lines", "write_files"]

FORMS: Final = ("jsonl", "parquet")
_ROWS: Final = 4_096  # of one row group

Progress = Callable[[str, int, int], None]


def write_files(
    store: SealingStore,
    manifest: Manifest,
    target: Path,
    form: str,
    progress: Progress | None = None,
) -> list[Path]:
    """Write every shard as one file, and `dataset.json`, the manifest, last."""
    suffix, write = {"jsonl": ("jsonl.zst", _write_jsonl), "parquet": ("parquet", _write_parquet)}[
        form
    ]
    written = []
    try:
        target.mkdir(parents=True, exist_ok=True)
        for number, shard in enumerate(manifest.shards):
            path = target / f"{manifest.name}-{number:05d}.{suffix}"
            _whole(path, lambda file, shard=shard: write(store, shard, file))
            written.append(path)
            if progress is not None:
                progress("exporting", number + 1, len(manifest.shards))
        path = target / "dataset.json"
        _whole(path, lambda file: file.write(manifest.encode()))
    except OSError as error:
        raise outside(error, str(target)) from error
    return [*written, path]


def _whole(path: Path, write: Callable[[BinaryIO], Any]) -> None:
    partial = path.with_name(path.name + ".partial")
    try:
        with partial.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _chunks(store: SealingStore, shard: Shard) -> Iterator[bytes]:
    """The stored content. Raises NotProven at its end if the digest is another."""
    state = hashlib.sha256()
    with store.open(shard.object) as reader:
        for offset in range(0, reader.size, MIB):
            chunk = reader.read_at(offset, MIB)
            state.update(chunk)
            yield chunk
    if f"sha256:{state.hexdigest()}" != shard.digest:
        raise NotProven(
            f"{shard.object} is not the shard that the manifest names",
            fix="restore it from a backup",
        )


def _write_jsonl(store: SealingStore, shard: Shard, file: BinaryIO) -> None:
    for chunk in _chunks(store, shard):
        file.write(chunk)


def _write_parquet(store: SealingStore, shard: Shard, file: BinaryIO) -> None:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise Misconfigured(
            "Parquet needs pyarrow, which is not installed", fix="pip install 'bastide[corpus]'"
        ) from error
    names = ("id", "text", "source", "url", "language")
    fields = [pa.field(name, pa.large_string(), nullable=False) for name in names]
    schema = pa.schema([*fields, pa.field("notes", pa.large_string(), nullable=False)])
    with pq.ParquetWriter(file, schema, compression="zstd") as writer:
        lines = shard_lines(store, shard)
        while batch := list(islice(lines, _ROWS)):
            columns: dict[str, Any] = {
                name: [getattr(line, name) for line in batch] for name in names
            }
            # Steps differ in what they note, so a column for each would differ between shards.
            columns["notes"] = [msgspec.json.encode(line.notes).decode() for line in batch]
            writer.write_table(pa.table(columns, schema=schema))


def shard_lines(store: SealingStore, shard: Shard) -> Iterator[Line]:
    """The documents of a shard. Raises NotProven at its end if it is not the manifest's."""
    yield from map(msgspec.json.Decoder(Line).decode, raw_lines(store, shard))


def raw_lines(store: SealingStore, shard: Shard) -> Iterator[bytes]:
    """The lines of a shard without their ends. Raises NotProven at its end as `shard_lines`."""
    stream = zstandard().ZstdDecompressor().decompressobj()
    held = b""
    for chunk in _chunks(store, shard):
        *whole, held = (held + stream.decompress(chunk)).split(b"\n")
        yield from whole
    if held:
        raise NotProven(f"{shard.object} ends within a line", fix="restore it from a backup")
