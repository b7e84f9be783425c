# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Documents a core second of what one process does alone: the join for duplicates, and the root.

    python benchmarks/corpus_join.py [--documents 200000] [--near 0.05] [--memory 64]

Signatures are made up: a share of the documents has that of another with a few places changed. All
is sealed, in a store in memory, so the disk is not measured. The last line is one JSON object.
"""

import argparse
import json
import random
import time

from bastide.app import wiring
from bastide.app.corpus_duplicates import find_duplicates, merge_keys
from bastide.app.corpus_objects import RunWriter, Spill, merged_rows, put_rows, read_rows
from bastide.app.corpus_part import (
    BAND_WIDTH,
    KEY_WIDTH,
    SIGNATURE_WIDTH,
    TEXT_WIDTH,
    PartReport,
    place_of,
)
from bastide.app.corpus_shards import LEAF_WIDTH
from bastide.core.limits import MIB
from bastide.crypto.sorted_tree import sorted_root
from bastide.filters.near_duplicate import PERMUTATIONS, NearDuplicate, bands
from bastide.ports import SealingStore

PART_DOCUMENTS = 10_000
WIDTHS = {
    "keys": KEY_WIDTH,
    "texts": TEXT_WIDTH,
    "bands": BAND_WIDTH,
    "signatures": SIGNATURE_WIDTH,
    "leaves": LEAF_WIDTH,
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--documents", type=int, default=200_000)
    parser.add_argument("--near", type=float, default=0.05)
    parser.add_argument("--memory", type=int, default=64)
    given = parser.parse_args()
    store = wiring.open_scratch(wiring.entropy())
    reports = written(store, given.documents, given.near)
    begin = time.process_time()
    spill = Spill(store, "join", given.memory * MIB // 2)
    merge_keys(spill, reports)
    counts = find_duplicates(spill, reports, NearDuplicate())
    joined = time.process_time()
    names = [f"join/parts/{one.number:06d}/leaves-0" for one in reports]
    put_rows(store, "join/leaves", merged_rows(store, names, LEAF_WIDTH, "join/merge/leaves"))
    merged = time.process_time()
    sorted_root(row[:64] for row in read_rows(store, "join/leaves", LEAF_WIDTH))
    rooted = time.process_time()
    rates = {
        "join_documents_per_cpu_s": round(given.documents / (joined - begin)),
        "merge_rows_per_cpu_s": round(given.documents / (merged - joined)),
        "root_documents_per_cpu_s": round(given.documents / (rooted - joined)),
    }
    print(f"{given.documents} documents, {counts} removed")
    for name, rate in rates.items():
        print(f"  {name:28} {rate:9,}")
    print(json.dumps({"documents": given.documents, "removed": counts, **rates}))


def written(store: SealingStore, documents: int, near: float) -> list[PartReport]:
    """The sorted rows of parts, as workers leave them."""
    chance = random.Random(1)
    reports, last = [], b""
    for number in range((documents + PART_DOCUMENTS - 1) // PART_DOCUMENTS):
        folder = f"join/parts/{number:06d}"
        runs = {
            kind: RunWriter(store, f"{folder}/{kind}", width, keep_order=kind == "signatures")
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
            for band in bands(signature):
                runs["bands"].add(band.to_bytes(8, "big") + digest[:16] + key + place)
        objects = {kind: run.close() for kind, run in runs.items()}
        reports.append(PartReport(number, "s", objects=objects))
    return reports


if __name__ == "__main__":
    main()
