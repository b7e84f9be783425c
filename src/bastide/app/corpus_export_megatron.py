# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Megatron-LM's indexed dataset: every shard as the token numbers of its documents, and an index.

`NAME-00000.bin` holds the tokens of all documents one after another. `NAME-00000.idx` says where
each begins (megatron/core/datasets/indexed_dataset.py): magic, version 1, the code of the tokens'
type, the number of sequences and of document bounds, then int32 lengths in tokens, int64 offsets in
bytes, and int64 numbers of the sequences with which documents begin. All is little-endian. A
document is one sequence. `tokens.json` names what tokenized, and counts.
"""

import hashlib
import struct
import sys
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Final

import msgspec

from bastide.app.corpus_export import Export, shard_lines, whole, write_manifest
from bastide.app.corpus_shards import Line
from bastide.core.dataset import Shard
from bastide.core.errors import Misconfigured
from bastide.core.limits import MIB

__all__ = ["export_megatron"]

_MAGIC: Final = b"MMIDIDX\x00\x00"
_VERSION: Final = 1
_INT32, _UINT16 = (4, "i"), (8, "H")  # the type's code, and that of `array`
_UINT16_VOCABULARY: Final = 65_500  # below it Megatron-LM takes uint16
_BATCH_BYTES: Final = 4 * MIB  # of text that is tokenized at once


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
    """Write a pair of files for each shard; every file, `dataset.json` last.

    Raises Misconfigured without a tokenizer, for one that cannot be read or lacks the end token.
    """
    encoder, counted = _encoder(export)
    code = _UINT16 if counted.dtype == "uint16" else _INT32
    written = []
    for number, shard in enumerate(export.manifest.shards):
        stem = export.target / f"{export.manifest.name}-{number:05d}"
        data, index = stem.with_name(stem.name + ".bin"), stem.with_name(stem.name + ".idx")
        # The index is renamed last: with it, the pair is whole.
        with whole(index) as index_file, whole(data) as data_file:
            lengths = _write_tokens(export, shard, encoder, counted, code[1], data_file)
            _write_index(lengths, code, index_file)
        written += [data, index]
        export.advance(number + 1)
    path = export.target / "tokens.json"
    counted.languages = dict(sorted(counted.languages.items()))
    with whole(path) as file:
        file.write(msgspec.json.format(msgspec.json.encode(counted)) + b"\n")
    return [*written, path, write_manifest(export)]


def _encoder(export: Export) -> tuple[Any, _Tokens]:
    if export.tokenizer is None:
        raise Misconfigured(
            "the form megatron holds token numbers", fix="name one: --tokenizer tokenizer.json"
        )
    try:
        import tokenizers
    except ImportError as error:
        raise Misconfigured(
            "tokenizing needs a package that is not installed", fix="pip install 'bastide[corpus]'"
        ) from error
    raw = export.tokenizer.read_bytes()
    try:
        encoder = tokenizers.Tokenizer.from_buffer(raw)
    except Exception as error:  # the library raises nothing more precise
        raise Misconfigured(
            f"{export.tokenizer} is no tokenizer: {error}",
            fix="name a tokenizer.json as the package `tokenizers` writes it",
        ) from error
    encoder.no_truncation()  # a file may ask for it, and texts would be cut unseen
    encoder.no_padding()
    encoder.encode_special_tokens = True  # a text that spells the end token does not end there
    end = encoder.token_to_id(export.end_token) if export.end_token else None
    if export.end_token and end is None:
        raise Misconfigured(
            f"{export.tokenizer} has no token {export.end_token!r}",
            fix="name the token that ends a text, such as <|endoftext|>",
        )
    size = max(encoder.get_vocab(with_added_tokens=True).values(), default=0) + 1
    return encoder, _Tokens(
        dataset=str(export.account.subject.digest),
        tokenizer=f"sha256:{hashlib.sha256(raw).hexdigest()}",
        tokenizers=tokenizers.__version__,
        vocabulary=size,
        dtype="uint16" if size < _UINT16_VOCABULARY else "int32",
        end=end,
    )


def _write_tokens(
    export: Export, shard: Shard, encoder: Any, counted: _Tokens, kind: str, file: BinaryIO
) -> array:
    """Write the tokens of a shard; how many each document has."""
    lengths = array("i")
    tail = [] if counted.end is None else [counted.end]
    for batch in _batches(shard_lines(export.store, shard)):
        texts = [line.text for line in batch]
        for line, found in zip(
            batch, encoder.encode_batch_fast(texts, add_special_tokens=False), strict=True
        ):
            tokens = array(kind, found.ids + tail)
            file.write(_little(tokens))
            lengths.append(len(tokens))
            counted.documents += 1
            counted.tokens += len(tokens)
            known = counted.languages.get(line.language, 0)
            counted.languages[line.language] = known + len(tokens)
    return lengths


def _batches(lines: Iterator[Line]) -> Iterator[Sequence[Line]]:
    batch: list[Line] = []
    size = 0
    for line in lines:
        batch.append(line)
        size += len(line.text)
        if size >= _BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _write_index(lengths: array, code: tuple[int, str], file: BinaryIO) -> None:
    count, width = len(lengths), array(code[1]).itemsize
    file.write(_MAGIC + struct.pack("<QBQQ", _VERSION, code[0], count, count + 1))
    offsets = array("q")
    at = 0
    for length in lengths:
        offsets.append(at)
        at += length * width
    file.write(_little(lengths))
    file.write(_little(offsets))
    file.write(_little(array("q", range(count + 1))))


def _little(values: array) -> bytes:
    if sys.byteorder == "big":
        values = values[:]
        values.byteswap()
    return values.tobytes()
