# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What a corpus of so many tokens takes, reckoned from rates that were measured on a small one.

    python tools/corpus_at_scale.py [--tokens 16e12] [--nodes 1 4 16 64] [--cores 128]

Prints the tables of docs/guides/corpus-scale.md. Rates are those of docs/benchmarks.md; what is
assumed and not measured is in `Corpus`. Row widths and limits come from the code.
"""

import argparse
import math
from dataclasses import dataclass

from bastide.app.corpus_objects import FAN
from bastide.app.corpus_part import BAND_WIDTH, KEY_WIDTH, SIGNATURE_WIDTH, TEXT_WIDTH
from bastide.app.corpus_shards import LEAF_WIDTH
from bastide.core.limits import CORPUS_PARTS_MAX, GIB
from bastide.filters.near_duplicate import BANDS

TB = 1e12
PASSES = math.ceil(math.log(CORPUS_PARTS_MAX, FAN))  # over the bands: each part is a run


@dataclass(frozen=True)
class Corpus:
    """Assumed of the corpus. Another one has other numbers: they are options of this program."""

    tokens: float = 16e12  # read, before any step
    token_bytes: float = 4.0  # of UTF-8: European languages in a tokenizer made for them
    document_bytes: float = 4_000.0
    kept: float = 0.5  # of the documents, when the near duplicates are looked for
    compressed: float = 3.5  # text to Zstandard


@dataclass(frozen=True)
class Rates:
    """Measured, of one core (docs/benchmarks.md)."""

    work_mb_s: float = 2.36  # text through all steps, sealed: benchmarks/corpus.py, two sizes
    hash_mb_s: float = 408.0  # SHA-256 of the files
    join_documents_s: float = 30_944.0  # benchmarks/corpus_join.py, all workers together
    join_alone_documents_s: float = 1_346_141.0  # the same, what the process that leads does
    root_documents_s: float = 343_821.0
    root_alone_documents_s: float = 6_265_157.0
    merge_rows_s: float = 1_175_783.0  # an earlier version of that benchmark

    def join_hours(self, kept: float) -> float:
        """Core hours of the join. It was measured with one pass over the bands."""
        more = kept * BANDS * (PASSES - 1)
        return hours(kept, self.join_documents_s) + hours(more, self.merge_rows_s)

    def alone_hours(self, kept: float) -> float:
        """Of the join and the root, what one process does, however many workers there are."""
        joining = hours(kept, self.join_alone_documents_s)
        return joining + hours(kept, self.root_alone_documents_s)


def plan(corpus: Corpus, rates: Rates) -> list[tuple[str, str]]:
    """What must be stored, moved and done."""
    text = corpus.tokens * corpus.token_bytes
    documents = text / corpus.document_bytes
    kept = documents * corpus.kept
    part = text / corpus.compressed / CORPUS_PARTS_MAX
    bands = kept * BANDS * BAND_WIDTH
    hashing = hours(text / corpus.compressed / 1e6, rates.hash_mb_s)
    rows = kept * (SIGNATURE_WIDTH + TEXT_WIDTH) + documents * KEY_WIDTH
    return [
        ("text read", f"{text / TB:.0f} TB, {documents / 1e9:.0f} billion documents"),
        ("files, as Zstandard", f"{text / corpus.compressed / TB:.0f} TB"),
        ("parts (`part_bytes`)", f"{CORPUS_PARTS_MAX:,} of {part / 1e6:.0f} MB at least"),
        ("shards of 1 GiB of text", f"{text * corpus.kept / GIB:,.0f}"),
        ("rows of bands", f"{bands / TB:.1f} TB in {CORPUS_PARTS_MAX:,} runs or more"),
        ("other sorted rows", f"{rows / TB:.1f} TB"),
        ("shuffle: bands merged " + f"{PASSES} times", f"{2 * PASSES * bands / TB:.0f} TB moved"),
        ("leaves of the tree", f"{kept * LEAF_WIDTH / TB:.1f} TB"),
        ("hashing the files", f"{hashing:,.0f} core hours"),
        ("all steps, sealing, shards", f"{hours(text / 1e6, rates.work_mb_s):,.0f} core hours"),
        ("duplicates", f"{rates.join_hours(kept):,.0f} core hours"),
        ("leaves and root", f"{hours(kept, rates.root_documents_s):,.0f} core hours"),
    ]  # fmt: skip


def nodes(corpus: Corpus, rates: Rates, counts: list[int], cores: int) -> list[tuple[str, ...]]:
    """Hours on so many nodes: steps and shards; what of the join and the root is divided, and what
    one process does."""
    text = corpus.tokens * corpus.token_bytes
    kept = text / corpus.document_bytes * corpus.kept
    steps = hours(text / 1e6, rates.work_mb_s)
    steps += hours(text / corpus.compressed / 1e6, rates.hash_mb_s)
    alone = rates.alone_hours(kept)
    divided = rates.join_hours(kept) + hours(kept, rates.root_documents_s) - alone
    return [
        (
            str(count),
            f"{steps / (count * cores):,.1f} h",
            f"{divided / (count * cores):,.1f} h",
            f"{alone:,.1f} h",
            f"{(steps + divided) / (count * cores) + alone:,.1f} h",
        )
        for count in counts
    ]


def hours(amount: float, rate: float) -> float:
    """Hours of one core for an amount at a rate a second."""
    return amount / rate / 3600


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """Markdown."""
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def pages(corpus: Corpus, rates: Rates, counts: list[int], cores: int) -> str:
    """Both tables, as the guide has them."""
    first = table(("what", "how much"), list(plan(corpus, rates)))
    head = (f"nodes of {cores} cores", "steps and shards", "join and root, divided",
            "the rest of them, one process", "in all")  # fmt: skip
    return f"{first}\n\n{table(head, nodes(corpus, rates, counts, cores))}\n"


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser()
    for name, value in vars(Corpus()).items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=float, default=value)
    parser.add_argument("--nodes", type=int, nargs="+", default=[1, 4, 16, 64])
    parser.add_argument("--cores", type=int, default=128)
    given = vars(parser.parse_args())
    counts, cores = given.pop("nodes"), given.pop("cores")
    print(pages(Corpus(**given), Rates(), counts, cores), end="")


if __name__ == "__main__":
    main()
