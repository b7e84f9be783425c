# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Parquet: every shard as one file of the columns id, text, source, url, language and notes."""

from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, Final

import msgspec

from bastide.app.corpus_export import Export, shard_lines, write_manifest, write_shards
from bastide.app.extras import require_extra
from bastide.core.dataset import Shard

__all__ = ["export_parquet", "parquet_files"]

_ROWS: Final = 4_096  # of one row group


def export_parquet(export: Export) -> list[Path]:
    """Write every shard as one file; the paths, `dataset.json` last."""
    return [*parquet_files(export), write_manifest(export)]


def parquet_files(export: Export) -> list[Path]:
    """Write every shard as one file; the paths. Raises Misconfigured without pyarrow."""
    require_extra("corpus")
    return write_shards(export, "parquet", _write)


def _write(export: Export, shard: Shard, file: BinaryIO) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = ("id", "text", "source", "url", "language")
    fields = [pa.field(name, pa.large_string(), nullable=False) for name in names]
    schema = pa.schema([*fields, pa.field("notes", pa.large_string(), nullable=False)])
    with pq.ParquetWriter(file, schema, compression="zstd") as writer:
        lines = shard_lines(export.store, shard)
        while batch := list(islice(lines, _ROWS)):
            columns: dict[str, Any] = {
                name: [getattr(line, name) for line in batch] for name in names
            }
            # Steps differ in what they note, so a column for each would differ between shards.
            columns["notes"] = [msgspec.json.encode(line.notes).decode() for line in batch]
            writer.write_table(pa.table(columns, schema=schema))
