# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""One shard of a dataset, tokenized and packed by a worker: see corpus_pack."""

import functools
import hashlib
import struct
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from bastide.app.corpus_export import shard_lines
from bastide.app.corpus_export_megatron import little
from bastide.app.corpus_objects import RunWriter
from bastide.app.corpus_part import Workbench
from bastide.app.corpus_tokens import Tokenizer, open_tokenizer
from bastide.core.dataset import Shard, document_key
from bastide.core.limits import PACK_WINDOW_TOKENS
from bastide.core.packing import (
    BEST_FIT,
    PLACEMENT,
    PackedShard,
    Piece,
    best_fit,
    concatenate,
    cut,
    document_leaf,
)
from bastide.core.subject import hashed
from bastide.crypto.merkle import leaf_hash
from bastide.ports import SealingStore

__all__ = ["LEAF_WIDTH", "PACKED_WIDTH", "PIECE", "PackJob", "object_name", "pack_shard"]

# Of a piece: its sequence in the shard; its document in the shard, its offset there, its length.
PIECE: Final = struct.Struct("<IIII")
# Of a document: its leaf; then its shard and its number there.
LEAF_WIDTH: Final = 96
PACKED_WIDTH: Final = LEAF_WIDTH + 4 + 4


class PackJob(msgspec.Struct, frozen=True):
    """One shard to pack, how, and into which folder. tokenizer: path and digest of its file."""

    folder: str
    number: int
    shard: Shard
    length: int
    method: str
    tokenizer: tuple[str, str]
    end_token: str


def object_name(folder: str, number: int, part: str) -> str:
    """An object of one shard's packing."""
    return f"{folder}/{number:06d}/{part}"


def pack_shard(bench: Workbench, job: PackJob) -> PackedShard:
    """Pack one shard. Raises Refused if the tokenizer's file changed, NotProven for the shard."""
    store = bench.open()
    tokenizer = _tokenizer(job.tokenizer, job.end_token)
    runs = RunWriter(
        store, object_name(job.folder, job.number, "documents"), PACKED_WIDTH, memory=bench.memory
    )
    writer = _Writer(store, tokenizer, job, runs)
    objects = {}
    # The sequences are written while they are made; the others are known at their end.
    objects["sequences"] = _put(store, job.folder, job.number, "sequences", writer.run())
    objects["pieces"] = _put(store, job.folder, job.number, "pieces", iter([writer.pieces]))
    objects["leaves"] = _put(store, job.folder, job.number, "leaves", iter([writer.leaves]))
    report = PackedShard(
        number=job.number,
        documents=writer.documents,
        split=len(writer.split),
        pieces=len(writer.pieces) // PIECE.size,
        sequences=len(writer.leaves) // 32,
        tokens=writer.tokens,
        padding=len(writer.leaves) // 32 * job.length - writer.tokens,
        languages=dict(sorted(writer.languages.items())),
        objects=objects,
        runs=runs.close(),
    )
    store.put(object_name(job.folder, job.number, "report"), [msgspec.msgpack.encode(report)])
    return report


@functools.lru_cache(maxsize=1)
def _tokenizer(file: tuple[str, str], end_token: str) -> Tokenizer:
    return open_tokenizer(Path(file[0]), end_token, file[1])


def _put(
    store: SealingStore, folder: str, number: int, part: str, chunks: Iterator[bytes | bytearray]
) -> str:
    state = hashlib.sha256()
    store.put(object_name(folder, number, part), hashed(map(bytes, chunks), state))
    return f"sha256:{state.hexdigest()}"


class _Writer:
    """The sequences of one shard, window by window; `run` gives their bytes."""

    def __init__(
        self, store: SealingStore, tokenizer: Tokenizer, job: PackJob, runs: RunWriter
    ) -> None:
        self._store, self._tokenizer, self._job, self._runs = store, tokenizer, job, runs
        self._keys: dict[int, bytes] = {}  # of the documents in the window
        self.pieces, self.leaves = bytearray(), bytearray()
        self.documents = self.tokens = 0
        self.languages: dict[str, int] = {}
        self.split: set[int] = set()

    def run(self) -> Iterator[bytes]:
        window: dict[int, array] = {}
        held = 0
        for line, tokens in self._tokenizer.tokens(shard_lines(self._store, self._job.shard)):
            window[self.documents] = tokens
            self._keys[self.documents] = document_key(line.source, line.id)
            held += len(tokens)
            self.documents += 1
            self.tokens += len(tokens)
            language = line.language or "und"  # ISO 639-2: undetermined
            self.languages[language] = self.languages.get(language, 0) + len(tokens)
            if held >= max(PACK_WINDOW_TOKENS, 8 * self._job.length):
                yield from self._window(window)
                window, held = {}, 0
        yield from self._window(window)

    def _window(self, window: dict[int, array]) -> Iterator[bytes]:
        length = self._job.length
        if self._job.method == BEST_FIT:
            pieces = [
                piece for number, row in window.items() for piece in cut(number, len(row), length)
            ]
            sequences = best_fit(pieces, length)
        else:
            whole = [Piece(number, 0, len(row)) for number, row in window.items()]
            sequences = concatenate(whole, length)
        assert self._tokenizer.end is not None
        places: dict[int, list[tuple[int, bytes]]] = {number: [] for number in window}
        for sequence in sequences:
            row = array(self._tokenizer.kind)
            told = bytearray()
            for piece in sequence:
                tokens = window[piece.document]
                number = len(self.leaves) // 32
                place = (self._job.number, number, len(row), piece.offset, piece.length)
                places[piece.document].append((piece.offset, PLACEMENT.pack(*place)))
                row += tokens[piece.offset : piece.offset + piece.length]
                told += PIECE.pack(number, piece.document, piece.offset, piece.length)
                if piece.length < len(tokens):
                    self.split.add(piece.document)
            row.extend([self._tokenizer.end] * (length - len(row)))
            data = little(row)
            self.pieces += told
            self.leaves += leaf_hash(data + told)
            yield data
        for number, tokens in window.items():
            ordered = b"".join(row for _, row in sorted(places[number]))
            leaf = document_leaf(self._keys.pop(number), little(tokens), ordered)
            self._runs.add(leaf + struct.pack(">II", self._job.number, number))
