# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Packing a sealed dataset: tokens per core-second, what is filled, and how many documents are cut.

    python benchmarks/corpus_pack.py [--sample FILE.jsonl ...] [--megabytes 20] [--length 2048]

The tokenizer is a byte-level BPE of 8,192 tokens, trained on the same texts. `tokenizing` is the
package `tokenizers` alone, in one process, on the same texts: the floor. One worker packs; seconds
are CPU seconds of this process and its worker. The last line is one JSON object.
"""

import argparse
import json
import os
import resource
import tempfile
import time
from pathlib import Path

from corpus_search import write_corpus
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from bastide.app.config import Home
from bastide.app.corpora import find_dataset, manifest_of
from bastide.app.corpus_build import build_dataset
from bastide.app.corpus_export import shard_lines
from bastide.app.corpus_pack import pack_dataset
from bastide.app.environment import open_environment, read_passphrase
from bastide.app.founding import Wishes, found
from bastide.core.packing import METHODS

END = "<|endoftext|>"


def cpu_s() -> float:
    own, children = (
        resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def train(texts: list[str], path: Path) -> Tokenizer:
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=8_192, special_tokens=[END], show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )  # fmt: skip
    made.train_from_iterator(texts[:2_000], trainer)
    made.save(str(path))
    return made


def main() -> None:
    os.environ["RAYON_NUM_THREADS"] = "1"  # one core, as the CPU seconds are counted
    parser = argparse.ArgumentParser()
    parser.add_argument("--sample", type=Path, nargs="*", default=[])
    parser.add_argument("--megabytes", type=int, default=20)
    parser.add_argument("--length", type=int, default=2_048)
    options = parser.parse_args()
    result: dict[str, float] = {"load": os.getloadavg()[0]}
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder) / "home")
        found(home, Wishes("solo", "127.0.0.1:1"))
        recipe = write_corpus(Path(folder), options.sample, options.megabytes * 1_000_000)
        with open_environment(home, read_passphrase(home)) as env:
            build_dataset(env, recipe, 2)
            manifest = manifest_of(env, find_dataset(env, "search"))
            texts = [
                line.text for shard in manifest.shards for line in shard_lines(env.store, shard)
            ]
            tokenizer = train(texts, path := Path(folder) / "tokenizer.json")
            start, tokens = cpu_s(), 0
            for at in range(0, len(texts), 1_000):
                rows = tokenizer.encode_batch_fast(texts[at : at + 1_000], add_special_tokens=False)
                tokens += sum(len(row.ids) for row in rows)
            result["tokenizing"] = tokens / (cpu_s() - start)
            print(f"tokenizing alone   {result['tokenizing'] / 1e6:6.2f} M tokens per core-second")
            for method in METHODS:
                start, clock = cpu_s(), time.monotonic()
                row = pack_dataset(env, "search", path, END, options.length, method, workers=1)
                body, spent = row.body, cpu_s() - start
                result[method] = body["tokens"] / spent
                result[f"{method} fill"] = body["tokens"] / (body["sequences"] * options.length)
                result[f"{method} split"] = body["split"] / body["documents"]
                print(
                    f"{method:<18} {result[method] / 1e6:6.2f} M tokens per core-second, "
                    f"{result[f'{method} fill']:.3%} filled, {result[f'{method} split']:.1%} of "
                    f"documents in more than one piece, {time.monotonic() - clock:.1f} s"
                )
    print(json.dumps(result))


if __name__ == "__main__":
    main()
