# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Packing a dataset: its documents as token sequences of one length, sealed, in its own folder.

Each shard of the dataset is the work of one worker and becomes three objects:

* sequences: the sequences one after another, each `length` tokens, little-endian.
* pieces: one row for each piece, in the order of the sequences: PIECE.
* leaves: 32 bytes for each sequence, the RFC 6962 hash over its tokens and its rows of `pieces`.

Beside them lie runs of rows for its documents: what `core.packing.document_leaf` has of each, by
key, and where it stands. Merged they are the object `documents`, and give a second root.

A shard's report is written after its objects, the manifest after all reports, and the statement
`packing/v1` last. Where a person is erased from a dataset, its folder goes, packings included.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from bastide.app.alone import alone
from bastide.app.corpora import find_dataset, manifest_of
from bastide.app.corpus_build import Progress, folder_of
from bastide.app.corpus_objects import merged_rows, put_rows, read_object, read_rows
from bastide.app.corpus_pack_rule import verify_may_pack
from bastide.app.corpus_pack_work import (
    LEAF_WIDTH,
    PACKED_WIDTH,
    PackJob,
    object_name,
    pack_shard,
)
from bastide.app.corpus_part import bench_of, damaged_objects
from bastide.app.corpus_pool import Pool
from bastide.app.corpus_tokens import Tokenizer, open_tokenizer
from bastide.app.denials import SignedDenials
from bastide.app.duties import require
from bastide.app.environment import Environment
from bastide.core.canonical import canonical
from bastide.core.dataset import Manifest
from bastide.core.errors import Misconfigured, NotAllowed, NotFound, NotProven
from bastide.core.evidence import Evidence, Statement
from bastide.core.key import Purpose
from bastide.core.limits import MIB, PACK_LENGTH_MAX, PACK_LENGTH_MIN, PACK_WINDOW_TOKENS
from bastide.core.packing import (
    BEST_FIT,
    METHODS,
    PackedShard,
    Packing,
)
from bastide.core.subject import Digest, Subject
from bastide.crypto.merkle import Frontier
from bastide.crypto.sorted_tree import sorted_root
from bastide.ports import SealingStore
from bastide.stages.dataset_release import find_release

__all__ = ["pack_dataset", "packing_folder"]

_PARTS: Final = ("sequences", "pieces", "leaves")


def packing_folder(dataset: Evidence, key: str) -> str:
    """Where a packing of a dataset lies. key: see `_key`."""
    return f"{folder_of(dataset.body['build'])}/packings/{key}"


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
    verify_may_pack(env.ledger, dataset)
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
        verify_may_pack(env.ledger, find_dataset(env, name))  # an erasure may have been waited for
        env.store.sweep(folder)
        reports = _pack(env, folder_of(dataset.body["build"]), folder, jobs, workers, tell)
        root = _documents(env.store, folder, reports, manifest.documents)
        packing = _packing(env.store, folder, manifest, opened, length, method, reports, root)
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
        "documents": LEAF_WIDTH,
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
    denied = SignedDenials(env.ledger)
    with Pool(env.settings, min(workers, max(1, len(jobs))), bench, denied) as pool:
        found = {job.number: _report(env.store, folder, job.number) for job in jobs}
        held = {str(number): report for number, report in found.items() if report is not None}
        checks = [
            (name, [object_name(folder, report.number, part) for part in (*_PARTS, *_runs(report))])
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
    """A shard's report, or None if there is none that holds: then it is packed again."""
    try:
        data = read_object(store, object_name(folder, number, "report"))
        return msgspec.msgpack.decode(data, type=PackedShard)
    except (NotFound, NotProven, NotAllowed, msgspec.DecodeError):
        return None


def _runs(report: PackedShard) -> list[str]:
    return [f"documents-{number}" for number in range(report.runs)]


def _documents(store: SealingStore, folder: str, reports: Sequence[PackedShard], count: int) -> str:
    """Write the object `documents`; the root over it. Raises NotProven for another number."""
    runs = [object_name(folder, report.number, run) for report in reports for run in _runs(report)]
    name = f"{folder}/documents"
    put_rows(store, name, merged_rows(store, runs, PACKED_WIDTH, f"{folder}/merge"))
    root, size = sorted_root(row[:LEAF_WIDTH] for row in read_rows(store, name, PACKED_WIDTH))
    if size != count:
        raise NotProven(f"{size} documents are packed, and the dataset has {count}")
    return root.hex()


def _packing(
    store: SealingStore,
    folder: str,
    manifest: Manifest,
    tokenizer: Tokenizer,
    length: int,
    method: str,
    reports: list[PackedShard],
    documents_root: str,
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
        documents_root=documents_root,
    )


def _record(env: Environment, dataset: Evidence, packing: Packing, key: str) -> Evidence:
    known = env.ledger.find("packing/v1", subject=packing.digest)
    if known:
        return known[-1]
    release = find_release(env.ledger, dataset)
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
        "release": str(release.digest) if release is not None else None,
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
    "documents_root",
)  # fmt: skip
_SUMS: Final = ("documents", "split", "pieces", "sequences", "tokens", "padding")
