# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""A dataset as files in clear: the one place where its texts leave the sealed store.

What every form shares. A file appears under its name only when it is whole and its shard's digest
was right; `dataset.json`, the manifest, is written last.
"""

import hashlib
import os
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

import msgspec

from bastide.app.bucket_path import BucketPath, made_of
from bastide.app.corpus_objects import zstandard
from bastide.app.corpus_shards import Line
from bastide.core.dataset import Manifest, Shard
from bastide.core.errors import NotProven
from bastide.core.evidence import Evidence
from bastide.core.limits import MIB
from bastide.ports import SealingStore

__all__ = [
    "Export",
    "proven_chunks",
    "raw_lines",
    "shard_chunks",
    "shard_lines",
    "whole",
    "write_manifest",
    "write_shards",
]

_MANIFEST: Final = "dataset.json"

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Export:
    """What a form writes. account: the dataset's evidence. release: its release's, if it has one.
    target: a folder. tokenizer: a tokenizer.json, with end_token after each document if it is
    named; only forms of tokens take them."""

    store: SealingStore
    manifest: Manifest
    account: Evidence
    release: Evidence | None
    target: Path
    progress: Progress | None = None
    tokenizer: Path | None = None
    end_token: str = ""

    def advance(self, done: int) -> None:
        """Tell how many shards are exported."""
        if self.progress is not None:
            self.progress("exporting", done, len(self.manifest.shards))


def write_shards(
    export: Export, suffix: str, write: Callable[[Export, Shard, BinaryIO], Any]
) -> list[Path]:
    """Write every shard as one file; their paths."""
    written = []
    for number, shard in enumerate(export.manifest.shards):
        path = export.target / f"{export.manifest.name}-{number:05d}.{suffix}"
        if made_of(path) != shard.digest:
            with whole(path, shard.digest) as file:
                write(export, shard, file)
        written.append(path)
        export.advance(number + 1)
    return written


def write_manifest(export: Export) -> Path:
    """Write `dataset.json`; its path."""
    path = export.target / _MANIFEST
    with whole(path) as file:
        file.write(export.manifest.encode())
    return path


@contextmanager
def whole(path: Path, mark: str = "") -> Generator[BinaryIO]:
    """A file that is there under its name when the block ends well, and not at all otherwise.

    mark: what it is made of, which a bucket keeps beside it (`made_of`).
    """
    if isinstance(path, BucketPath):
        with path.writing(mark) as file:
            yield file
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    try:
        with partial.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def proven_chunks(store: SealingStore, name: str, digest: str, size: int = MIB) -> Iterator[bytes]:
    """The content of an object. Raises NotProven at its end if the digest is another."""
    state = hashlib.sha256()
    with store.open(name) as reader:
        for offset in range(0, reader.size, size):
            chunk = reader.read_at(offset, size)
            state.update(chunk)
            yield chunk
    if f"sha256:{state.hexdigest()}" != digest:
        raise NotProven(
            f"{name} is not the one that the manifest names", fix="restore it from a backup"
        )


def shard_chunks(store: SealingStore, shard: Shard) -> Iterator[bytes]:
    """The stored content. Raises NotProven at its end if the digest is another."""
    return proven_chunks(store, shard.object, shard.digest)


def shard_lines(store: SealingStore, shard: Shard) -> Iterator[Line]:
    """The documents of a shard. Raises NotProven at its end if it is not the manifest's."""
    yield from map(msgspec.json.Decoder(Line).decode, raw_lines(store, shard))


def raw_lines(store: SealingStore, shard: Shard) -> Iterator[bytes]:
    """The lines of a shard without their ends. Raises NotProven at its end as `shard_lines`."""
    stream = zstandard().ZstdDecompressor().decompressobj()
    held = b""
    for chunk in shard_chunks(store, shard):
        *whole, held = (held + stream.decompress(chunk)).split(b"\n")
        yield from whole
    if held:
        raise NotProven(f"{shard.object} ends within a line", fix="restore it from a backup")
