# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""JSON Lines in Zstandard: every shard as it is stored."""

from pathlib import Path
from typing import BinaryIO

from bastide.app.corpus_export import Export, shard_chunks, write_manifest, write_shards
from bastide.core.dataset import Shard

__all__ = ["export_jsonl"]


def export_jsonl(export: Export) -> list[Path]:
    """Write every shard as one file; the paths, `dataset.json` last."""
    return [*write_shards(export, "jsonl.zst", _write), write_manifest(export)]


def _write(export: Export, shard: Shard, file: BinaryIO) -> None:
    for chunk in shard_chunks(export.store, shard):
        file.write(chunk)
