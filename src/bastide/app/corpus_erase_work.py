# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What the workers of an erasure do: search a shard and write it anew, scrub what is kept beside.

A shard's report is written last: a shard with a report is finished, one without is done again. A
report holds hashes and counts, and nothing by which a person is known.
"""

import hashlib
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

import msgspec

from bastide.app.corpus_export import raw_lines
from bastide.app.corpus_objects import (
    compressor,
    put_segment,
    read_object,
    read_segment,
)
from bastide.app.corpus_part import Example, Life, PartReport, Workbench
from bastide.app.corpus_shards import BatchReport, Line
from bastide.core.dataset import Shard, document_key
from bastide.core.erasure import ErasureList
from bastide.core.errors import NotAllowed, NotFound, NotProven
from bastide.core.limits import CORPUS_EXAMPLE_CHARS, MIB
from bastide.core.subject import hashed
from bastide.detectors.erasure import ErasureSearch
from bastide.filters.erasure import ERASURE_REASON, names_subject
from bastide.filters.near_duplicate import exact_digest
from bastide.ports import SealingStore

__all__ = [
    "Gone",
    "ScrubJob",
    "ShardJob",
    "ShardReport",
    "Wanted",
    "erase_shard",
    "scrub_report",
]

Broken = tuple[str, int, int, str, str]  # a row of a part's `broken`: file, line, byte, why, detail


class Wanted(msgspec.Struct, frozen=True):
    """Whom to look for in one dataset: hashes, and the pseudonyms that the dataset has for them."""

    listed: bytes
    pseudonyms: tuple[str, ...] = ()

    def search(self) -> ErasureSearch:
        """The search; a worker that looks for the same again has it already."""
        return _search(self.listed, self.pseudonyms)


class Gone(msgspec.Struct, frozen=True, array_like=True):
    """A document that goes. text: the SHA-256 of its text; line: in its shard, from 0."""

    key: bytes
    text: bytes
    line: int
    chars: int
    bytes: int
    language: str
    source: str


class ShardJob(msgspec.Struct, frozen=True):
    """A shard to search. target: the folder of the successor; "" changes nothing."""

    shard: Shard
    wanted: Wanted
    target: str


class ShardReport(msgspec.Struct, frozen=True):
    """A searched shard. old: its digest. left: what is left of it, unless all or nothing goes."""

    old: str
    removed: list[Gone] = []
    left: Shard | None = None


class ScrubJob(msgspec.Struct, frozen=True):
    """A report of a build, with what lies beside it. gone: positions of documents that go.

    target: the folder of the successor, or the same one; "" changes nothing.
    """

    folder: str
    report: str  # below the folder
    wanted: Wanted
    gone: frozenset[int]
    target: str


@lru_cache(maxsize=4)
def _search(listed: bytes, pseudonyms: tuple[str, ...]) -> ErasureSearch:
    return ErasureSearch(ErasureList.load(listed), pseudonyms)


def erase_shard(bench: Workbench, job: ShardJob) -> ShardReport:
    """Search a shard; write it without what was found, if there is something and a target."""
    store, shard = bench.open(), job.shard
    ending = shard.object.rpartition("/")[2]
    name = f"{job.target}/erased/{ending}"
    if job.target and (known := _known(store, name, shard)) is not None:
        return known
    removed = list(_found(store, job))
    left = None
    if removed and job.target and len(removed) < shard.documents:
        left = _written_anew(store, shard, removed, f"{job.target}/shards/{ending}")
    report = ShardReport(shard.digest, removed, left)
    if job.target:
        store.put(name, [msgspec.msgpack.encode(report)])
    return report


def _known(store: SealingStore, name: str, shard: Shard) -> ShardReport | None:
    """The report of an earlier run, if it is of this shard and what it made is whole."""
    try:
        report = msgspec.msgpack.decode(read_object(store, name), type=ShardReport)
        if report.left is not None:
            state = hashlib.sha256()
            with store.open(report.left.object) as reader:
                for offset in range(0, reader.size, MIB):
                    state.update(reader.read_at(offset, MIB))
            if f"sha256:{state.hexdigest()}" != report.left.digest:
                return None
    except (NotFound, NotProven, NotAllowed, msgspec.DecodeError):
        return None
    return report if report.old == shard.digest else None


def _found(store: SealingStore, job: ShardJob) -> Iterator[Gone]:
    search, decode = job.wanted.search(), msgspec.json.Decoder(Line).decode
    for number, raw in enumerate(raw_lines(store, job.shard)):
        line = decode(raw)
        if names_subject(search, (line.text, line.id, line.url), line.notes):
            yield Gone(
                document_key(line.source, line.id),
                exact_digest(line.text),
                number,
                len(line.text),
                len(line.text.encode()),
                line.language or "und",
                line.source,
            )


def _written_anew(store: SealingStore, shard: Shard, removed: list[Gone], name: str) -> Shard:
    """The shard without some lines, the others byte for byte as they were."""
    lines, state, size = {gone.line for gone in removed}, hashlib.sha256(), 0
    stream = compressor().compressobj()

    def pieces() -> Iterator[bytes]:
        nonlocal size
        for number, raw in enumerate(raw_lines(store, shard)):
            if number not in lines:
                size += len(raw) + 1
                yield stream.compress(raw + b"\n")
        yield stream.flush()

    store.put(name, hashed(pieces(), state))
    return Shard(name, f"sha256:{state.hexdigest()}", shard.documents - len(removed), size)


def scrub_report(bench: Workbench, job: ScrubJob) -> int:
    """Take a person out of the report of a part or a batch, and out of the part's records.

    Returns how many records and examples named the person. Where the target is the same folder,
    only what changes is written.
    """
    store = bench.open()
    data = read_object(store, f"{job.folder}/{job.report}")
    kind: Any = PartReport if job.report.startswith("parts/") else BatchReport
    report = msgspec.msgpack.decode(data, type=kind)
    scrubbed = 0
    if isinstance(report, PartReport):
        scrubbed += _scrub_records(store, job, report, "lives", Life, _life(job))
        scrubbed += _scrub_records(store, job, report, "broken", Broken, _broken(job))
    kept = [one for one in report.examples if not _shows(job.wanted.search(), one)]
    here = len(report.examples) - len(kept)
    if here:
        report.examples = kept
        data = msgspec.msgpack.encode(report)
    # Last: a killed run that finds no report does the rest again.
    if job.target and (here or job.target != job.folder):
        store.put(f"{job.target}/{job.report}", [data])
    return scrubbed + here


def _scrub_records(
    store: SealingStore,
    job: ScrubJob,
    report: PartReport,
    name: str,
    kind: Any,
    scrub: Callable[[Any], Any],
) -> int:
    """Scrub the segments of one name; each stays the segment that it was."""
    beside, encode, total = job.report.rpartition("/")[0], msgspec.msgpack.Encoder().encode, 0
    for number in range(report.objects.get(name, 0)):
        source = f"{job.folder}/{beside}/{name}-{number}"
        here = sum(scrub(row) != row for row in read_segment(store, source, kind))
        if job.target and (here or job.target != job.folder):
            rows = (encode(scrub(row)) for row in read_segment(store, source, kind))
            put_segment(store, f"{job.target}/{beside}/{name}-{number}", rows)
        total += here
    return total


def _life(job: ScrubJob) -> Callable[[Life], Life]:
    search = job.wanted.search()

    def scrub(life: Life) -> Life:
        named = names_subject(search, (life.ident, life.file), life.notes)
        if not named and life.position not in job.gone:
            return life
        return Life(life.position, "", "", [], life.reason or ERASURE_REASON, {})

    return scrub


def _broken(job: ScrubJob) -> Callable[[Broken], Broken]:
    search = job.wanted.search()

    def scrub(row: Broken) -> Broken:
        file, line, byte, reason, detail = row
        named = search.finds(file) or search.finds(detail)
        return ("", line, byte, reason, "") if named else row

    return scrub


def _shows(search: ErasureSearch, example: Example) -> bool:
    """Whether an example names the person, or may have been cut off within a name."""
    cut = len(example.text) >= CORPUS_EXAMPLE_CHARS and search.may_be_cut(example.text)
    return cut or search.finds(example.text) or search.finds(example.ident)
