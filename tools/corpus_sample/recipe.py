# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Recipes for the collections of a sample, as `bastide corpus` reads them."""

import json
from collections.abc import Iterable
from dataclasses import dataclass

from corpus_sample.collection import Made
from corpus_sample.languages import EUROPEAN

__all__ = ["NORDIC", "recipe_of"]

# Danish, Faroese, Finnish, Icelandic, Bokmål, Nynorsk, Northern Sami and Swedish.
NORDIC = frozenset(
    ("dan_Latn", "fao_Latn", "fin_Latn", "isl_Latn", "nob_Latn", "nno_Latn", "sme_Latn", "swe_Latn")
)
SOURCES_MAX = 64  # of one recipe
FIELD_CHARS_MAX = 300  # of one text in a recipe
_COMMENT = """\
# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
#
# {about}
# Made by `make corpus-sample`; docs/guides/corpus-sample.md says how. Sources whose licence is not
# certain are not in it.
"""


@dataclass(frozen=True, slots=True)
class _Row:
    name: str
    path: str
    one: Made
    bytes: int


def recipe_of(
    made: list[Made], name: str, about: str, folder: str, languages: Iterable[str] = EUROPEAN
) -> str:
    """Give the recipe of the largest collections with a certain licence, in these languages.

    Args:
        made: What there is.
        name: The recipe's.
        about: One line about it.
        folder: Where the collections lie, seen from the recipe; empty or ending in a slash.
        languages: What is wanted. As few languages as fit give a source for each of them, so that
            no other file is opened; else a source is a whole collection.
    """
    wanted = frozenset(languages)
    certain = [one for one in made if 0 < len(one.spdx) <= FIELD_CHARS_MAX]
    whole = len(wanted) > len(NORDIC)
    rows = list(_whole(certain, wanted, folder) if whole else _apart(certain, wanted, folder))
    rows = sorted(sorted(rows, key=lambda row: (-row.bytes, row.name))[:SOURCES_MAX], key=_name)
    parts = [_COMMENT.format(about=about), f"name = {_text(name)}", 'seed = "sample"']
    for row in rows:
        parts += [
            "",
            "[[sources]]",
            f"name = {_text(row.name)}",
            f"path = {_text(row.path)}",
            'reader = "jsonl"',
            f"licence = {_text(row.one.spdx)}",
            'basis = "licence"',
            f"origin = {_text(row.one.origin)}",
            f"collected = {_text(row.one.collected)}",
        ]
    steps = (
        'step = "normalise"',
        'step = "length"\nchars_min = 200',
        f'step = "language"\nlanguages = [\n{_lines(sorted(wanted))}]',
        'step = "gopher-repetition"',
        'step = "personal-data"',
        'step = "exact-duplicate"',
        'step = "near-duplicate"',
    )
    for step in steps:
        parts += ["", "[[steps]]", step]
    return "\n".join(parts) + "\n"


def _whole(made: list[Made], wanted: frozenset[str], folder: str) -> Iterable[_Row]:
    for one in made:
        size = sum(count.bytes for key, count in one.languages.items() if key in wanted)
        if size:
            yield _Row(_named(one.name), f"{folder}{one.name}/source/*/*.jsonl.zst", one, size)


def _apart(made: list[Made], wanted: frozenset[str], folder: str) -> Iterable[_Row]:
    for one in made:
        for key, count in one.languages.items():
            if key in wanted:
                path = f"{folder}{one.name}/source/{key}/*.jsonl.zst"
                yield _Row(f"{_named(one.name)}.{key[:3]}", path, one, count.bytes)


def _named(name: str) -> str:
    return "".join(
        letter if letter.isalnum() or letter in "._-" else "-" for letter in name.lower()
    )


def _name(row: _Row) -> str:
    return row.name


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)  # a JSON string is a basic string of TOML


def _lines(values: list[str]) -> str:
    rows = [values[start : start + 8] for start in range(0, len(values), 8)]
    return "".join("    " + ", ".join(_text(value) for value in row) + ",\n" for row in rows)
