# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Peak memory and time of a corpus build at 1, 4 and 16 times a sample.

    python benchmarks/corpus_scale.py [--sample FILE.jsonl ...] [--megabytes 12] [--memory 16]
        [--workers 2] [--times 1 4 16]

FILE may be .gz or .zst, as `make corpus-sample` writes them. The first copy of the sample is as it
is. Of every further copy a quarter of the documents has one word in forty changed, so near
duplicates grow with the corpus; of the others half of the words are changed. Each build runs in a
home and a process of its own; peaks are VmHWM of that process and of its largest worker. The last
line is one JSON object.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import psutil
from corpus_steps import cut, sample

from bastide.app.config import Home
from bastide.app.corpus_build import build_dataset
from bastide.app.environment import open_environment, read_passphrase
from bastide.app.founding import Wishes, found

RECIPE = """
name = "scale"
seed = "1"
[limits]
part_bytes = 4_000_000
shard_bytes = 16_000_000
[[sources]]
name = "texts"
path = "texts/*.jsonl"
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
[[steps]]
step = "near-duplicate"
"""
FILE_BYTES = 4_000_000


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--sample", type=Path, nargs="*", default=[])
    parser.add_argument("--megabytes", type=int, default=12)
    parser.add_argument("--memory", type=int, default=16)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--times", type=int, nargs="+", default=[1, 4, 16])
    parser.add_argument("--child", type=Path, help="of this program: builds in this folder")
    options = parser.parse_args()
    if options.child:
        build(options.child, options.workers, options.memory)
        return
    texts = [one.text for one in cut(sample(options.sample), options.megabytes * 1_000_000)]
    print(f"{'times':>5} {'MB':>7} {'documents':>10} {'near':>7} {'seconds':>8} {'join s':>7}"
          f" {'process MiB':>12} {'worker MiB':>11}")  # fmt: skip
    rows = []
    for times in options.times:
        with tempfile.TemporaryDirectory() as folder:
            size = write_corpus(Path(folder), texts, times)
            row = {"times": times, "bytes": size, **watched(Path(folder), options)}
        rows.append(row)
        print(f"{times:5} {size / 1e6:7.1f} {row['documents']:10} {row['near']:7}"
              f" {row['seconds']:8.1f} {row['join_s']:7.1f} {row['process_mib']:12.0f}"
              f" {row['worker_mib']:11.0f}", flush=True)  # fmt: skip
    print(json.dumps({"memory_setting_mib": options.memory, "rows": rows}))


def write_corpus(folder: Path, texts: list[str], times: int) -> int:
    """Files of some megabytes below texts/; the bytes of all texts."""
    (folder / "texts").mkdir()
    chance = random.Random(1)
    size, number, file = 0, 0, None
    for copy in range(times):
        for at, text in enumerate(texts):
            noisy = text if not copy else noise(text, 1 / 40 if at % 4 == 0 else 1 / 2, chance)
            if file is None or file.tell() > FILE_BYTES:
                file = (folder / "texts" / f"{number:05d}.jsonl").open("w")
                number += 1
            file.write(json.dumps({"id": f"{copy}-{at}", "text": noisy}) + "\n")
            size += len(noisy.encode())
    if file:
        file.close()
    (folder / "scale.toml").write_text(RECIPE)
    return size


def noise(text: str, share: float, chance: random.Random) -> str:
    words = text.split(" ")
    for at in range(len(words)):
        if chance.random() < share:
            words[at] = f"{chance.getrandbits(30):x}"
    return " ".join(words)


def build(folder: Path, workers: int, memory: int) -> None:
    """Build, and print what was built and when which step began."""
    home = Home(folder / "home")
    found(home, Wishes("solo", "127.0.0.1:1"))
    began: dict[str, float] = {}
    with open_environment(home, read_passphrase(home)) as env:
        begin = time.monotonic()
        row = build_dataset(
            env,
            folder / "scale.toml",
            workers,
            lambda what, done, total: began.setdefault(what, time.monotonic() - begin),
            memory,
        )
        seconds = time.monotonic() - begin
    removed = {step["step"]: sum(step["removed"].values()) for step in row.body["steps"]}
    print(json.dumps({"documents": row.body["read"], "near": removed["near-duplicate"],
                      "root": row.body["root"], "seconds": seconds, "join_s":
                      began["writing shards"] - began["looking for duplicates"],
                      "root_s": seconds - began["hashing the dataset"]}))  # fmt: skip


def watched(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Run a build in a child, and look at the peak of it and of its workers all the time."""
    child = subprocess.Popen(
        [sys.executable, __file__, "--child", folder, "--workers", str(options.workers),
         "--memory", str(options.memory)],
        stdout=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    peaks: dict[int, float] = {}
    looking = threading.Thread(target=look, args=(child, peaks))
    looking.start()
    told = child.communicate()[0]
    looking.join()
    if child.returncode:
        sys.exit("the build failed")
    return {
        **json.loads(told.splitlines()[-1]),
        "process_mib": peaks.pop(child.pid),
        "worker_mib": max(peaks.values()),
    }


def look(child: "subprocess.Popen[str]", peaks: dict[int, float]) -> None:
    family = psutil.Process(child.pid)
    while child.poll() is None:
        try:
            for one in [family, *family.children(recursive=True)]:
                status = Path(f"/proc/{one.pid}/status").read_text()
                if "VmHWM:" in status:
                    peaks[one.pid] = int(status.split("VmHWM:")[1].split()[0]) / 1024
        except (OSError, psutil.Error):
            pass  # one ended while it was looked at
        time.sleep(0.05)


if __name__ == "__main__":
    main()
