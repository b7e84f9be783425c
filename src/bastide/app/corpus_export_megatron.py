# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Megatron-LM's indexed dataset: every shard as the token numbers of its documents, and an index.

`NAME-00000.bin` holds the tokens of all documents one after another. `NAME-00000.idx` says where
each begins (megatron/core/datasets/indexed_dataset.py): magic, version 1, the code of the tokens'
type, the number of sequences and of document bounds, then int32 lengths in tokens, int64 offsets in
bytes, and int64 numbers of the sequences with which documents begin. All is little-endian. A
document is one sequence. `tokens.json` names what tokenized, and counts.
"""

import struct
import sys
from array import array
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from bastide.app.corpus_export import Export, shard_lines, whole, write_manifest
from bastide.app.corpus_export_journal import Journal
from bastide.app.corpus_shards import Line
from bastide.app.corpus_tokens import Tokenizer, open_tokenizer
from bastide.core.dataset import Shard
from bastide.core.errors import Misconfigured

__all__ = ["export_megatron", "little", "write_index"]

_MAGIC: Final = b"MMIDIDX\x00\x00"
_VERSION: Final = 1
_HEAD: Final = struct.calcsize("<QBQQ")
_CODES: Final = {"int32": (4, 4), "uint16": (8, 2)}  # the code of a type, and its bytes


class _Tokens(msgspec.Struct):
    """What `tokens.json` says. dtype: of Megatron-LM. end: number of the token after each document,
    or nothing. tokens: with these. languages: tokens of each."""

    dataset: str
    tokenizer: str
    tokenizers: str
    vocabulary: int
    dtype: str
    end: int | None
    documents: int = 0
    tokens: int = 0
    languages: dict[str, int] = {}


def export_megatron(export: Export) -> list[Path]:
    """Write a pair of files for each shard; every file, `dataset.json` last. A killed one goes on.

    Raises Misconfigured without a tokenizer, for one that cannot be read or lacks the end token.
    """
    tokenizer, counted = _tokenizer(export)
    what = {"form": "megatron", **msgspec.to_builtins(counted)}
    with Journal(export.target, what) as journal:
        written = [
            path
            for number, shard in enumerate(export.manifest.shards)
            for path in _write_shard(export, journal, number, shard, tokenizer, counted)
        ]
        path = export.target / "tokens.json"
        counted.languages = dict(sorted(counted.languages.items()))
        with whole(path) as file:
            file.write(msgspec.json.format(msgspec.json.encode(counted)) + b"\n")
        return [*written, path, write_manifest(export)]


def _write_shard(
    export: Export,
    journal: Journal,
    number: int,
    shard: Shard,
    tokenizer: Tokenizer,
    counted: _Tokens,
) -> tuple[Path, Path]:
    """The two files of a shard, written or found."""
    stem = export.target / f"{export.manifest.name}-{number:05d}"
    data, index = stem.with_name(stem.name + ".bin"), stem.with_name(stem.name + ".idx")
    if journal.finished(number, (data, index)):
        _count_again(export, shard, index, counted)
    else:
        mark = journal.mark(number)
        # The index is renamed last: with it, the pair is whole.
        with whole(index, mark) as index_file, whole(data, mark) as data_file:
            lengths = _write_tokens(export, shard, tokenizer, counted, data_file)
            write_index(lengths, tokenizer.dtype, index_file)
        journal.add(number, (data, index))
    export.advance(number + 1)
    return data, index


def _tokenizer(export: Export) -> tuple[Tokenizer, _Tokens]:
    if export.tokenizer is None:
        raise Misconfigured(
            "the form megatron holds token numbers", fix="name one: --tokenizer tokenizer.json"
        )
    tokenizer = open_tokenizer(export.tokenizer, export.end_token)
    return tokenizer, _Tokens(
        dataset=str(export.account.subject.digest),
        tokenizer=tokenizer.digest,
        tokenizers=tokenizer.version,
        vocabulary=tokenizer.vocabulary,
        dtype=tokenizer.dtype,
        end=tokenizer.end,
    )


def _write_tokens(
    export: Export, shard: Shard, tokenizer: Tokenizer, counted: _Tokens, file: BinaryIO
) -> array:
    """Write the tokens of a shard; how many each document has."""
    lengths = array("i")
    for line, tokens in tokenizer.tokens(shard_lines(export.store, shard)):
        file.write(little(tokens))
        lengths.append(len(tokens))
        _count(counted, line, len(tokens))
    return lengths


def _count_again(export: Export, shard: Shard, index: Path, counted: _Tokens) -> None:
    """Count a shard whose files are there: lengths are in the index, languages in the shard."""
    lengths = array("i")
    with index.open("rb") as file:
        _, _, count, _ = struct.unpack("<QBQQ", file.read(len(_MAGIC) + _HEAD)[len(_MAGIC) :])
        lengths.frombytes(file.read(count * lengths.itemsize))
    if sys.byteorder == "big":
        lengths.byteswap()
    for line, tokens in zip(shard_lines(export.store, shard), lengths, strict=True):
        _count(counted, line, tokens)


def _count(counted: _Tokens, line: Line, tokens: int) -> None:
    counted.documents += 1
    counted.tokens += tokens
    counted.languages[line.language] = counted.languages.get(line.language, 0) + tokens


def write_index(lengths: array, dtype: str, file: BinaryIO) -> None:
    """Write the index of sequences of so many tokens, each a document."""
    count, (code, width) = len(lengths), _CODES[dtype]
    file.write(_MAGIC + struct.pack("<QBQQ", _VERSION, code, count, count + 1))
    offsets = array("q")
    at = 0
    for length in lengths:
        offsets.append(at)
        at += length * width
    file.write(little(lengths))
    file.write(little(offsets))
    file.write(little(array("q", range(count + 1))))


def little(values: array) -> bytes:
    """The numbers as bytes, little-endian whatever the machine."""
    if sys.byteorder == "big":
        values = values[:]
        values.byteswap()
    return values.tobytes()
