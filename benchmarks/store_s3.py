# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""A build from a disk and from an object store: what the way there costs, and how many requests.

Four builds of the same generated texts by one worker: texts and store on the disk; texts in a
bucket; store in a bucket; both. The server is SeaweedFS on this machine, signatures on, and counts
the requests itself. CPU time is ours with our workers', without the server's, which shares the
cores. Rounds are interleaved; numbers are medians. The last line is one JSON object.

    python benchmarks/store_s3.py --megabytes 24 --rounds 3
"""

import argparse
import json
import random
import resource
import statistics
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests")]

from bastide.adapters.entropy.system import SystemEntropy  # noqa: E402
from bastide.adapters.keys.identities import IdentityKeys  # noqa: E402
from bastide.adapters.store.local import LocalStore  # noqa: E402
from bastide.adapters.store.s3 import S3Store  # noqa: E402
from bastide.adapters.store.sealed import SealedStore  # noqa: E402
from bastide.app.corpus_build import build_dataset  # noqa: E402
from bastide.core.limits import MIB  # noqa: E402
from bastide.crypto import age  # noqa: E402
from contracts.s3_server import S3Server, running_server  # noqa: E402
from paths.corpus_rig import WORDS, found_home, seeded  # noqa: E402
from paths.test_object_store import in_bucket  # noqa: E402

RECIPE = """
name = "measured"
[limits]
part_bytes = 8_000_000
shard_bytes = 8_000_000
[[sources]]
name = "texts"
path = "{path}"
reader = "jsonl"
licence = "CC0-1.0"
basis = "own"
origin = "made by a benchmark"
collected = 2026-11-26
[[steps]]
step = "normalise"
[[steps]]
step = "personal-data"
[[steps]]
step = "exact-duplicate"
"""
KINDS = ("disk", "texts in a bucket", "store in a bucket", "both in buckets")


def write_texts(folder: Path, megabytes: int) -> int:
    """Files of 4 MB of text that nobody wrote; their bytes."""
    chance = random.Random(1)
    total = 0
    for number in range(megabytes // 4):
        lines = []
        size = 0
        while size < 4_000_000:
            text = " ".join(chance.choices(WORDS, k=300)) + f" {chance.random()}"
            lines.append(json.dumps({"id": str(chance.random()), "text": text}))
            size += len(lines[-1])
        data = "\n".join(lines).encode()
        (folder / f"{number:03d}.jsonl").write_bytes(data)
        total += len(data)
    return total


def requests(server: S3Server) -> int:
    """How many the server has answered."""
    with urllib.request.urlopen(f"http://127.0.0.1:{server.metrics_port}/metrics") as answer:
        lines = answer.read().decode().splitlines()
    rows = [line for line in lines if line.startswith("SeaweedFS_s3_request_total{")]
    return int(sum(float(line.rpartition(" ")[2]) for line in rows))


def cpu_s() -> float:
    """Of this process and of its children that ended."""
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(sum(resource.getrusage(kind)[:2]) for kind in kinds)


def one_round(server: S3Server, texts: Path, kind: str) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        far_store = kind in KINDS[2:]
        home, bucket = in_bucket(server, found_home(folder / "base"), folder, store=far_store)
        path = f"{texts}/*.jsonl"
        if kind in (KINDS[1], KINDS[3]):
            for file in sorted(texts.iterdir()):
                server.client().upload_file(str(file), bucket, f"texts/{file.name}")
            path = f"s3://{bucket}/texts/*.jsonl"
        recipe = folder / "measured.toml"
        recipe.write_text(RECIPE.format(path=path))
        asked, cpu, begun = requests(server), cpu_s(), time.perf_counter()
        with seeded(home) as env:
            build_dataset(env, recipe, 1)
        wall = time.perf_counter() - begun
        return {"wall_s": wall, "cpu_s": cpu_s() - cpu, "requests": requests(server) - asked}


def through_the_seal(server: S3Server, rounds: int) -> dict[str, dict[str, float]]:
    """MB/s of writing and of reading one sealed object of 64 MiB."""
    keys = IdentityKeys([age.X25519Identity(bytes(range(32))).secret()])
    piece = random.Random(2).randbytes(MIB)
    place = server.place(server.new_bucket())
    rows: dict[str, list[tuple[float, float]]] = {"disk": [], "bucket": []}
    with tempfile.TemporaryDirectory() as folder:
        inner = {"disk": LocalStore(Path(folder)), "bucket": S3Store(lambda: place)}
        for _ in range(rounds):
            for kind, store in inner.items():
                sealed = SealedStore(store, keys, [], SystemEntropy())
                begun = time.perf_counter()
                sealed.put("x", (piece for _ in range(64)))
                written = time.perf_counter()
                with sealed.open("x") as reader:
                    for offset in range(0, reader.size, MIB):
                        reader.read_at(offset, MIB)
                read = time.perf_counter()
                rows[kind].append((64 * MIB / 1e6 / (written - begun),
                                   64 * MIB / 1e6 / (read - written)))  # fmt: skip
    return {
        kind: {"write": statistics.median(row[0] for row in found),
               "read": statistics.median(row[1] for row in found)}
        for kind, found in rows.items()
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--megabytes", type=int, default=24)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    rows: dict[str, list[dict[str, float]]] = {kind: [] for kind in KINDS}
    with tempfile.TemporaryDirectory() as name, running_server() as server:
        texts = Path(name) / "texts"
        texts.mkdir()
        size = write_texts(texts, options.megabytes) / 1e6
        for _ in range(options.rounds):
            for kind in KINDS:
                rows[kind].append(one_round(server, texts, kind))
        sealed = through_the_seal(server, 2 * options.rounds - 1)
    result = {
        kind: {key: statistics.median(row[key] for row in found) for key in found[0]}
        for kind, found in rows.items()
    }
    print(f"{size:.0f} MB of text, one worker\n")
    print("| | MB/s | MB per CPU second | requests |\n| --- | --- | --- | --- |")
    for kind, row in result.items():
        print(f"| {kind} | {size / row['wall_s']:.1f} | {size / row['cpu_s']:.1f}"
              f" | {row['requests']:.0f} |")  # fmt: skip
    for kind, row in sealed.items():
        print(
            f"one sealed object, {kind}: write {row['write']:.0f} MB/s, read {row['read']:.0f} MB/s"
        )
    print(json.dumps({"megabytes": size, **result, "sealed": sealed}))


if __name__ == "__main__":
    main()
