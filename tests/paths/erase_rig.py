# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""A corpus in which a person is named, what is built of it, and whether they are named still."""

import json
from pathlib import Path
from typing import Any

import zstandard

from bastide.app.config import Home
from bastide.app.corpora import (
    export_dataset,
)
from bastide.app.corpus_build import build_dataset, folder_of
from bastide.app.corpus_index import build_index
from bastide.app.corpus_objects import read_object
from bastide.app.environment import Environment
from bastide.core.erasure_subject import ErasureSubject
from bastide.filters.pseudonym import pseudonym
from paths.corpus_rig import PLANTED, copied, seeded, write_corpus

NAME = "Aino Kallasvuori"
FILE = "aino-kallasvuori.jsonl"
SUBJECT = f'names = ["{NAME}"]\nemails = ["Anna.Virtanen@example.fi"]\n'
PERSON = ErasureSubject.parse(SUBJECT)
GONE = {"d3", "d5", "d12", "d33", "kallasvuori-aino"}
SHORT = f"By {NAME}, and over"


def write_person(folder: Path) -> Path:
    """Sixty documents; the person is in texts, names of records and files, and a masked address."""
    recipe = write_corpus(folder)
    for path in (folder / "letters").iterdir():
        lines = []
        for line in path.read_text().splitlines():
            row = json.loads(line) if line.endswith("}") else None
            if row is not None:
                row["text"] += {"d5": f" Signed: {NAME}.", "d12": " (KALLASVUORI, Aïno)",
                                "d33": " aino\nkallasvuori wrote"}.get(row["id"], "")  # fmt: skip
                if row["id"] == "d20":  # too short, so its beginning is kept as an example
                    row["text"] = SHORT
                row["id"] = {"d44": "kallasvuori-aino"}.get(row["id"], row["id"])
            lines.append(line if row is None else json.dumps(row, ensure_ascii=False))
        path.write_text("\n".join(lines) + "\n")
    odd = {"id": "odd", "text": "Nobody is named in this text, which stands in a file of a person."}
    (folder / "letters" / FILE).write_text(json.dumps(odd) + '\n{"id": "half\n')
    recipe.write_text(recipe.read_text().replace("chars_min = 20", "chars_min = 30"))
    return recipe


def build_both(empty: Home, recipe: Path, folder: Path) -> Home:
    """A dataset with the person and an index, and one of another name without."""
    other = write_corpus(folder / "other")
    for path in (folder / "other" / "letters").iterdir():
        path.write_text(path.read_text().replace(PLANTED[0], "someone.else@example.fi"))
    other.write_text(other.read_text().replace('"tiny"', '"other"'))
    home = copied(empty, folder / "home")
    with seeded(home) as env:
        build_dataset(env, recipe, 2)
        build_index(env, "tiny", 8)
        build_dataset(env, other, 2)
    return home


def exported(home: Home, target: Path) -> dict[str, bytes]:
    with seeded(home) as env:
        files = export_dataset(env, "tiny", target, "jsonl")
        return {path.name: path.read_bytes() for path in files}


def contents(env: Environment) -> dict[str, bytes]:
    """Every object in clear, unpacked."""
    found = {}
    for name in env.store.names():
        data = read_object(env.store, name)
        if data.startswith(zstandard.FRAME_HEADER):
            data = zstandard.ZstdDecompressor().decompressobj().decompress(data)
        found[name] = data
    return found


def naming(env: Environment, key: bytes) -> set[str]:
    """Objects that still name the person, also by the pseudonym of a dataset with that key."""
    masked = pseudonym(key, "email", PLANTED[0]).encode()
    words = (b"kallasvuori", "aïno".encode(), b"aino")
    return {
        name
        for name, data in contents(env).items()
        if masked in data or any(word in data.lower() for word in words)
    }


def key_of(env: Environment, row: Any) -> bytes:
    return read_object(env.store, f"{folder_of(row.body['build'])}/key")
