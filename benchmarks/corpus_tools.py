# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What other tools do of a corpus' way, beside Bastide with the steps that come nearest.

    benchmarks/corpus_peers/install_tools.sh UV
    python benchmarks/corpus_tools.py --sample .corpus/sample/*/source/*/*.zst [--megabytes 20]
        [--peers .peers]

* text-dedup: near duplicates, 16 bands of 8 rows, five words in a row.
* dolma: Gopher's figures, personal data by expressions (e-mail, IP, phone), CLD2's language. It
  writes only attributes: texts are neither masked nor removed.
* Data-Juicer: Unicode, its filters of repetition, characters and words, masked e-mail and IP
  addresses, near duplicates as above.
* NeMo-Curator: its heuristics of Gopher's rules, called one after another without its Ray: what it
  costs at least. Its MinHash needs CUDA.

Ours is `bastide corpus build` with the steps named in PARTS, in an environment founded before, one
worker: read, sealed, proved. Its policy wants personal data to be looked for, so each build does.
Seconds are CPU seconds of all processes, start and imports included. The last line is JSON.
"""

import argparse
import gzip
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from corpus import run, write_corpus
from corpus_steps import EU

from bastide.app.config import Home
from bastide.app.founding import Wishes, found

QUALITY = ["gopher-repetition", "gopher-quality"]
PARTS = {
    "text-dedup": ["personal-data", "near-duplicate"],
    "dolma": ["language", *QUALITY, "personal-data"],
    "data-juicer": ["normalise", *QUALITY, "personal-data", "near-duplicate"],
    "nemo-curator": [*QUALITY, "personal-data"],
}
TAGGERS = ["gopher_v2", "pii_regex_with_counts_fast_v2", "cld2_doc_v2"]
JUICER = """
project_name: bench
dataset_path: {folder}/texts.jsonl
export_path: {target}/out.jsonl
np: 1
use_cache: false
auto_op_parallelism: false
process:
  - fix_unicode_mapper: {{normalization: NFC}}
  - alphanumeric_filter: {{}}
  - character_repetition_filter: {{}}
  - word_repetition_filter: {{}}
  - special_characters_filter: {{}}
  - words_num_filter: {{min_num: 50}}
  - clean_email_mapper: {{}}
  - clean_ip_mapper: {{}}
  - document_minhash_deduplicator:
      {{tokenization: space, window_size: 5, num_permutations: 128, jaccard_threshold: 0.8,
        num_bands: 16, num_rows_per_band: 8}}
"""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--sample", type=Path, nargs="*", default=[])
    parser.add_argument("--megabytes", type=int, default=20)
    parser.add_argument("--peers", type=Path, default=Path(".peers"))
    options = parser.parse_args()
    os.environ.update(HF_HUB_OFFLINE="1", HF_DATASETS_OFFLINE="1")
    result: dict[str, Any] = {"load": os.getloadavg()[0]}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["HF_HOME"] = f"{folder}/hub"
        texts = write_corpus(folder, options.sample, options.megabytes * 1_000_000)
        size = sum(len(text.encode()) for text in texts)
        write_forms(folder, texts)
        found(Home(folder / "home"), Wishes("solo", "127.0.0.1:1"))
        print(f"{len(texts)} documents, {size / 1e6:.1f} MB of text")
        for tool, steps in PARTS.items():
            python = options.peers.absolute() / tool / "bin" / "python"
            if not python.exists():
                print(f"absent: {tool}")
                continue
            their = spent(TOOLS[tool], folder, python)
            ours = spent(build, folder, Path(tool))
            result[tool] = {"cpu_s": their, "bastide_cpu_s": ours, "times": their / ours}
            print(f"{tool:14} {their:7.1f} s, Bastide {ours:6.1f} s: {their / ours:.1f} times;"
                  f" {', '.join(steps)}", flush=True)  # fmt: skip
    print(json.dumps(result))


def write_forms(folder: Path, texts: list[str]) -> None:
    """The same texts as dolma and Data-Juicer read them."""
    day = "2026-11-26T00:00:00.000Z"
    rows = [
        json.dumps({"id": str(at), "text": text, "source": "s", "added": day, "created": day})
        for at, text in enumerate(texts)
    ]
    data = "".join(row + "\n" for row in rows).encode()
    (folder / "documents").mkdir()
    (folder / "documents" / "0.jsonl.gz").write_bytes(gzip.compress(data))
    (folder / "texts.jsonl").write_bytes(data)


def spent(work: Callable[[Path, Path, Path], list[str]], folder: Path, python: Path) -> float:
    with tempfile.TemporaryDirectory() as target:
        row = run(work(folder, python, Path(target)), last_line=False)
    return float(row["cpu_s"])


def build(folder: Path, tool: Path, target: Path) -> list[str]:
    recipe = (folder / "speed.toml").read_text().partition("[[steps]]")[0]
    for step in PARTS[str(tool)]:
        recipe += f'[[steps]]\nstep = "{step}"\n'
        if step == "language":
            recipe += f"languages = {json.dumps(EU.split())}\n"
    path = folder / "part.toml"
    path.write_text(recipe)
    shutil.copytree(folder / "home", target / "home")
    command = [sys.executable, "-c", "from bastide.cli import main; main()", "corpus", "build"]
    return [*command, str(path), "--workers", "1", "--json", "--home", f"{target}/home"]


def text_dedup(folder: Path, python: Path, target: Path) -> list[str]:
    given = {
        "path": "json", "data_files": f"{folder}/texts/*.jsonl.zst", "split": "train",
        "cache_dir": f"{target}/cache", "output": f"{target}/out", "column": "text",
        "num_perm": "128", "b": "16", "r": "8", "ngram": "5", "num_proc": "1",
    }  # fmt: skip
    return [str(python), "-m", "text_dedup.minhash", *(f"--{k}={v}" for k, v in given.items())]


def dolma(folder: Path, python: Path, target: Path) -> list[str]:
    (target / "documents").symlink_to(folder / "documents")
    return [
        str(python), str(python.with_name("dolma")), "tag", "--documents",
        f"{target}/documents/*.gz", "--experiment", "bench", "--processes", "1",
        "--taggers", *TAGGERS,
    ]  # fmt: skip


def data_juicer(folder: Path, python: Path, target: Path) -> list[str]:
    path = target / "recipe.yaml"
    path.write_text(JUICER.format(folder=folder, target=target))
    return [str(python), str(python.with_name("dj-process")), "--config", str(path)]


def nemo_curator(folder: Path, python: Path, target: Path) -> list[str]:
    script = Path(__file__).parent / "corpus_peers" / "curator.py"
    return [str(python), str(script), str(folder / "texts.jsonl"), str(target / "out.jsonl")]


TOOLS = {
    "text-dedup": text_dedup,
    "dolma": dolma,
    "data-juicer": data_juicer,
    "nemo-curator": nemo_curator,
}


if __name__ == "__main__":
    main()
