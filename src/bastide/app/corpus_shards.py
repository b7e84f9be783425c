# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The shards of a dataset: what the steps kept, as Zstandard over JSON Lines.

Parts are gathered into batches by what they kept, so that where a shard ends depends on the input
and the recipe alone. A batch is the work of one worker; its `report` is written last.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Final

import msgspec

from bastide.app.corpus_objects import RunWriter, compressor, read_rows, read_segments
from bastide.app.corpus_part import Example, PartReport, Workbench, place_of
from bastide.app.corpus_removed import GONE_WIDTH, REASONS
from bastide.core.dataset import Shard, document_key, leaf_of
from bastide.core.document import Document
from bastide.core.limits import CORPUS_EXAMPLE_CHARS, CORPUS_EXAMPLES
from bastide.filters.near_duplicate import exact_digest
from bastide.ports import SealingStore

__all__ = [
    "LEAF_WIDTH",
    "Batch",
    "BatchReport",
    "Leaves",
    "Line",
    "cut_batches",
    "shard_name",
    "write_batch",
]

# A leaf of the dataset's tree: key and text digest; then batch, shard and line of the document.
LEAF_WIDTH: Final = 32 + 32 + 4 + 4 + 4


class Line(msgspec.Struct, frozen=True, omit_defaults=True):
    """One document of a dataset, as its shard holds it."""

    id: str
    text: str
    source: str
    url: str = ""
    language: str = ""
    notes: dict[str, str | int | float] = {}


class Batch(msgspec.Struct, frozen=True):
    """Parts whose documents share shards. input: a digest of what the report is made of.

    parts: the number of each, and how many segments of documents it has.
    gone: the first row of the object `gone` that is about the batch, and how many are.
    """

    number: int
    shard_bytes: int
    input: str
    parts: list[tuple[int, int]]
    gone: tuple[int, int]


class BatchReport(msgspec.Struct):
    """A finished batch."""

    number: int
    input: str
    shards: list[Shard] = []
    leaves: int = 0
    documents: int = 0
    bytes: int = 0
    chars: int = 0
    languages: dict[str, int] = {}
    sources: dict[str, int] = {}
    examples: list[Example] = []


class Leaves:
    """The leaves of a dataset's tree, sorted by key; they can be read more than once."""

    def __init__(self, store: SealingStore, folder: str) -> None:
        self._store = store
        self._name = f"{folder}/leaves"

    def __iter__(self) -> Iterator[bytes]:
        return (row[:64] for row in read_rows(self._store, self._name, LEAF_WIDTH))


def shard_name(folder: str, batch: int, shard: int) -> str:
    """The object of a shard."""
    return f"{folder}/shards/{batch:06d}-{shard:06d}"


def cut_batches(
    reports: Sequence[PartReport], gone: Iterable[bytes], shard_bytes: int
) -> list[Batch]:
    """Gather consecutive parts until they hold a shard's worth. gone: the rows of `gone`."""
    groups: list[list[tuple[int, int]]] = []
    size = 0
    for report in reports:
        if not groups or size + report.kept_bytes > shard_bytes:
            groups.append([])
            size = 0
        size += report.kept_bytes
        groups[-1].append((report.number, report.objects.get("documents", 0)))
    batches: list[Batch] = []
    rows = iter(gone)
    row = next(rows, None)
    first = 0
    for number, parts in enumerate(groups):
        state = hashlib.sha256(msgspec.json.encode((shard_bytes, parts)))
        end = place_of(parts[-1][0] + 1, 0)
        count = 0
        while row is not None and row[:8] < end:
            state.update(row)
            count += 1
            row = next(rows, None)
        batches.append(Batch(number, shard_bytes, state.hexdigest(), parts, (first, count)))
        first += count
    return batches


def write_batch(bench: Workbench, batch: Batch) -> BatchReport:
    """Write the shards of one batch."""
    store = bench.open()
    name = f"{bench.folder}/batches/{batch.number:06d}"
    report = BatchReport(batch.number, batch.input)
    leaves = RunWriter(store, f"{name}/leaves", LEAF_WIDTH, memory=bench.memory)
    writer = _ShardWriter(store, bench.folder, batch.number, batch.shard_bytes)
    first, count = batch.gone
    gone = islice(read_rows(store, f"{bench.folder}/gone", GONE_WIDTH, first), count)
    removed = next(gone, b"")
    for place, document in _documents(store, bench.folder, batch):
        if removed[:8] == place:
            _exemplify(report, document, REASONS[removed[8]])
            removed = next(gone, b"")
            continue
        where = writer.add(document)
        key = document_key(document.source, document.ident)
        leaves.add(leaf_of(key, exact_digest(document.text)) + where)
        _count(report, document)
    report.shards = writer.close()
    report.leaves = leaves.close()
    store.put(f"{name}/report", [msgspec.msgpack.encode(report)])
    return report


def _documents(store: SealingStore, folder: str, batch: Batch) -> Iterator[tuple[bytes, Document]]:
    """The documents of all parts of a batch, each with its place."""
    for part, segments in batch.parts:
        name = f"{folder}/parts/{part:06d}/documents"
        for position, document in read_segments(store, name, segments, tuple[int, Document]):
            yield place_of(part, position), document


def _count(report: BatchReport, document: Document) -> None:
    report.documents += 1
    report.bytes += len(document.text.encode())
    report.chars += len(document.text)
    language = document.language or "und"  # ISO 639-2: undetermined
    report.languages[language] = report.languages.get(language, 0) + 1
    report.sources[document.source] = report.sources.get(document.source, 0) + 1


def _exemplify(report: BatchReport, document: Document, reason: str) -> None:
    if sum(example.reason == reason for example in report.examples) < CORPUS_EXAMPLES:
        text = document.text[:CORPUS_EXAMPLE_CHARS]
        report.examples.append(Example(reason, document.source, document.ident, text))


class _ShardWriter:
    def __init__(self, store: SealingStore, folder: str, batch: int, bytes_max: int) -> None:
        self._store = store
        self._folder = folder
        self._batch = batch
        self._bytes_max = bytes_max
        self._maker = compressor()
        self._encode = msgspec.json.Encoder().encode
        self._shards: list[Shard] = []
        self._begin()

    def _begin(self) -> None:
        self._stream: Any = self._maker.compressobj()
        self._pieces: list[bytes] = []
        self._documents = self._size = 0

    def add(self, document: Document) -> bytes:
        """Add one document; where it is: batch, shard, line from 0."""
        line = Line(
            document.ident,
            document.text,
            document.source,
            document.url,
            document.language,
            dict(sorted(document.notes.items())),
        )
        data = self._encode(line) + b"\n"
        if self._documents and self._size + len(data) > self._bytes_max:
            self._end()
        where = (self._batch, len(self._shards), self._documents)
        self._pieces.append(self._stream.compress(data))
        self._documents += 1
        self._size += len(data)
        return b"".join(number.to_bytes(4, "big") for number in where)

    def close(self) -> list[Shard]:
        """Write what is left; every shard of the batch."""
        if self._documents:
            self._end()
        return self._shards

    def _end(self) -> None:
        self._pieces.append(self._stream.flush())
        name = shard_name(self._folder, self._batch, len(self._shards))
        state = hashlib.sha256()
        for piece in self._pieces:
            state.update(piece)
        self._store.put(name, [piece for piece in self._pieces if piece])
        digest = f"sha256:{state.hexdigest()}"
        self._shards.append(Shard(name, digest, self._documents, self._size))
        self._begin()
