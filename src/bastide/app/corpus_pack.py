# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Packing a dataset: its documents as token sequences of one length, sealed, in its own folder.

Each shard of the dataset is the work of one worker and becomes three objects:

* sequences: the sequences one after another, each `length` tokens, little-endian.
* pieces: one row for each piece, in the order of the sequences: PIECE.
* leaves: 32 bytes for each sequence, the RFC 6962 hash over its tokens and its rows of `pieces`.

A shard's report is written after its objects, the manifest after all reports, and the statement
`packing/v1` last. Where a person is erased from a dataset, its folder goes, packings included.
"""

import functools
import hashlib
import struct
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from bastide.app.alone import alone
from bastide.app.corpora import find_dataset, manifest_of
from bastide.app.corpus_build import Progress, folder_of
from bastide.app.corpus_export import shard_lines
from bastide.app.corpus_export_megatron import little
from bastide.app.corpus_objects import read_object
from bastide.app.corpus_part import Workbench, bench_of, damaged_objects
from bastide.app.corpus_pool import Pool
from bastide.app.corpus_tokens import Tokenizer, open_tokenizer
from bastide.app.duties import require
from bastide.app.environment import Environment
from bastide.core.canonical import canonical
from bastide.core.dataset import Manifest, Shard
from bastide.core.errors import Misconfigured, NotFound
from bastide.core.evidence import Evidence, Statement
from bastide.core.key import Purpose
from bastide.core.limits import MIB, PACK_LENGTH_MAX, PACK_LENGTH_MIN, PACK_WINDOW_TOKENS
from bastide.core.packing import (
    BEST_FIT,
    METHODS,
    PackedShard,
    Packing,
    Piece,
    best_fit,
    concatenate,
    cut,
)
from bastide.core.subject import Digest, Subject
from bastide.crypto.merkle import Frontier, leaf_hash
from bastide.ports import SealingStore

__all__ = ["PIECE", "PackJob", "object_name", "pack_dataset", "pack_shard", "packing_folder"]

# Of a piece: its sequence in the shard; its document in the shard, its offset there, its length.
PIECE: Final = struct.Struct("<IIII")
_PARTS: Final = ("sequences", "pieces", "leaves")


class PackJob(msgspec.Struct, frozen=True):
    """One shard to pack, how, and into which folder. tokenizer: path and digest of its file."""

    folder: str
    number: int
    shard: Shard
    length: int
    method: str
    tokenizer: tuple[str, str]
    end_token: str


def packing_folder(dataset: Evidence, key: str) -> str:
    """Where a packing of a dataset lies. key: see `_key`."""
    return f"{folder_of(dataset.body['build'])}/packings/{key}"


def object_name(folder: str, number: int, part: str) -> str:
    """An object of one shard's packing."""
    return f"{folder}/{number:06d}/{part}"


def pack_dataset(
    env: Environment,
    name: str,
    tokenizer: Path,
    end_token: str,
    length: int,
    method: str = BEST_FIT,
    workers: int = 1,
    progress: Progress | None = None,
) -> Evidence:
    """Pack a dataset; the same again is the packing that exists. What was killed goes on.

    end_token: the token after each document, which also fills sequences up. Raises Misconfigured,
    NotFound, Refused for a dataset from which a person was erased.
    """
    require(env, "dataset-build", name)
    if not PACK_LENGTH_MIN <= length <= PACK_LENGTH_MAX:
        raise Misconfigured(f"--length is not between {PACK_LENGTH_MIN} and {PACK_LENGTH_MAX}")
    if method not in METHODS:
        raise Misconfigured(f"there is no method {method!r}", fix=f"one of {', '.join(METHODS)}")
    if not end_token:
        raise Misconfigured(
            "documents that share a sequence need a token between them",
            fix="name it: --end-token '<|endoftext|>'",
        )
    opened = open_tokenizer(tokenizer, end_token)
    dataset = find_dataset(env, name)
    manifest = manifest_of(env, dataset)
    key = _key(dataset, opened, length, method)
    folder = packing_folder(dataset, key)
    tell = progress or (lambda what, done, total: None)
    jobs = [
        PackJob(folder, number, shard, length, method, (str(tokenizer), opened.digest), end_token)
        for number, shard in enumerate(manifest.shards)
    ]
    lock = env.home.store / folder_of(dataset.body["build"])
    with alone(lock, lambda: tell("waiting for another build", 0, 0)):
        find_dataset(env, name)  # an erasure may have been waited for
        env.store.sweep(folder)
        reports = _pack(env, folder_of(dataset.body["build"]), folder, jobs, workers, tell)
        packing = _packing(env.store, folder, manifest, opened, length, method, reports)
        env.store.put(f"{folder}/manifest", [packing.encode()])
        return _record(env, dataset, packing, key)


def _key(dataset: Evidence, tokenizer: Tokenizer, length: int, method: str) -> str:
    """The name of a packing's folder: of all that decides its bytes."""
    decided = {
        "dataset": str(dataset.subject.digest),
        "tokenizer": tokenizer.digest,
        "tokenizers": tokenizer.version,
        "end": tokenizer.end,
        "length": length,
        "method": method,
        "window": PACK_WINDOW_TOKENS,
    }
    return Digest.of(canonical(decided)).hex[:32]


def _pack(
    env: Environment,
    build: str,
    folder: str,
    jobs: Sequence[PackJob],
    workers: int,
    tell: Progress,
) -> list[PackedShard]:
    """The reports of all shards; only what is not there, or is damaged, is packed.

    build: the dataset's folder, by which workers see that they have the store.
    """
    bench = bench_of(env, build)
    total = sum(job.shard.bytes for job in jobs)
    reports: dict[int, PackedShard] = {}
    with Pool(env.settings, min(workers, max(1, len(jobs))), bench) as pool:
        found = {job.number: _report(env.store, folder, job.number) for job in jobs}
        held = {str(number): report for number, report in found.items() if report is not None}
        checks = [
            (name, [object_name(folder, report.number, part) for part in _PARTS])
            for name, report in held.items()
        ]
        for (name, _), damaged in pool.each(damaged_objects, checks):
            if damaged:
                tell(f"doing again what was damaged: {damaged[0]}", len(reports), len(held))
            else:
                reports[held[name].number] = held[name]
        missing = [job for job in jobs if job.number not in reports]
        done = total - sum(job.shard.bytes for job in missing)
        tell("packing", done, total)
        for job, report in pool.each(pack_shard, missing):
            reports[job.number] = report
            done += job.shard.bytes
            tell("packing", done, total)
    return [reports[job.number] for job in jobs]


def _report(store: SealingStore, folder: str, number: int) -> PackedShard | None:
    try:
        data = read_object(store, object_name(folder, number, "report"))
        return msgspec.msgpack.decode(data, type=PackedShard)
    except (NotFound, msgspec.DecodeError):
        return None


def _packing(
    store: SealingStore,
    folder: str,
    manifest: Manifest,
    tokenizer: Tokenizer,
    length: int,
    method: str,
    reports: list[PackedShard],
) -> Packing:
    tree = Frontier()
    for report in reports:
        with store.open(object_name(folder, report.number, "leaves")) as reader:
            for offset in range(0, reader.size, MIB):
                data = reader.read_at(offset, MIB)
                for at in range(0, len(data), 32):
                    tree.append(data[at : at + 32])
    assert tokenizer.end is not None
    return Packing(
        dataset=str(manifest.digest),
        tokenizer=tokenizer.digest,
        tokenizers=tokenizer.version,
        vocabulary=tokenizer.vocabulary,
        dtype=tokenizer.dtype,
        length=length,
        method=method,
        end=tokenizer.end,
        root=tree.root().hex(),
        shards=reports,
    )


def _record(env: Environment, dataset: Evidence, packing: Packing, key: str) -> Evidence:
    known = env.ledger.find("packing/v1", subject=packing.digest)
    if known:
        return known[-1]
    languages: dict[str, int] = {}
    for shard in packing.shards:
        for language, count in shard.languages.items():
            languages[language] = languages.get(language, 0) + count
    body: dict[str, Any] = {
        "name": dataset.subject.name,
        "manifest": str(packing.digest),
        "folder": key,
        **{field: getattr(packing, field) for field in _SAID},
        **{field: sum(getattr(shard, field) for shard in packing.shards) for field in _SUMS},
        "languages": dict(sorted(languages.items())),
        "shards": len(packing.shards),
        "time_ms": env.clock.now_ms(),
    }
    subjects = (Subject(dataset.subject.name, packing.digest),)
    return env.ledger.append_statement(
        Statement("packing/v1", subjects, body), [env.signer(Purpose.EVIDENCE)]
    )


_SAID: Final = (
    "dataset", "tokenizer", "tokenizers", "vocabulary", "dtype", "length", "method", "end", "root",
)  # fmt: skip
_SUMS: Final = ("documents", "split", "pieces", "sequences", "tokens", "padding")


# In a worker


def pack_shard(bench: Workbench, job: PackJob) -> PackedShard:
    """Pack one shard. Raises Refused if the tokenizer's file changed, NotProven for the shard."""
    store = bench.open()
    tokenizer = _tokenizer(job.tokenizer, job.end_token)
    writer = _Writer(store, tokenizer, job)
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

    def told() -> Iterator[bytes]:
        for chunk in chunks:
            state.update(chunk)
            yield bytes(chunk)

    store.put(object_name(folder, number, part), told())
    return f"sha256:{state.hexdigest()}"


class _Writer:
    """The sequences of one shard, window by window; `run` gives their bytes."""

    def __init__(self, store: SealingStore, tokenizer: Tokenizer, job: PackJob) -> None:
        self._store, self._tokenizer, self._job = store, tokenizer, job
        self.pieces, self.leaves = bytearray(), bytearray()
        self.documents = self.tokens = 0
        self.languages: dict[str, int] = {}
        self.split: set[int] = set()

    def run(self) -> Iterator[bytes]:
        window: dict[int, array] = {}
        held = 0
        for line, tokens in self._tokenizer.tokens(shard_lines(self._store, self._job.shard)):
            window[self.documents] = tokens
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
        for sequence in sequences:
            row = array(self._tokenizer.kind)
            told = bytearray()
            for piece in sequence:
                tokens = window[piece.document]
                row += tokens[piece.offset : piece.offset + piece.length]
                number = len(self.leaves) // 32
                told += PIECE.pack(number, piece.document, piece.offset, piece.length)
                if piece.length < len(tokens):
                    self.split.add(piece.document)
            row.extend([self._tokenizer.end] * (length - len(row)))
            data = little(row)
            self.pieces += told
            self.leaves += leaf_hash(data + told)
            yield data
