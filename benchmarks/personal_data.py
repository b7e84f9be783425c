# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Precision, recall and speed of the filter `personal-data`, on the generated set of the tests.

    python benchmarks/personal_data.py [--seed 1] [--rounds 40] [--prose FILE]

The set has every kind and state, and about as many numbers that only look like one. Speed is
measured on that set (dense: a value or a number in every text), and on prose: FILE, or this
repository's documentation. The guard's scanner runs over the same texts, and Presidio where it is
installed, with its recognisers for all EU languages it has and a blank spaCy model: patterns and
checksums alone, nothing that needs a model or the network. The last line is one JSON object.
"""

import argparse
import json
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from bastide.detectors.catalogue import DETECTORS  # noqa: E402
from bastide.detectors.lineup import Lineup  # noqa: E402
from bastide.detectors.personal.finder import Finder  # noqa: E402
from bastide.detectors.scanner import Scanner  # noqa: E402
from personal_data.make import Case, cases, held_out, score  # noqa: E402

Find = Callable[[str], list[tuple[int, int, str]]]
# What the other tools call our kinds. What is not here counts as found, but not as its kind.
NAMES = {
    "EMAIL_ADDRESS": "email", "PHONE_NUMBER": "phone", "IP_ADDRESS": "ip-address",
    "IBAN_CODE": "iban", "CREDIT_CARD": "card",
}  # fmt: skip


def bastide() -> Find:
    """What the filter uses."""
    finder = Finder()

    def find(text: str) -> list[tuple[int, int, str]]:
        data = text.encode()
        place = len if text.isascii() else (lambda part: len(part.decode()))
        return [
            (place(data[: row.start]), place(data[: row.end]), row.kind)
            for row in finder.find(data)
        ]

    return find


def guard() -> Find:
    """The scanner of the guard, with the detectors of persons."""
    names = ("iban", "card", "national-number", "email", "phone", "ip-address")
    lineup = Lineup(one for name in names for one in DETECTORS[name])
    return lambda text: [
        (row.start, row.end, row.detector.ident)
        for row in Scanner(lineup.within(text)).feed(text, True)
    ]


def presidio() -> Find | None:
    """Presidio's recognisers of patterns, or None if it is not installed."""
    try:
        import spacy
        from presidio_analyzer import AnalyzerEngine, RecognizerRegistry
        from presidio_analyzer.nlp_engine import SpacyNlpEngine
    except ImportError:
        return None

    class Blank(SpacyNlpEngine):
        def __init__(self) -> None:
            super().__init__()
            self.nlp = {"en": spacy.blank("en")}

    registry = RecognizerRegistry()
    registry.load_predefined_recognizers(languages=["en"])
    engine = AnalyzerEngine(nlp_engine=Blank(), registry=registry, supported_languages=["en"])
    unwanted = {"URL", "DATE_TIME", "PERSON", "LOCATION", "NRP", "ORGANIZATION"}
    wanted = sorted(set(engine.get_supported_entities("en")) - unwanted)

    def find(text: str) -> list[tuple[int, int, str]]:
        rows = engine.analyze(text, language="en", entities=wanted, score_threshold=0.4)
        return [(row.start, row.end, NAMES.get(row.entity_type, row.entity_type)) for row in rows]

    return find


def measured(find: Find, rows: Iterable[Case]) -> dict[str, dict[str, float]]:
    """Count, precision and recall by kind, by language, and of all."""
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0, 0])  # values, covered, spans, off
    for case in rows:
        spans = find(case.text)
        covered, _, _ = score(spans, case)
        names = ["all", f"language {case.language}"]
        if case.kind:
            names.append(f"{case.kind}{'' if case.spoken else ' (no word)'}")
            names.append("all with a word" if case.spoken else "all without a word")
        else:
            names.append("negatives")
        for name in names:
            row = counts[name]
            row[0] += bool(case.kind) or name == "negatives"
            row[1] += covered
            row[2] += len(spans)
            row[3] += sum(
                not case.kind or end <= case.start or start >= case.end for start, end, _ in spans
            )
    return {
        name: {
            "count": values,
            "precision": round(1 - off / spans, 4) if spans else 1.0,
            "recall": round(covered / values, 4) if values else 1.0,
            "wrong": off,
        }
        for name, (values, covered, spans, off) in sorted(counts.items())
    }


def speed(find: Callable[[str], object], texts: list[str], seconds: float = 2.0) -> float:
    """Megabytes of UTF-8 a CPU second. Stops early with a slow tool."""
    started, size = time.process_time(), 0
    while True:
        for text in texts:
            find(text)
            size += len(text.encode())
            spent = time.process_time() - started
            if spent > seconds:
                return size / spent / 1e6


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--prose", type=Path)
    asked = parser.parse_args()
    rows = list(cases(asked.seed, asked.rounds))
    paths = [asked.prose] if asked.prose else sorted((ROOT / "docs").rglob("*.md"))
    prose = [path.read_text() for path in paths]
    dense = ["\n\n".join(row.text for row in rows[at : at + 20]) for at in range(0, len(rows), 20)]
    tools = {"bastide": bastide(), "guard": guard(), "presidio": presidio()}
    result = {}
    for name, find in tools.items():
        if find is None:
            print(f"{name} is not installed")
            continue
        some = rows if name != "presidio" else rows[:4_000]
        table = measured(find, some)
        second = measured(find, list(held_out(asked.seed, max(1, asked.rounds // 4))))
        table["second list of words"] = second["all"]
        rates = {"prose": speed(find, prose), "dense": speed(find, dense)}
        result[name] = {"table": table, "mb_per_cpu_s": rates}
        print(f"\n{name}: prose {rates['prose']:.2f} MB/s, dense {rates['dense']:.2f} MB/s")
        print(f"{'':<28}{'count':>8}{'precision':>11}{'recall':>9}{'wrong':>7}")
        for kind, row in table.items():
            print(
                f"{kind:<28}{row['count']:>8}{row['precision']:>11}{row['recall']:>9}{row['wrong']:>7}"
            )
    print(json.dumps(result))


if __name__ == "__main__":
    main()
