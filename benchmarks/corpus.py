# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""One corpus, from files to packed tokens, by Bastide and by datatrove, in turns on one machine.

    benchmarks/corpus_peers/install.sh UV
    python benchmarks/corpus.py --sample .corpus/sample/*/source/*/*.zst [--megabytes 20]
        [--rounds 3] [--peers .peers/datatrove/bin/python] [--spacy]

Work: read JSONL.zst, Unicode, language, quality (Gopher, FineWeb), personal data, near duplicates,
write, tokenize, pack into sequences of 2,048. One worker and one thread each; CPU seconds are those
of all processes, start and imports included. The tokenizer is that of corpus_pack.py.

* proved: the commands `bastide corpus build` and `corpus pack` in an environment founded before:
  files hashed, all sealed, a life of each document, Merkle root, documents whole where they fit.
* plain: the same readers and filters in one loop, duplicates in memory, nothing sealed or hashed,
  tokens one after another.
* datatrove: words split at white space; with --spacy also as it comes, which is much slower. Its
  DocumentTokenizer puts tokens one after another; it is their reader who cuts sequences.

Other tools, which do some of this work, are in corpus_tools.py.

Documents are taken evenly from all files. The stages are measured alone on the same texts, beside
what the processor does at best in that kind of work. The last line is one JSON object.
"""

import argparse
import io
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import zstandard
from corpus_pack import END, train
from corpus_steps import EU, sample

from bastide.app import wiring
from bastide.app.config import Home
from bastide.app.corpus_plan import filled_filters, load_recipe, local_steps
from bastide.app.corpus_shards import Line
from bastide.app.corpus_tokens import open_tokenizer
from bastide.app.founding import Wishes, found
from bastide.core.document import Document
from bastide.filters.chain import run_filters
from bastide.filters.near_duplicate import NearDuplicate, bands, estimate, exact_digest
from bastide.readers.jsonl import Jsonl

# The languages of EU, as fastText names them.
FASTTEXT = "bg,cs,da,de,el,en,et,fi,fr,ga,hr,hu,it,lt,lv,mt,nl,pl,pt,ro,sk,sl,es,sv"
QUALITY = ("gopher-repetition", "gopher-quality", "fineweb")
RECIPE = """
name = "speed"
seed = "1"
[[sources]]
name = "texts"
path = "texts/*.jsonl.zst"
reader = "jsonl"
licence = "CC0-1.0"
basis = "own"
origin = "made by a benchmark"
collected = 2026-11-26
[[steps]]
step = "normalise"
[[steps]]
step = "language"
languages = {languages}
{quality}
[[steps]]
step = "personal-data"
[[steps]]
step = "exact-duplicate"
[[steps]]
step = "near-duplicate"
"""
FILES = 4
LENGTH = 2_048  # tokens of a sequence
BATCH = 1_000  # texts that are tokenized at once


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--sample", type=Path, nargs="*", default=[])
    parser.add_argument("--megabytes", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peers", type=Path, default=Path(".peers/datatrove/bin/python"))
    parser.add_argument("--spacy", action="store_true")
    parser.add_argument("--child", choices=("plain",), help="of this program")
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(plain(options.folder)))
        return
    os.environ["RAYON_NUM_THREADS"] = "1"  # of tokenizers: one core, as the seconds are counted
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        texts = write_corpus(folder, options.sample, options.megabytes * 1_000_000)
        train(texts, folder / "tokenizer.json")
        size = sum(len(text.encode()) for text in texts)
        print(f"{len(texts)} documents, {size / 1e6:.1f} MB of text")
        tools = commands(folder, options)
        rows = turns(folder, tools, options.rounds, len(texts))
        result = told(rows, len(texts), size)
        result["stages_mb_per_cpu_s"] = stages(folder, texts)
    print(json.dumps(result))


def write_corpus(folder: Path, paths: list[Path], bytes_max: int) -> list[str]:
    """Every k-th document of all files, in some files below texts/."""
    total = sum(len(one.text.encode()) for one in sample(paths)) if paths else 0
    step = max(1, round(total / bytes_max))
    texts, size = list[str](), 0
    for number, one in enumerate(sample(paths)):
        if number % step == 0:
            texts.append(one.text)
            size += len(one.text.encode())
            if size > bytes_max:
                break
    (folder / "texts").mkdir()
    rows = [json.dumps({"id": str(at), "text": text}) + "\n" for at, text in enumerate(texts)]
    for number in range(FILES):
        data = zstandard.compress("".join(rows[number::FILES]).encode())
        (folder / "texts" / f"{number}.jsonl.zst").write_bytes(data)
    quality = "".join(f'[[steps]]\nstep = "{name}"\n' for name in QUALITY)
    recipe = RECIPE.format(languages=json.dumps(EU.split()), quality=quality)
    (folder / "speed.toml").write_text(recipe)
    return texts


def commands(folder: Path, options: argparse.Namespace) -> dict[str, list[list[str]]]:
    ours = [sys.executable, __file__, "--folder", str(folder), "--child"]
    found(Home(folder / "home"), Wishes("solo", "127.0.0.1:1"))
    command = [sys.executable, "-c", "from bastide.cli import main; main()", "corpus"]
    more = ["--workers", "1", "--json", "--home", "OUTPUT/home"]
    tokenizer = str(folder / "tokenizer.json")
    pack = ["pack", "speed", "--tokenizer", tokenizer, "--end-token", END, "--length", str(LENGTH)]
    build = [*command, "build", str(folder / "speed.toml"), *more]
    tools = {"proved": [build, [*command, *pack, *more]], "plain": [[*ours, "plain"]]}
    if not options.peers.exists():
        print(f"absent: {options.peers}; benchmarks/corpus_peers/install.sh installs datatrove")
        return tools
    script = str(Path(__file__).parent / "corpus_peers" / "whole.py")
    given = [str(folder / "texts"), "OUTPUT", FASTTEXT]
    for split in ("words", "spacy") if options.spacy else ("words",):
        name = "datatrove" if split == "words" else "datatrove, spaCy"
        tools[name] = [[str(options.peers), script, *given, split, tokenizer, END]]
    return tools


def turns(
    folder: Path, tools: dict[str, list[list[str]]], rounds: int, documents: int
) -> dict[str, list[dict[str, Any]]]:
    """Every tool once, then every tool again; spaCy, which takes minutes, in the first round."""
    rows: dict[str, list[dict[str, Any]]] = {tool: [] for tool in tools}
    for number in range(rounds):
        for tool, steps in tools.items():
            if number and tool.endswith("spaCy"):
                continue
            with tempfile.TemporaryDirectory() as target:
                if tool == "proved":  # each time a new environment, or the dataset is there already
                    shutil.copytree(folder / "home", Path(target) / "home")
                done = [run([part.replace("OUTPUT", target) for part in step]) for step in steps]
            row = done[-1]
            if tool == "proved":
                row = {**row, "kept": done[0]["documents"], "documents": documents}
                rows.setdefault("build alone", []).append({**row, **time_of(done[:1])})
            row = {**row, **time_of(done)}
            rows[tool].append(row)
            print(f"  {tool:18} {row['cpu_s']:7.1f} s of CPU {row['seconds']:7.1f} s"
                  f"  kept {row['kept']} of {row['documents']}, {row['tokens'] / 1e6:.2f} million"
                  " tokens", flush=True)  # fmt: skip
    return rows


def time_of(rows: list[dict[str, Any]]) -> dict[str, float]:
    return {name: sum(row[name] for row in rows) for name in ("seconds", "cpu_s")}


def run(command: list[str], *, last_line: bool = True) -> dict[str, Any]:
    """What a command took, and unless it prints none, the JSON object of its last line."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begin = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - begin
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        sys.exit(f"{command[:2]} failed: {done.stderr[-800:]}")
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    row = json.loads(done.stdout.splitlines()[-1]) if last_line else {}
    return {**row, "seconds": seconds, "cpu_s": spent}


def told(rows: dict[str, list[dict[str, Any]]], documents: int, size: int) -> dict[str, Any]:
    """The best round of each tool: other programs on the machine only ever add to it."""
    spent = {tool: min(row["cpu_s"] for row in own) for tool, own in rows.items()}
    for tool, seconds in spent.items():
        print(f"{tool:18} {documents / seconds:8.1f} documents, {size / seconds / 1e6:6.2f} MB a"
              " core second")  # fmt: skip
    ratios = {tool: round(spent[tool] / spent["proved"], 2) for tool in spent if "data" in tool}
    proof = round(spent["proved"] / spent["plain"], 2)
    print(f"datatrove to proved: {ratios}; proved to plain: {proof}")
    return {
        "documents": documents,
        "bytes": size,
        "cpu_s": spent,
        "kept": {tool: own[0]["kept"] for tool, own in rows.items()},
        "times_as_fast_as": ratios,
        "proved_to_plain": proof,
    }


def plain(folder: Path) -> dict[str, int]:
    """The same in one loop."""
    recipe = load_recipe(folder / "speed.toml")
    filters = filled_filters(local_steps(recipe.steps), bytes(32), ())
    tokenizer = open_tokenizer(folder / "tokenizer.json", END)
    waiting: list[Line] = []
    tokens = 0
    near = NearDuplicate()
    seen: set[bytes] = set()
    tables: dict[int, list[bytes]] = {}
    read = kept = 0
    with tempfile.TemporaryDirectory() as place:
        stream = zstandard.ZstdCompressor(level=3).stream_writer(
            (Path(place) / "out.jsonl.zst").open("wb")
        )
        packed = (Path(place) / "tokens.bin").open("wb")

        def pack() -> int:
            count = 0
            for _, row in tokenizer.tokens(waiting):
                packed.write(row.tobytes())  # a reader cuts sequences of LENGTH
                count += len(row)
            waiting.clear()
            return count

        for one in documents_of(folder):
            read += 1
            found = run_filters(filters, one).document
            if found is None or (digest := exact_digest(found.text)) in seen:
                continue
            seen.add(digest)
            signature = near.signature(found.text)
            keys = bands(signature)
            others = {other for key in keys for other in tables.get(key, ())}
            if any(estimate(signature, other) >= near.similarity_min for other in others):
                continue
            for key in keys:
                tables.setdefault(key, []).append(signature)
            kept += 1
            stream.write(msgspec.json.encode({"id": found.ident, "text": found.text}) + b"\n")
            waiting.append(Line(id=found.ident, text=found.text, source=found.source))
            if len(waiting) == BATCH:
                tokens += pack()
        tokens += pack()
        stream.close()
        packed.close()
    return {"documents": read, "kept": kept, "tokens": tokens}


def documents_of(folder: Path) -> Iterator[Document]:
    for path in sorted((folder / "texts").iterdir()):
        with path.open("rb") as file:
            for one in Jsonl().read(file, "texts", path.name):
                if isinstance(one, Document):
                    yield one


def stages(folder: Path, texts: list[str]) -> dict[str, float]:
    """Megabytes of text a CPU second of each stage alone, and of the processor's own work."""
    size = sum(len(text.encode()) for text in texts)
    packed = [path.read_bytes() for path in sorted((folder / "texts").iterdir())]
    lines = [json.dumps({"id": "1", "text": text}).encode() for text in texts]
    rows = [Document(ident=str(at), text=text, source="s") for at, text in enumerate(texts)]
    steps = local_steps(load_recipe(folder / "speed.toml").steps)
    found: dict[str, float] = {}

    def measure(name: str, work: Callable[[], Any], part: float = 1.0) -> None:
        best = min(spent(work) for _ in range(2))
        found[name] = round(size * part / 1e6 / best, 1)

    measure("limit: zstd decode", lambda: [unpacked(data) for data in packed])
    measure("limit: JSON parse", lambda: [msgspec.json.decode(line) for line in lines])
    measure("limit: SHA-256", lambda: [exact_digest(text) for text in texts])
    measure("limit: zstd encode", lambda: [zstandard.compress(line) for line in lines])
    measure("read", lambda: [None for _ in documents_of(folder)])
    left = rows
    for step, one in zip(steps, filled_filters(steps, bytes(32), ()), strict=True):
        run_filters([one], left[0])
        given = left
        share = sum(len(row.text.encode()) for row in given) / size
        measure(step.step, lambda one=one, given=given: passed(one, given), share)
        left = passed(one, left)
    near = NearDuplicate()
    share = sum(len(row.text.encode()) for row in left) / size
    measure("near-duplicate", lambda: [bands(near.signature(row.text)) for row in left], share)
    sealing = sealer()
    measure("seal", lambda: sealing(lines))
    for name, rate in found.items():
        print(f"  {name:22} {rate:9.1f} MB a core second")
    return found


def passed(one: Any, rows: Iterable[Document]) -> list[Document]:
    outcomes = (run_filters([one], row).document for row in rows)
    return [row for row in outcomes if row is not None]


def unpacked(data: bytes) -> int:
    return len(zstandard.ZstdDecompressor().stream_reader(io.BytesIO(data)).read())


def sealer() -> Callable[[list[bytes]], Any]:
    store = wiring.open_scratch(wiring.entropy())
    return lambda lines: store.put("speed", lines)


def spent(work: Callable[[], Any]) -> float:
    begin = time.process_time()
    work()
    return time.process_time() - begin


if __name__ == "__main__":
    main()
