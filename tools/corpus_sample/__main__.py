# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The command line, and the report of what was made."""

import argparse
import json
import sys
from collections import Counter
from dataclasses import asdict
from pathlib import Path

from corpus_sample.archive import ArchiveError
from corpus_sample.collection import Count, Made
from corpus_sample.languages import EUROPEAN
from corpus_sample.recipe import NORDIC, recipe_of
from corpus_sample.sample import make
from corpus_sample.slice import write_slice

EXAMPLES = {
    "europe": ("The 24 official languages of the European Union.", EUROPEAN),
    "nordic": ("The languages of the Nordic countries.", NORDIC),
}


def main() -> None:
    """Run the tool; a failure is one line and exit status 1."""
    parser = argparse.ArgumentParser(prog="corpus_sample", description=__doc__)
    parser.add_argument("--size", choices=("tiny", "small", "full"), default="full")
    parser.add_argument("--to", type=Path, default=Path(".corpus"), metavar="FOLDER")
    parser.add_argument("--workers", type=int, default=2, metavar="N")
    parser.add_argument("--examples", type=Path, metavar="FOLDER", help="write its recipes anew")
    parser.add_argument("--slice", type=Path, metavar="FOLDER", help="write the tests' slice anew")
    asked = parser.parse_args()
    try:
        made = make(asked.size, asked.to.resolve(), asked.workers, tell)
    except (ArchiveError, OSError) as error:
        sys.exit(f"corpus-sample: {error}")
    report(made, asked.to / "sample")
    if asked.examples:
        for name, (about, languages) in EXAMPLES.items():
            text = recipe_of(made, name, about, f"../{asked.to}/sample/", languages)
            (asked.examples / f"{name}.toml").write_text(text)
    if asked.slice:
        print(f"the slice has {write_slice(asked.to / 'sample', asked.slice) / 1e3:.0f} kB")


def report(made: list[Made], folder: Path) -> None:
    """Write the recipe and the counts, and print what there is by language and by licence."""
    languages: dict[str, Count] = {}
    licences: dict[str, Count] = {}
    faults: Counter[str] = Counter()
    for one in made:
        faults.update(one.faults)
        rows = ((languages, one.languages), (languages, one.unclear), (licences, one.licences))
        for total, part in rows:
            for key, count in part.items():
                into = total.setdefault(key, Count())
                into.documents += count.documents
                into.characters += count.characters
                into.bytes += count.bytes
    (folder / "recipe.toml").write_text(recipe_of(made, "sample", "What was made here.", ""))
    summary = {
        "languages": {key: asdict(value) for key, value in sorted(languages.items())},
        "licences": {key: asdict(value) for key, value in sorted(licences.items())},
        "passed_over": dict(sorted(faults.items())),
    }
    (folder / "counts.json").write_text(json.dumps(summary, indent=1) + "\n")
    for key, count in sorted(languages.items(), key=lambda row: -row[1].bytes):
        mark = "EU" if key in EUROPEAN else "  "
        print(f"{key} {mark} {count.bytes / 1e6:8.2f} MB {count.documents:8,} documents")
    for key, count in sorted(licences.items(), key=lambda row: -row[1].bytes)[:12]:
        print(f"{count.bytes / 1e6:8.2f} MB {key}")
    european = sum(1 for key in languages if key in EUROPEAN)
    total = sum(count.bytes for count in languages.values()) / 1e6
    print(f"{total:,.0f} MB, {sum(count.documents for count in languages.values()):,} documents, "
          f"{len(languages)} languages, {european} of the Union's 24; "
          f"passed over: {dict(sorted(faults.items()))}")  # fmt: skip
    print(f"the recipe is {folder / 'recipe.toml'}")


def tell(text: str) -> None:
    """Say how far it is, on standard error."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
