# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Documents a core second of the join for duplicates and of the root, and what of it one process
does alone however many workers there are.

    python benchmarks/corpus_join.py [--documents 200000] [--near 0.05] [--memory 64] [--ranges 8]
        [--draw]

Signatures are made up: a share of the documents has that of another with a few places changed. With
--draw a budget keeps half of the documents, which is measured apart. All
is sealed, in a store in memory, so the disk is not measured. The ranges are worked on one after the
other, so that CPU time is that of all workers together. The last line is one JSON object.
"""

import argparse
import json
import random
import time
from dataclasses import dataclass, field

from bastide.app import wiring
from bastide.app.corpus_budget import Draw
from bastide.app.corpus_duplicates import find_duplicates, merge_keys
from bastide.app.corpus_objects import RunWriter, Spill
from bastide.app.corpus_part import (
    BAND_WIDTH,
    KEY_WIDTH,
    SIGNATURE_WIDTH,
    SIZE_WIDTH,
    TEXT_WIDTH,
    PartReport,
    Workbench,
    place_of,
)
from bastide.app.corpus_ranges import Team
from bastide.app.corpus_root import write_leaves
from bastide.app.corpus_shards import LEAF_WIDTH, BatchReport
from bastide.core.limits import MIB
from bastide.filters.budget import NONE, Budget
from bastide.filters.near_duplicate import PERMUTATIONS, NearDuplicate, bands
from bastide.ports import SealingStore

PART_DOCUMENTS = 10_000
WIDTHS = {
    "keys": KEY_WIDTH,
    "texts": TEXT_WIDTH,
    "bands": BAND_WIDTH,
    "signatures": SIGNATURE_WIDTH,
    "leaves": LEAF_WIDTH,
    "sizes": SIZE_WIDTH,
}
IN_ORDER = ("signatures", "sizes")


@dataclass(frozen=True, slots=True)
class Bench(Workbench):
    """A bench whose store is in memory."""

    held: SealingStore | None = None

    def open(self) -> SealingStore:
        assert self.held is not None
        return self.held


@dataclass(frozen=True, slots=True)
class Counting(Team):
    """Adds up the CPU time of what workers would do."""

    shared: list[float] = field(default_factory=lambda: [0.0])

    def each(self, what, task, jobs, kind):  # type: ignore[no-untyped-def]
        begin = time.process_time()
        found = [task(self.bench, job) for job in jobs]
        self.shared[0] += time.process_time() - begin
        return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--documents", type=int, default=200_000)
    parser.add_argument("--near", type=float, default=0.05)
    parser.add_argument("--memory", type=int, default=64)
    parser.add_argument("--ranges", type=int, default=8)
    parser.add_argument("--draw", action="store_true")
    given = parser.parse_args()
    store = wiring.open_scratch(wiring.entropy())
    reports = written(store, given.documents, given.near)
    spill = Spill(store, "join", given.memory * MIB // 2)
    bench = Bench("", (), (), "join", (), b"", memory=given.memory * MIB, held=store)
    team = Counting(bench, spill, None, given.ranges)
    begin = time.process_time()
    merge_keys(team, reports)
    counts = find_duplicates(team, reports, NearDuplicate())
    joined, shared = time.process_time() - begin, team.shared[0]
    drawn = measured_draw(team, reports, given.documents) if given.draw else 0.0
    batches = [BatchReport(one.number, "", leaves=1) for one in reports]
    begin = time.process_time()
    write_leaves(team, batches)
    rooted, hashed = time.process_time() - begin, team.shared[0] - shared
    rates = {
        "join_documents_per_cpu_s": round(given.documents / joined),
        "join_alone_documents_per_cpu_s": round(given.documents / (joined - shared)),
        "root_documents_per_cpu_s": round(given.documents / rooted),
        "root_alone_documents_per_cpu_s": round(given.documents / (rooted - hashed)),
    }
    if given.draw:
        rates["draw_documents_per_cpu_s"] = round(given.documents / drawn)
    print(f"{given.documents} documents, {counts} removed")
    for name, rate in rates.items():
        print(f"  {name:28} {rate:9,}")
    print(json.dumps({"documents": given.documents, "removed": counts, **rates}))


def measured_draw(team: Team, reports: list[PartReport], documents: int) -> float:
    """CPU seconds of the draw alone, where no document is a duplicate."""
    settings = Budget(unit="documents", total=documents // 2, seed="1", places=("s s",))
    begin = time.process_time()
    find_duplicates(team, [], None, Draw(team.spill, settings.given({})))
    empty = time.process_time() - begin
    bare = [PartReport(one.number, "s", objects={"sizes": one.objects["sizes"]}) for one in reports]
    begin = time.process_time()
    find_duplicates(team, bare, None, Draw(team.spill, settings.given({})))
    return time.process_time() - begin - empty


def written(store: SealingStore, documents: int, near: float) -> list[PartReport]:
    """The sorted rows of parts, as workers leave them."""
    chance = random.Random(1)
    reports, last = [], b""
    for number in range((documents + PART_DOCUMENTS - 1) // PART_DOCUMENTS):
        runs = {
            kind: RunWriter(store, _name(number, kind), width, keep_order=kind in IN_ORDER)
            for kind, width in WIDTHS.items()
        }
        for position in range(min(PART_DOCUMENTS, documents - number * PART_DOCUMENTS)):
            key, digest = chance.randbytes(32), chance.randbytes(32)
            place = place_of(number, position)
            signature = chance.randbytes(4 * PERMUTATIONS)
            if last and chance.random() < near:
                signature = last[:-40] + signature[-40:]
            last = signature
            runs["keys"].add(key + place)
            runs["texts"].add(digest + key + place)
            runs["signatures"].add(place + signature)
            runs["leaves"].add(key + digest + bytes(12))
            rank, numbers = chance.randbytes(8), NONE.to_bytes(2, "big") * 2
            runs["sizes"].add(place + rank + key + numbers + (1).to_bytes(8, "big"))
            for band in bands(signature):
                runs["bands"].add(band.to_bytes(8, "big") + digest[:16] + key + place)
        objects = {kind: run.close() for kind, run in runs.items()}
        reports.append(PartReport(number, "s", objects=objects))
    return reports


def _name(number: int, kind: str) -> str:
    return f"join/{'batches' if kind == 'leaves' else 'parts'}/{number:06d}/{kind}"


if __name__ == "__main__":
    main()
