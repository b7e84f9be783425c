# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What a corpus of so many tokens takes, reckoned from rates that were measured on a small one.

    python tools/corpus_at_scale.py [--tokens 16e12] [--nodes 1 4 16 64] [--cores 128]

Prints the tables of docs/guides/corpus-scale.md. Rates are those of docs/benchmarks.md; what is
assumed and not measured is in `Corpus`. Row widths and limits come from the code.
"""

import argparse
import math
from collections.abc import Mapping
from dataclasses import dataclass, field

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
    near: float = 0.3  # of these, what has a near duplicate
    compressed: float = 3.5  # text to Zstandard


@dataclass(frozen=True)
class Rates:
    """Measured, of one core (docs/benchmarks.md)."""

    work_mb_s: float = 2.36  # text through all steps, sealed: benchmarks/corpus.py, two sizes
    hash_mb_s: float = 408.0  # SHA-256 of the files
    # benchmarks/corpus_join.py --near SHARE: by the share of near duplicates, what all workers do
    # together, and what of it the process that leads does alone
    join_documents_s: Mapping[float, tuple[float, float]] = field(
        default_factory=lambda: {
            0.05: (26_989.0, 7_233_166.0),
            0.3: (19_548.0, 4_334_106.0),
            0.6: (9_513.0, 1_973_353.0),
        }
    )
    root_documents_s: float = 327_916.0
    root_alone_documents_s: float = 5_192_408.0
    # of budgets of two kinds, by all workers and by one process: --draw
    draw_documents_s: tuple[float, float] = (135_926.0, 10_649_158.0)
    merge_rows_s: float = 1_175_783.0  # an earlier version of that benchmark

    def join_hours(self, kept: float, near: float) -> float:
        """Core hours of the join. It was measured with one pass over the bands."""
        more = kept * BANDS * (PASSES - 1)
        return kept * self._seconds(near, 0) / 3600 + hours(more, self.merge_rows_s)

    def alone_hours(self, kept: float, near: float) -> float:
        """Of the join and the root, what one process does, however many workers there are."""
        return kept * self._seconds(near, 1) / 3600 + hours(kept, self.root_alone_documents_s)

    def _seconds(self, near: float, which: int) -> float:
        """Of a document, between the two measured shares around `near`, or along the last two."""
        shares = sorted(self.join_documents_s)
        last = max(1, min(len(shares) - 1, sum(share < near for share in shares)))
        low, high = shares[last - 1], shares[last]
        one, other = (1 / self.join_documents_s[share][which] for share in (low, high))
        return max(0.0, one + (other - one) * (near - low) / (high - low))


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
        ("duplicates", f"{rates.join_hours(kept, corpus.near):,.0f} core hours"),
        ("leaves and root", f"{hours(kept, rates.root_documents_s):,.0f} core hours"),
        ("a budget's draw, if there is one", f"{hours(kept, rates.draw_documents_s[0]):,.0f} core"
         f" hours, {hours(kept, rates.draw_documents_s[1]):,.1f} h of them in one process"),
    ]  # fmt: skip


def nodes(corpus: Corpus, rates: Rates, counts: list[int], cores: int) -> list[tuple[str, ...]]:
    """Hours on so many nodes: steps and shards; what of the join and the root is divided, and what
    one process does."""
    text = corpus.tokens * corpus.token_bytes
    kept = text / corpus.document_bytes * corpus.kept
    steps = hours(text / 1e6, rates.work_mb_s)
    steps += hours(text / corpus.compressed / 1e6, rates.hash_mb_s)
    alone = rates.alone_hours(kept, corpus.near)
    divided = rates.join_hours(kept, corpus.near) + hours(kept, rates.root_documents_s) - alone
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


def groups(corpus: Corpus, rates: Rates) -> list[tuple[str, ...]]:
    """By the share of near duplicates: the join as a whole, and what one process does of it."""
    kept = corpus.tokens * corpus.token_bytes / corpus.document_bytes * corpus.kept
    return [
        (
            f"{share:.0%}",
            f"{rates.join_hours(kept, share):,.0f} core hours",
            f"{rates.alone_hours(kept, share):,.1f} h",
        )
        for share in sorted(rates.join_documents_s)
    ]


def hours(amount: float, rate: float) -> float:
    """Hours of one core for an amount at a rate a second."""
    return amount / rate / 3600


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """Markdown."""
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def pages(corpus: Corpus, rates: Rates, counts: list[int], cores: int) -> str:
    """The tables, as the guide has them."""
    first = table(("what", "how much"), list(plan(corpus, rates)))
    head = (f"nodes of {cores} cores", "steps and shards", "join and root, divided",
            "the rest of them, one process", "in all")  # fmt: skip
    second = table(head, nodes(corpus, rates, counts, cores))
    shares = ("near duplicates", "the search for duplicates", "of it and of the root, one process")
    return f"{first}\n\n{second}\n\n{table(shares, groups(corpus, rates))}\n"


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
