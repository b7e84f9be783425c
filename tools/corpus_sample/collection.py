# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""A collection directory in the layout of OpenEuroLLM.

    SOURCE/metadata.yaml                          names the fields, the parts and the licence
    SOURCE/source/LANGUAGE/part-00000.jsonl.zst   one document a line
    SOURCE/unclear/LANGUAGE/part-00000.jsonl.zst  the same, of those whose licence is not certain
    SOURCE/counts/LANGUAGE.json                   documents, characters and bytes in source/
    SOURCE/copyright/PACKAGE                      where the licence was read

A collection is written beside its place and then renamed: what has its name is whole. Its stamp
says what it was made of and by which tool; the same again is not made again.
"""

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import zstandard

from corpus_sample.documents import Sampled
from corpus_sample.licences import Licence

__all__ = ["Count", "Made", "made_before", "write_collection"]

_LEVEL = 6


@dataclass(slots=True)
class Count:
    """What a part holds; bytes are those of the text in UTF-8."""

    documents: int = 0
    characters: int = 0
    bytes: int = 0

    def add(self, text: str, times: int = 1) -> None:
        """Count a text."""
        self.documents += times
        self.characters += len(text)
        self.bytes += len(text.encode())


@dataclass(slots=True)
class Made:
    """What a collection holds: counts by language and by licence, and what was passed over.

    spdx and languages are about the documents in `source`, whose licence is certain.
    """

    name: str
    origin: str
    collected: str
    spdx: str = ""
    languages: dict[str, Count] = field(default_factory=dict)
    unclear: dict[str, Count] = field(default_factory=dict)
    licences: dict[str, Count] = field(default_factory=dict)
    found: dict[str, int] = field(default_factory=dict)
    faults: dict[str, int] = field(default_factory=dict)


def made_before(folder: Path, stamp: str) -> Made | None:
    """Give what a whole collection of this stamp holds; None if it has to be made."""
    try:
        body = json.loads((folder / "counts" / ".made.json").read_text())
    except FileNotFoundError:
        return None
    if body.pop("stamp") != stamp:
        return None
    for name in ("languages", "unclear", "licences"):
        body[name] = {key: Count(**value) for key, value in body[name].items()}
    return Made(**body)


def write_collection(
    folder: Path,
    stamp: str,
    made: Made,
    documents: Iterator[tuple[Sampled, Licence]],
    copyrights: dict[str, str],
    faults: Counter[str],
) -> Made:
    """Write a collection in one go; nothing is at its place before all of it is there.

    Args:
        folder: Its place. What lies there is of another stamp and is replaced.
        stamp: What it is made of.
        made: Its name and origin; the counts are filled in.
        documents: Its documents, in the order in which they are written.
        copyrights: The copyright file of each package.
        faults: What the documents' iterator could not read.
    """
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    seen: set[bytes] = set()
    found: Counter[str] = Counter()
    terms: set[str] = set()
    with ExitStack() as stack:
        parts: dict[str, Any] = {}
        for document, licence in documents:
            mark = hashlib.sha256(document.url.encode()).digest()
            if mark in seen:
                faults["path-twice"] += 1
                continue
            seen.add(mark)
            certain = licence.found != "unclear"
            place = f"{'source' if certain else 'unclear'}/{document.language}"
            if place not in parts:
                parts[place] = _part(partial / place, stack)
            parts[place].write(_line(mark.hex(), document, licence))
            languages = made.languages if certain else made.unclear
            languages.setdefault(document.language, Count()).add(document.text)
            made.licences.setdefault(licence.spdx, Count()).add(document.text)
            found[licence.found] += 1
            if certain:
                terms.update(licence.spdx.split(" AND "))
    made.languages = dict(sorted(made.languages.items()))
    made.unclear = dict(sorted(made.unclear.items()))
    made.licences = dict(sorted(made.licences.items()))
    made.found, made.faults = dict(sorted(found.items())), dict(sorted(faults.items()))
    terms = {term.strip("()") for term in terms}
    made.spdx = " AND ".join(
        f"({term})" if " OR " in term and len(terms) > 1 else term for term in sorted(terms)
    )
    _describe(partial, made, copyrights, stamp)
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)
    return made


def _part(folder: Path, stack: ExitStack) -> Any:
    folder.mkdir(parents=True)
    path = folder / "part-00000.jsonl.zst"
    compressor = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True)
    return stack.enter_context(compressor.stream_writer(stack.enter_context(path.open("wb"))))


def _line(ident: str, document: Sampled, licence: Licence) -> bytes:
    record = {
        "id": ident,
        "url": document.url,
        "lang": document.language,
        "licence": licence.spdx,
        "kind": document.kind,
        "text": document.text,
    }
    return json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def _describe(partial: Path, made: Made, copyrights: dict[str, str], stamp: str) -> None:
    for name in ("counts", "copyright"):
        (partial / name).mkdir(parents=True)
    for language, count in made.languages.items():
        (partial / "counts" / f"{language}.json").write_text(json.dumps(asdict(count)) + "\n")
    for package, text in sorted(copyrights.items()):
        (partial / "copyright" / package).write_text(text)
    # JSON strings are YAML strings, so that no name can be read as something else.
    rows = [
        f"name: {json.dumps(made.name)}",
        'catalogue: "corpus-sample"',
        "id: id",
        "text: text",
        "suffix: .jsonl.zst",
        f"licence: {json.dumps(made.spdx)}",
        f"origin: {json.dumps(made.origin)}",
        f"collected: {json.dumps(made.collected)}",
        "release:",
        "  default:",
        "    input: source",
        "    annotations: []",
        "    pack: tree",
        "    sample: full",
        "source:",
        "  default: {}",
        *(f"  {language}: {{}}" for language in made.languages),
    ]
    (partial / "metadata.yaml").write_text("\n".join(rows) + "\n")
    body = {"stamp": stamp, **asdict(made)}
    (partial / "counts" / ".made.json").write_text(json.dumps(body, indent=1) + "\n")
