# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Durable appends per second: the ledger, its commit layer alone, and two peers, in one run.

* commit: bytes to durable entries (SQLCipher, leaf hash, tree, tiles, signed checkpoint).
* door: the same behind `Ledger.append`, which also verifies one Ed25519 signature per entry,
  checks the statement and writes the projections.
* sqlite: plain SQLite (write-ahead log, synchronous=FULL, nothing sealed), one table, no tree.
* pymerkle: `SqliteTree` of pymerkle in the same two modes, where `append_entries` allows.

Each number is the median of interleaved rounds; `--json` prints them with the ratios.

    python benchmarks/ledger_append.py --rounds 5 --folder . --json
"""

import argparse
import json
import os
import sqlite3
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager
from pathlib import Path

from pymerkle import SqliteTree

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests")]

from bastide.adapters.records.sql import open_records  # noqa: E402
from bastide.core.key import Purpose  # noqa: E402
from bastide.crypto import note  # noqa: E402
from bastide.crypto.dsse import Envelope  # noqa: E402
from bastide.crypto.note import Checkpoint  # noqa: E402
from bastide.ledger import schema  # noqa: E402
from bastide.ledger.commit import Batch, Committer  # noqa: E402
from unit.ledger_fixture import (  # noqa: E402
    DATABASE_KEY,
    ORIGIN,
    World,
    make_ledger,
    make_signers,
    refusal,
)

CALLERS = 128
BATCH = 4_096
ENTRY_BYTES = 300
Append = Callable[[list[bytes]], object]


@contextmanager
def commit_layer(folder: Path) -> Generator[Append]:
    signer = make_signers()[Purpose.LEDGER]
    records = open_records(folder / "commit.db", DATABASE_KEY)
    with schema.writing(records) as connection:
        schema.create_tables(connection)

    def seal(size: int, root: bytes) -> str:
        return note.sign_checkpoint(Checkpoint(ORIGIN, size, root), signer)

    committer = Committer(records, seal)
    yield lambda leaves: committer.append(Batch(leaves))
    records.dispose()


@contextmanager
def plain_sqlite(folder: Path) -> Generator[Append]:
    with closing(sqlite3.connect(folder / "plain.db", check_same_thread=False)) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
        database.execute("CREATE TABLE entry (number INTEGER PRIMARY KEY, data BLOB)")
        lock = threading.Lock()

        def append(leaves: list[bytes]) -> None:
            with lock, database:
                rows = [(leaf,) for leaf in leaves]
                database.executemany("INSERT INTO entry (data) VALUES (?)", rows)

        yield append


@contextmanager
def merkle_peer(folder: Path) -> Generator[Append]:
    with closing(SqliteTree(str(folder / "pymerkle.db"))) as tree:
        tree.con.execute("PRAGMA journal_mode = WAL")
        tree.con.execute("PRAGMA synchronous = FULL")
        yield tree.append_entries


def concurrent(append: Callable[[int], object], callers: int, each: int) -> float:
    """Entries per second when `callers` threads append one at a time."""
    start = threading.Barrier(callers + 1)

    def run(caller: int) -> None:
        start.wait()
        for number in range(each):
            append(caller * each + number)

    threads = [threading.Thread(target=run, args=(caller,)) for caller in range(callers)]
    for thread in threads:
        thread.start()
    start.wait()
    began = time.perf_counter()
    for thread in threads:
        thread.join()
    return callers * each / (time.perf_counter() - began)


def batched(append: Callable[[], object], batches: int) -> float:
    """Entries per second in batches of BATCH."""
    began = time.perf_counter()
    for _ in range(batches):
        append()
    return BATCH * batches / (time.perf_counter() - began)


def fsync_ms(folder: Path) -> float:
    """Median time of one small write and fsync, which bounds a lone caller."""
    times = []
    with (folder / "probe").open("wb", buffering=0) as file:
        for _ in range(50):
            began = time.perf_counter()
            file.write(b"\0" * 4_096)
            os.fsync(file.fileno())
            times.append(time.perf_counter() - began)
    return statistics.median(times) * 1_000


class Door:
    """The whole ledger, fed with statements that were signed beforehand."""

    def __init__(self, folder: Path) -> None:
        self._world: World = make_ledger(folder)
        self._made = 0

    def sign(self, count: int) -> list[Envelope]:
        self._made += count
        numbers = range(self._made - count, self._made)
        return [self._world.state(refusal(number)) for number in numbers]

    def concurrent(self, each: int) -> float:
        envelopes = self.sign(CALLERS * each)
        append = self._world.ledger.append
        return concurrent(lambda number: append([envelopes[number]]), CALLERS, each)

    def batched(self) -> float:
        envelopes = self.sign(BATCH)
        return batched(lambda: self._world.ledger.append(envelopes), 1)


def measure(folder: Path, rounds: int) -> dict[str, float]:
    leaves = [os.urandom(ENTRY_BYTES) for _ in range(BATCH)]
    found: dict[str, list[float]] = {}

    def keep(name: str, value: float) -> None:
        found.setdefault(name, []).append(value)

    door = Door(folder)
    with (
        commit_layer(folder) as commit,
        plain_sqlite(folder) as plain,
        merkle_peer(folder) as peer,
    ):
        layers = {"commit": commit, "sqlite": plain, "pymerkle": peer}
        for _ in range(rounds):
            for name, append in layers.items():
                keep(f"{name}/batches", batched(lambda append=append: append(leaves), 8))
                each = 40 if name == "commit" else 4
                one = [[leaf] for leaf in leaves]
                keep(
                    f"{name}/callers",
                    concurrent(lambda n, append=append, one=one: append(one[n % BATCH]), 128, each),
                )
            keep("door/batches", door.batched())
            keep("door/callers", door.concurrent(20))
    return {name: statistics.median(values) for name, values in found.items()}


def report(folder: Path, rounds: int) -> dict[str, object]:
    rates = measure(folder, rounds)
    ratios = {
        f"{ours}/{mode} to {peer}/{mode}": rates[f"{ours}/{mode}"] / rates[f"{peer}/{mode}"]
        for ours in ("commit", "door")
        for peer in ("sqlite", "pymerkle")
        for mode in ("callers", "batches")
    }
    return {
        "callers": CALLERS,
        "batch": BATCH,
        "entry_bytes": ENTRY_BYTES,
        "rounds": rounds,
        "processors": os.cpu_count(),
        "load": os.getloadavg()[0],
        "fsync_ms": round(fsync_ms(folder), 3),
        "entries_per_s": {name: round(rate) for name, rate in sorted(rates.items())},
        "ratios": {name: round(ratio, 2) for name, ratio in ratios.items()},
        "targets": {
            "3,000/s with 128 callers, through the door": rates["door/callers"] >= 3_000,
            "50,000/s in batches of 4,096, commit layer": rates["commit/batches"] >= 50_000,
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, default=Path(), help="on the disk to be measured")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        result = report(Path(folder), options.rounds)
    if options.json:
        print(json.dumps(result, indent=2))
        return
    for name, value in result.items():
        if isinstance(value, dict):
            print(f"{name}:")
            for key, number in value.items():
                print(f"  {key:45} {number:>12,}")
        else:
            print(f"{name}: {value}")


if __name__ == "__main__":
    main()
