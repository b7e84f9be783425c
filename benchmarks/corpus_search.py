# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Verbatim search in a sealed dataset: how long the index takes, and how long a query.

    python benchmarks/corpus_search.py [--sample FILE.jsonl ...] [--megabytes 50] [--queries 1000]
        [--memory 512]

FILE may be .gz or .zst, as `make corpus-sample` writes them. Without one, the texts of the tests
and this repository's documentation are taken. Texts are repeated, with noise, until there are as
many megabytes. Half of the queries are spans of the texts, of 3 to 400 characters; half are the
same with one character changed. `cold` opens the index, its keys and its objects for every query;
`open` holds it open. The last line is one JSON object.
"""

import argparse
import json
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import cycle, islice
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from corpus_steps import sample

from bastide.app.config import Home
from bastide.app.corpora import find_dataset, manifest_of
from bastide.app.corpus_build import build_dataset, folder_of
from bastide.app.corpus_export import shard_lines
from bastide.app.corpus_index import build_index, index_folder
from bastide.app.corpus_search import Spans, find_spans, open_index
from bastide.app.environment import Environment, open_environment, read_passphrase
from bastide.app.founding import Wishes, found

RECIPE = """
name = "search"
seed = "1"
[[sources]]
name = "texts"
path = "texts/*.jsonl"
reader = "jsonl"
licence = "CC0-1.0"
basis = "own"
origin = "made by a benchmark"
collected = 2026-11-26
[[steps]]
step = "personal-data"
[[steps]]
step = "exact-duplicate"
"""
LENGTHS = (3, 5, 8, 13, 21, 50, 100, 400)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--sample", type=Path, nargs="*", default=[])
    parser.add_argument("--megabytes", type=int, default=50)
    parser.add_argument("--queries", type=int, default=1000)
    parser.add_argument("--memory", type=int, default=512)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder) / "home")
        found(home, Wishes("solo", "127.0.0.1:1"))
        recipe = write_corpus(Path(folder), options.sample, options.megabytes * 1_000_000)
        with open_environment(home, read_passphrase(home)) as env:
            built = build_dataset(env, recipe, 2)
            result = measure(env, options.queries, options.memory)
        result = {"documents": built.body["documents"], "bytes": built.body["bytes"], **result}
    print(json.dumps(result))


def write_corpus(folder: Path, paths: list[Path], bytes_max: int) -> Path:
    chance = random.Random(1)
    # Without a file the sample has no end.
    texts = [one.text for one in islice(sample(paths), None if paths else 500)]
    (folder / "texts").mkdir()
    size = 0
    with (folder / "texts" / "all.jsonl").open("w") as file:
        for number, text in enumerate(cycle(texts)):
            noisy = text if number < len(texts) else noise(text, chance)
            size += len(noisy.encode())
            if size > bytes_max:
                break
            file.write(json.dumps({"id": str(number), "text": noisy}) + "\n")
    recipe = folder / "search.toml"
    recipe.write_text(RECIPE)
    return recipe


def noise(text: str, chance: random.Random) -> str:
    """About every fortieth word is another one of the text."""
    words = text.split(" ")
    for at in range(len(words)):
        if chance.random() < 1 / 40:
            words[at] = chance.choice(words)
    return " ".join([*words, f"{chance.getrandbits(40):x}"])


def measure(env: Environment, queries: int, memory: int) -> dict[str, Any]:
    # In a process of its own: what this one has freed would hide what the index takes.
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        row, seconds, more = pool.submit(indexed, env.home, memory).result()
    rate = row["bytes"] / 1e6 / seconds
    print(f"indexed {row['bytes'] / 1e6:.1f} MB in {row['segments']} segments, {seconds:.1f} s")
    print(f"  {rate:.1f} MB/s; the process took {more:.0f} MiB more at its peak")
    size = stored(env) / row["bytes"]
    print(f"  {size:.2f} bytes for each of the text")
    wanted = list(islice(cut(env), queries))
    cold = timed(wanted, lambda text: find_spans(env, "search", text))
    with open_index(env, "search") as index:
        warm = timed(wanted, index.find)
    return {
        "index_mb_per_s": round(rate, 2),
        "index_memory_mib": round(more),
        "memory_setting_mib": memory,
        "segments": row["segments"],
        "index_bytes_each": round(size, 2),
        "cold_ms": told("cold", cold),
        "open_ms": told("open", warm),
    }


def stored(env: Environment) -> int:
    """Bytes of the index's objects, before they are sealed."""
    folder = index_folder(folder_of(find_dataset(env, "search").body["build"]))
    size = 0
    for name in env.store.names(folder):
        with env.store.open(name) as reader:
            size += reader.size
    return size


def indexed(home: Home, memory: int) -> tuple[dict[str, Any], float, float]:
    """The result of the index, its seconds, and the MiB by which this process grew at most."""
    with open_environment(home, read_passphrase(home)) as env:
        before = peak_mib()
        begin = time.perf_counter()
        row = build_index(env, "search", memory)
        seconds = time.perf_counter() - begin
        return row, seconds, peak_mib() - before


def peak_mib() -> float:
    # Not ru_maxrss: a child begins with its parent's.
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1024


def cut(env: Environment) -> Iterator[str]:
    chance = random.Random(2)
    manifest = manifest_of(env, find_dataset(env, "search"))
    lines = (line for shard in manifest.shards for line in shard_lines(env.store, shard))
    texts = [line.text for line in lines if len(line.text) > 1 and chance.random() < 0.5]
    while True:
        text = chance.choice(texts)
        at = chance.randrange(len(text) - 1)
        span = text[at : at + chance.choice(LENGTHS)]
        yield span
        place = chance.randrange(len(span))
        yield f"{span[:place]}{chance.choice('aeqxñ')}{span[place + 1 :]}"


def timed(wanted: Iterable[str], find: Callable[[str], Spans]) -> list[float]:
    seen, hits = list[float](), 0
    for text in wanted:
        begin = time.perf_counter()
        spans = find(text)
        seen.append((time.perf_counter() - begin) * 1000)
        hits += bool(spans.count)
    print(f"  {hits} of {len(seen)} texts are there")
    return seen


def told(name: str, seen: list[float]) -> dict[str, float]:
    hundredths = statistics.quantiles(seen, n=100)
    row = {"p50": hundredths[49], "p95": hundredths[94], "p99": hundredths[98], "max": max(seen)}
    row = {key: round(value, 2) for key, value in row.items()}
    print(f"{name:6}" + "".join(f"  {key} {value} ms" for key, value in row.items()))
    return row


if __name__ == "__main__":
    main()
