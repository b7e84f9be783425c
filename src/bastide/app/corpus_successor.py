# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The successor of a dataset: the same without some documents, with a proof for each that went.

Shards that had none of them stay where they are, and the successor's manifest names them there.
Leaves, keys, lives and reports are the successor's own, in its own folder. A tombstone shows for
one removed document that its leaf is in the old tree, and that its key is not in the new one.
"""

import hashlib
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

import msgspec

from bastide.app.corpus_build import Progress, folder_of
from bastide.app.corpus_erase_work import Gone, ScrubJob, ShardReport, scrub_report
from bastide.app.corpus_objects import (
    SegmentWriter,
    copy_object,
    put_rows,
    read_rows,
    read_segments,
    row_in,
)
from bastide.app.corpus_part import KEY_WIDTH
from bastide.app.corpus_pool import Pool
from bastide.app.corpus_shards import LEAF_WIDTH, Leaves
from bastide.app.environment import Environment
from bastide.core.canonical import canonical
from bastide.core.dataset import Manifest, StepCount, leaf_of
from bastide.core.errors import NotFound, NotProven
from bastide.core.evidence import Evidence
from bastide.core.subject import Digest
from bastide.crypto.sorted_tree import (
    Proof,
    prove_all,
    sorted_root,
    verify_absent,
    verify_present,
)
from bastide.filters.erasure import ERASURE, ERASURE_REASON
from bastide.ports import SealingStore

__all__ = ["Tombstone", "make_successor", "positions_of", "read_tombstones", "successor_build"]

_AT_ONCE: Final = 4_096  # proofs that one reading of the leaves makes
_COPIED: Final = ("duplicates", "keys", "recipe")


class Tombstone(msgspec.Struct, frozen=True):
    """That a document was in a dataset (`present`), and is not in its successor (`absent`)."""

    present: Proof
    absent: Proof


def successor_build(row: Evidence, subject: bytes) -> str:
    """The name of the successor's build: the same for the same dataset and subject."""
    value = {
        "build": row.body["build"],
        "dataset": str(row.subject.digest),
        "erased": subject.hex(),
    }
    return Digest.of(canonical(value)).hex


def make_successor(
    env: Environment,
    row: Evidence,
    manifest: Manifest,
    build: str,
    found: Mapping[str, ShardReport],
    pool: Pool,
    jobs: Sequence[ScrubJob],
    tell: Progress,
) -> tuple[Manifest, dict[str, Any], int]:
    """Write the successor but for its entry: its manifest, what the ledger is to say of it, and how
    many records were scrubbed. Raises NotProven if what is left does not add up.
    """
    old, new = folder_of(row.body["build"]), folder_of(build)
    env.store.sweep(new)
    every = (gone for report in found.values() for gone in report.removed)
    removed = sorted(every, key=lambda gone: gone.key)
    scrubbed = _beside(env.store, old, new, pool, jobs, tell)
    tell("hashing the successor", 0, 1)
    leaves = _left(read_rows(env.store, f"{old}/leaves", LEAF_WIDTH), found)
    put_rows(env.store, f"{new}/leaves", leaves)
    root, size = sorted_root(Leaves(env.store, new))
    successor = _successor(manifest, build, root.hex(), removed, found)
    if size != successor.documents or size + len(removed) != manifest.documents:
        raise NotProven(f"{size} leaves are left of {manifest.documents}, {len(removed)} went")
    tombstones = _tombstones(env, (old, manifest), (new, successor), removed, tell)
    env.store.put(f"{new}/manifest", [successor.encode()])
    made = {
        "name": manifest.name,
        "old": str(row.subject.digest),
        "new": str(successor.digest),
        "old_root": manifest.root,
        "new_root": successor.root,
        "removed": len(removed),
        "shards": sum(bool(report.removed) for report in found.values()),
        "tombstones": tombstones,
    }
    return successor, made, scrubbed


def positions_of(
    store: SealingStore, folder: str, reports: Iterable[ShardReport]
) -> dict[int, frozenset[int]]:
    """For each part: the positions at which it read what goes. Raises NotProven."""
    found: dict[int, set[int]] = {}
    with store.open(f"{folder}/keys") as reader:
        for gone in (gone for report in reports for gone in report.removed):
            place = row_in(reader, KEY_WIDTH, gone.key)
            if place is None:
                raise NotProven(f"{folder}/keys lacks a document", fix="restore it from a backup")
            part, position = (int.from_bytes(place[at : at + 4], "big") for at in (32, 36))
            found.setdefault(part, set()).add(position)
    return {part: frozenset(positions) for part, positions in found.items()}


def read_tombstones(store: SealingStore, build: str) -> Iterator[bytes]:
    """The tombstones of a successor as lines of JSON, without their ends; none if it is none."""
    name = f"{folder_of(build)}/tombstones"
    count = sum(one.startswith(f"{name}-") for one in store.names(folder_of(build)))
    yield from read_segments(store, name, count, bytes)


def _beside(
    store: SealingStore,
    old: str,
    new: str,
    pool: Pool,
    jobs: Sequence[ScrubJob],
    tell: Progress,
) -> int:
    """Bring what lies beside the shards into the new folder, without the removed documents."""
    for name in _COPIED:
        copy_object(store, f"{old}/{name}", f"{new}/{name}")
    store.delete(f"{new}/key")  # destroyed since an earlier run, it must not live on here
    with suppress(NotFound):
        copy_object(store, f"{old}/key", f"{new}/key")
    moved = [msgspec.structs.replace(job, target=new) for job in jobs]
    scrubbed = 0
    for number, (_, count) in enumerate(pool.each(scrub_report, moved), 1):
        scrubbed += count
        tell("scrubbing records", number, len(moved))
    return scrubbed


def _place(object_name: str) -> tuple[int, int]:
    """Batch and shard, as leaves have them."""
    batch, _, shard = object_name.rpartition("/")[2].partition("-")
    return int(batch), int(shard)


def _left(rows: Iterator[bytes], found: Mapping[str, ShardReport]) -> Iterator[bytes]:
    """The leaves that stay, with the lines of their documents counted anew."""
    lines = {
        _place(name): sorted(gone.line for gone in report.removed)
        for name, report in found.items()
        if report.removed
    }
    for row in rows:
        batch, shard, line = (int.from_bytes(row[at : at + 4], "big") for at in (64, 68, 72))
        gone = lines.get((batch, shard))
        if gone is None:
            yield row
            continue
        before = bisect_left(gone, line)
        if before == len(gone) or gone[before] != line:
            yield row[:72] + (line - before).to_bytes(4, "big")


def _successor(
    manifest: Manifest,
    build: str,
    root: str,
    removed: Sequence[Gone],
    found: Mapping[str, ShardReport],
) -> Manifest:
    languages, kept = dict(manifest.languages), dict[str, int]()
    for gone in removed:
        languages[gone.language] -= 1
        kept[gone.source] = kept.get(gone.source, 0) + 1
    shards = [
        found[shard.object].left if found[shard.object].removed else shard
        for shard in manifest.shards
    ]
    step = StepCount(ERASURE, manifest.documents, 0, {ERASURE_REASON: len(removed)}, 0)
    return msgspec.structs.replace(
        manifest,
        build=build,
        root=root,
        documents=manifest.documents - len(removed),
        text_bytes=manifest.text_bytes - sum(gone.bytes for gone in removed),
        chars=manifest.chars - sum(gone.chars for gone in removed),
        languages={name: count for name, count in languages.items() if count},
        sources=[
            msgspec.structs.replace(source, kept=source.kept - kept.get(source.name, 0))
            for source in manifest.sources
        ],
        steps=[*manifest.steps, step],
        shards=[shard for shard in shards if shard is not None],
    )


def _tombstones(
    env: Environment,
    old: tuple[str, Manifest],
    new: tuple[str, Manifest],
    removed: Sequence[Gone],
    tell: Progress,
) -> str:
    """Write and check a tombstone for every removed document; the SHA-256 over all lines."""
    writer = SegmentWriter(env.store, f"{new[0]}/tombstones")
    state, done = hashlib.sha256(), 0
    for start in range(0, len(removed), _AT_ONCE):
        some = removed[start : start + _AT_ONCE]
        keys = [gone.key for gone in some]
        present = prove_all(keys, Leaves(env.store, old[0]), old[1].documents)
        absent = prove_all(keys, Leaves(env.store, new[0]), new[1].documents)
        for gone, was, is_not in zip(some, present, absent, strict=True):
            verify_present(was, leaf_of(gone.key, gone.text), bytes.fromhex(old[1].root))
            verify_absent(is_not, gone.key, bytes.fromhex(new[1].root))
            line = msgspec.json.encode(Tombstone(was, is_not))
            state.update(line + b"\n")
            writer.add(msgspec.msgpack.encode(line))
        done += len(some)
        tell("proving the erasure", done, len(removed))
    writer.close()
    return state.hexdigest()
