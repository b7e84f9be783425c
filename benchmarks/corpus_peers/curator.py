# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""NeMo-Curator's heuristics of Gopher's rules over JSON lines, one text after another.

    curator.py INPUT OUTPUT

Its pipelines run them on Ray, which costs more. Limits are its own; the last line is one JSON
object: documents read and kept.
"""

import json
import sys
from pathlib import Path

from nemo_curator.stages.text.filters import heuristic
from nemo_curator.stages.text.filters.heuristic import repetition


def main() -> None:
    source, target = map(Path, sys.argv[1:3])
    filters = [
        repetition.RepeatedLinesFilter(),
        repetition.RepeatedParagraphsFilter(),
        repetition.RepeatedLinesByCharFilter(),
        repetition.RepeatedParagraphsByCharFilter(),
        *(repetition.RepeatingTopNGramsFilter(n=n) for n in (2, 3, 4)),
        *(repetition.RepeatingDuplicateNGramsFilter(n=n) for n in range(5, 11)),
        heuristic.WordCountFilter(),
        heuristic.MeanWordLengthFilter(),
        heuristic.SymbolsToWordsFilter(),
        heuristic.BulletsFilter(),
        heuristic.EllipsisFilter(),
        heuristic.WordsWithoutAlphabetsFilter(),
    ]
    read = kept = 0
    with source.open() as lines, target.open("w") as out:
        for line in lines:
            read += 1
            text = json.loads(line)["text"]
            if all(one.keep_document(one.score_document(text)) for one in filters):
                kept += 1
                out.write(line)
    print(json.dumps({"documents": read, "kept": kept}))


if __name__ == "__main__":
    main()
