# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The same steps in datatrove, ftfy and py3langid, for corpus_steps.py.

Reads a JSON list of texts and prints MB per CPU second by name. Runs in an environment that has
these packages and nothing of ours. What is not installed is left out.
"""

import json
import sys
import time
from collections.abc import Callable
from typing import Any

# spaCy's split takes minutes for what the others do in seconds.
SLOW_BYTES_MAX = 2_000_000


def main() -> None:
    texts = json.load(sys.stdin)
    rates: dict[str, float] = {}
    for name, few, step in [*_datatrove(), *_ftfy(), *_langid()]:
        chosen = list(_cut(texts, SLOW_BYTES_MAX)) if few else texts
        size = sum(len(text.encode()) for text in chosen)
        step(chosen[0])
        begin = time.process_time()
        for text in chosen:
            step(text)
        rates[name] = size / 1e6 / (time.process_time() - begin)
    print(json.dumps(rates))


def _cut(texts: list[str], bytes_max: int) -> Any:
    size = 0
    for text in texts:
        size += len(text.encode())
        if size > bytes_max:
            return
        yield text


Step = tuple[str, bool, Callable[[str], Any]]


def _datatrove() -> list[Step]:
    try:
        import datatrove.pipeline.filters.fineweb_quality_filter as fineweb
        import datatrove.pipeline.filters.gopher_quality_filter as quality
        import datatrove.pipeline.filters.gopher_repetition_filter as repetition
        from datatrove.data import Document
        from datatrove.pipeline.dedup.minhash import MinhashConfig, MinhashDedupSignature
        from datatrove.utils.text import split_into_words
    except ImportError:
        return []
    kinds = {
        "gopher-quality": (quality, quality.GopherQualityFilter()),
        "gopher-repetition": (repetition, repetition.GopherRepetitionFilter()),
        "fineweb": (fineweb, fineweb.FineWebQualityFilter()),
    }

    def judged(module: Any, kind: Any, words: Callable[..., Any]) -> Callable[[str], Any]:
        def step(text: str) -> None:
            module.split_into_words = words
            if text.strip():
                kind.filter(Document(text=text, id=""))

        return step

    found: list[Step] = []
    for name, (module, kind) in kinds.items():
        found.append((f"datatrove {name}", True, judged(module, kind, split_into_words)))
        found.append((f"datatrove {name} (words)", False, judged(module, kind, _split)))
    config = MinhashConfig(num_buckets=16, hashes_per_bucket=8)
    signer = MinhashDedupSignature("/tmp/none", config)  # it writes nothing before `run`

    def signed(text: str) -> None:
        shingles = signer.get_shingles(text)
        if shingles.size:
            signer.get_signature(shingles)

    return [*found, ("datatrove near-duplicate", True, signed)]


def _split(text: str, language: str = "") -> list[str]:
    return text.split()


def _ftfy() -> list[Step]:
    try:
        import ftfy
    except ImportError:
        return []
    return [("ftfy normalise", True, ftfy.fix_text)]


def _langid() -> list[Step]:
    try:
        from py3langid import langid
    except ImportError:
        return []
    peer = langid.LanguageIdentifier.from_model_file(langid.MODEL_FILE)
    whole = ("py3langid language", True, peer.classify)
    return [whole, ("py3langid language (1,000)", True, lambda text: peer.classify(text[:1000]))]


if __name__ == "__main__":
    main()
