# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Documents a core second of the join for duplicates and of the root, and what of it one process
does alone however many workers there are.

    python benchmarks/corpus_join.py [--documents 200000] [--near 0.05] [--memory 64] [--ranges 8]
        [--chains] [--draw] [--workers 0 1 2]

Signatures are made up: a share of the documents has that of the one before it with the last places
changed, so all of a group are similar. With --chains ten places anywhere are changed: then what is
far apart in a group is not. With --draw budgets of two rules keep a half of the documents, which is
measured apart.

All is sealed. With 0 workers the store is in memory and the ranges are worked on one after the
other, so that CPU time is that of all workers together; the memory is divided as it is with
workers. With more the store is on the disk, and there are worker processes; the sorted rows of the
parts are copied to it. The last line is one JSON object.
"""

import argparse
import hashlib
import json
import random
import resource
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from bastide.app import wiring
from bastide.app.config import Home
from bastide.app.corpus_budget import Draw
from bastide.app.corpus_duplicates import find_duplicates, merge_keys
from bastide.app.corpus_objects import RunWriter
from bastide.app.corpus_part import (
    BAND_WIDTH,
    KEY_WIDTH,
    SIGNATURE_WIDTH,
    SIZE_WIDTH,
    TEXT_WIDTH,
    PartReport,
    Workbench,
    bench_of,
    place_of,
)
from bastide.app.corpus_pool import Pool
from bastide.app.corpus_ranges import Team
from bastide.app.corpus_root import write_leaves
from bastide.app.corpus_shards import LEAF_WIDTH, BatchReport
from bastide.app.denials import SignedDenials
from bastide.app.environment import open_environment, read_passphrase
from bastide.app.founding import Wishes, found
from bastide.core.limits import MIB
from bastide.filters.budget import NONE, Budget
from bastide.filters.near_duplicate import PERMUTATIONS, NearDuplicate, bands
from bastide.ports import SealingStore

FOLDER = "corpora/join"
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
    """Adds up the CPU time of what workers would do, by what it is."""

    shared: Counter[str] = field(default_factory=Counter)

    def each(self, what, task, jobs, kind):  # type: ignore[no-untyped-def]
        begin = time.process_time()
        found = [task(self.bench, job) for job in jobs]
        self.shared[what.partition(",")[0]] += time.process_time() - begin
        return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--documents", type=int, default=200_000)
    parser.add_argument("--near", type=float, default=0.05)
    parser.add_argument("--memory", type=int, default=64)
    parser.add_argument("--ranges", type=int, default=8)
    parser.add_argument("--chains", action="store_true")
    parser.add_argument("--draw", action="store_true")
    parser.add_argument("--workers", type=int, nargs="+", default=[0])
    given = parser.parse_args()
    results = []
    for workers in given.workers:
        result = worked(given, workers) if workers else alone(given)
        results.append({"documents": given.documents, "workers": workers, **result})
        for name, value in results[-1].items():
            print(f"  {name:32} {value}")
    # With --draw what workers join has budgets, and what this process joins alone has none.
    same = [one["objects"] for one in results if one["workers"] or not given.draw]
    if len(set(same)) > 1:
        raise SystemExit("the numbers of workers made different objects")
    print(json.dumps(results if len(results) > 1 else results[0]))


def alone(given: argparse.Namespace) -> dict[str, Any]:
    """Everything in this process, in a store in memory."""
    store = wiring.open_scratch(wiring.entropy())
    reports = written(store, given)
    bench = Bench("", (), (), FOLDER, (), b"", memory=given.memory * MIB, held=store)
    team = Counting(bench, store, None, given.ranges)
    begin = time.process_time()
    merge_keys(team, reports)
    counts = find_duplicates(team, reports, NearDuplicate())
    joined, shared = time.process_time() - begin, team.shared.total()
    parts = {what: round(seconds, 2) for what, seconds in team.shared.items()}
    made = objects(store)
    drawn = measured_draw(team, reports, given.documents) if given.draw else ()
    before = team.shared.total()
    batches = [BatchReport(one.number, "", leaves=1) for one in reports]
    begin = time.process_time()
    write_leaves(team, batches)
    rooted, hashed = time.process_time() - begin, team.shared.total() - before
    rates = {
        "join_documents_per_cpu_s": joined,
        "join_alone_documents_per_cpu_s": joined - shared,
        "root_documents_per_cpu_s": rooted,
        "root_alone_documents_per_cpu_s": rooted - hashed,
        **dict(zip(("draw_documents_per_cpu_s", "draw_alone_documents_per_cpu_s"), drawn,
                   strict=False)),
    }  # fmt: skip
    rates = {name: round(given.documents / seconds) for name, seconds in rates.items()}
    return {"removed": counts, "cpu_s": parts, **rates, "objects": made}


def worked(given: argparse.Namespace, workers: int) -> dict[str, Any]:
    """The join by worker processes: seconds, and CPU seconds of this process and of the workers."""
    with ExitStack() as stack:
        home = Home(Path(stack.enter_context(tempfile.TemporaryDirectory())) / "home")
        found(home, Wishes("solo", "127.0.0.1:1"))
        env = stack.enter_context(open_environment(home, read_passphrase(home)))
        env.store.put(f"{FOLDER}/recipe", [b"{}"])
        reports = written(env.store, given)
        bench = replace(bench_of(env, FOLDER), memory=given.memory * MIB)
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        with Pool(env.settings, workers, bench, SignedDenials(env.ledger)) as pool:
            list(pool.each(nothing, range(workers)))  # their imports are not what is measured
            team = Team(bench, env.store, pool, given.ranges)
            begin, cpu = time.perf_counter(), time.process_time()
            merge_keys(team, reports)
            counts = find_duplicates(team, reports, NearDuplicate())
            if given.draw:
                find_duplicates(team, reports, NearDuplicate(), Draw(budgets(given.documents)))
            seconds, cpu = time.perf_counter() - begin, time.process_time() - cpu
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return {
            "removed": counts,
            "seconds": round(seconds, 2),
            "leader_cpu_s": round(cpu, 2),
            "workers_cpu_s": round(spent, 2),
            "objects": objects(env.store),
        }


def nothing(bench: Workbench, job: int) -> int:
    """The first job of a worker."""
    return job


def objects(store: SealingStore) -> str:
    """A digest of what the join wrote: the same for every number of workers."""
    state = hashlib.sha256()
    for name in ("keys", "duplicates", "gone"):
        with store.open(f"{FOLDER}/{name}") as reader:
            for offset in range(0, reader.size, MIB):
                state.update(reader.read_at(offset, MIB))
    return state.hexdigest()


def budgets(documents: int) -> Any:
    """Of a source, and of the whole."""
    settings = Budget(unit="documents", sources=(f"{documents // 2} s",), total=documents // 2,
                      seed="1", places=("s s",))  # fmt: skip
    return settings.given({})


def measured_draw(team: Counting, reports: list[PartReport], documents: int) -> tuple[float, float]:
    """CPU seconds of the draw where no document is a duplicate; and what one process does alone."""

    def spent(parts: list[PartReport]) -> tuple[float, float]:
        begin, shared = time.process_time(), team.shared.total()
        find_duplicates(team, parts, None, Draw(budgets(documents)))
        whole = time.process_time() - begin
        return whole, whole - (team.shared.total() - shared)

    kinds = ("sizes", "keys")
    bare = [
        PartReport(one.number, "s", objects={kind: one.objects[kind] for kind in kinds})
        for one in reports
    ]
    return spent(bare)


def written(store: SealingStore, given: argparse.Namespace) -> list[PartReport]:
    """The sorted rows of parts, as workers leave them."""
    documents, end = given.documents, 4 * PERMUTATIONS
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
            if last and chance.random() < given.near:
                at = 4 * chance.randrange(PERMUTATIONS - 9) if given.chains else end - 40
                signature = last[:at] + signature[at : at + 40] + last[at + 40 :]
            last = signature
            runs["keys"].add(key + place)
            runs["texts"].add(digest + key + place)
            runs["signatures"].add(place + signature)
            runs["leaves"].add(key + digest + bytes(12))
            rank, numbers = chance.randbytes(8), bytes(2) + NONE.to_bytes(2, "big")
            runs["sizes"].add(place + rank + key + numbers + (1).to_bytes(8, "big"))
            for band in bands(signature):
                runs["bands"].add(band.to_bytes(8, "big") + digest[:16] + key + place)
        objects = {kind: run.close() for kind, run in runs.items()}
        reports.append(PartReport(number, "s", objects=objects))
    return reports


def _name(number: int, kind: str) -> str:
    return f"{FOLDER}/{'batches' if kind == 'leaves' else 'parts'}/{number:06d}/{kind}"


if __name__ == "__main__":
    main()
