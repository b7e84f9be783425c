# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Speed of each reader and filter on one core, in MB of text for each CPU second.

    python benchmarks/corpus_steps.py [--sample FILE.jsonl ...] [--megabytes 50]
        [--peers PYTHON]

FILE may be .gz or .zst. Without one the texts of the tests and this repository's documentation are
repeated. PYTHON is an interpreter whose environment has datatrove, ftfy and py3langid: the same
texts then go through them, by default as they are, and with words split at white space (`words`)
for the rules that count words. The last line is one JSON object.
"""

import argparse
import gzip
import io
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from bastide.core.document import Document
from bastide.filters.c4 import C4
from bastide.filters.chain import run_filters
from bastide.filters.fineweb import FineWeb
from bastide.filters.gopher_quality import GopherQuality
from bastide.filters.gopher_repetition import GopherRepetition
from bastide.filters.language import Language
from bastide.filters.length import Length
from bastide.filters.near_duplicate import NearDuplicate, bands
from bastide.filters.normalise import Normalise
from bastide.readers.jsonl import Jsonl
from bastide.readers.reader import Reader

ROOT = Path(__file__).parents[1]
EU = (
    "bul_Cyrl ces_Latn dan_Latn deu_Latn ell_Grek eng_Latn est_Latn fin_Latn fra_Latn gle_Latn"
    " hrv_Latn hun_Latn ita_Latn lit_Latn lav_Latn mlt_Latn nld_Latn pol_Latn por_Latn ron_Latn"
    " slk_Latn slv_Latn spa_Latn swe_Latn"
)
QUALITY = (GopherQuality(), GopherRepetition(), FineWeb())


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--sample", type=Path, nargs="*", default=[])
    parser.add_argument("--megabytes", type=int, default=50)
    parser.add_argument("--peers", type=Path)
    options = parser.parse_args()
    documents = list(cut(sample(options.sample), options.megabytes * 1_000_000))
    size = sum(len(one.text.encode()) for one in documents)
    print(f"{len(documents)} documents, {size / 1e6:.1f} MB of text")
    rates = {name: size / 1e6 / seconds for name, seconds in steps(documents)}
    peers = measured_peers(options.peers, documents) if options.peers else {}
    for name, rate in rates.items():
        others = "".join(f"  {peer} {peers[peer]:.2f}" for peer in sorted(peers) if name in peer)
        print(f"{name:24} {rate:8.1f} MB per CPU second{others}")
    result = {"documents": len(documents), "bytes": size, "mb_per_cpu_s": rates, "peers": peers}
    print(json.dumps(result))


def sample(paths: Iterable[Path]) -> Iterable[Document]:
    paths = list(paths)
    if not paths:
        rows = (ROOT / "tests/vectors/corpus_quality.jsonl").read_text().split("\n")
        texts = [json.loads(row)["text"] for row in rows if row]
        texts += [page.read_text() for page in sorted((ROOT / "docs").rglob("*.md"))]
        while True:
            yield from (Document(ident="", text=text, source="") for text in texts)
    for path in paths:
        with path.open("rb") as stream:
            for one in Jsonl().read(stream, "sample", path.name):
                if isinstance(one, Document):
                    yield one


def cut(documents: Iterable[Document], bytes_max: int) -> Iterable[Document]:
    size = 0
    for one in documents:
        size += len(one.text.encode())
        if size > bytes_max:
            return
        yield one


def steps(documents: list[Document]) -> Iterable[tuple[str, float]]:
    lines = b"".join(
        json.dumps({"id": f"{at}", "text": one.text}, ensure_ascii=False).encode() + b"\n"
        for at, one in enumerate(documents)
    )
    yield "read jsonl", spent(lambda: drained(Jsonl(), lines, "a.jsonl"))
    packed = gzip.compress(lines, 6)
    yield "read jsonl.gz", spent(lambda: drained(Jsonl(), packed, "a.jsonl.gz"))
    import zstandard

    squeezed = zstandard.compress(lines)
    yield "read jsonl.zst", spent(lambda: drained(Jsonl(), squeezed, "a.jsonl.zst"))
    language = Language(languages=tuple(EU.split()))
    for filters in (
        (Normalise(),),
        (language,),
        (Length(),),
        *((one,) for one in QUALITY),
        (C4(),),
        QUALITY,
    ):
        run_filters(filters, documents[0])  # what is made once in a process is not counted
        name = filters[0].ident if len(filters) == 1 else "all of quality"
        begin = time.process_time()
        removed = Counter(run_filters(filters, one).reason for one in documents)
        seconds = time.process_time() - begin
        yield name, seconds
        print(
            f"  {name}: " + ", ".join(f"{why or 'kept'} {n}" for why, n in removed.most_common(9))
        )
    near = NearDuplicate()
    near.signature(documents[0].text)
    yield "near-duplicate", spent(lambda: [signed(near, one.text) for one in documents])


def drained(reader: Reader, raw: bytes, name: str) -> None:
    for _ in reader.read(io.BytesIO(raw), "sample", name):
        pass


def signed(near: NearDuplicate, text: str) -> None:
    if signature := near.signature(text):
        bands(signature)


def spent(work: Callable[[], Any]) -> float:
    begin = time.process_time()
    work()
    return time.process_time() - begin


def measured_peers(python: Path, documents: list[Document]) -> dict[str, float]:
    texts = json.dumps([one.text for one in documents])
    script = Path(__file__).parent / "corpus_peers" / "steps.py"
    done = subprocess.run(
        [python, script], input=texts, capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"the peers failed: {done.stderr[-500:]}")
    return json.loads(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    main()
