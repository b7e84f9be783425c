# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Recipe: what a corpus is made of and how, as a TOML file says it. Strict: no unknown key.

    name = "nordic"
    seed = "2026-11"                 # draws samples

    [limits]                         # all may be left out
    quarantine_share = 0.001         # broken lines per line read, above which the build refuses

    [[sources]]
    name = "manuals"
    path = "manuals/*.jsonl.zst"     # relative to this file, or s3://...; `*`, `**`, `?` are wild
    reader = "jsonl"
    licence = "CC-BY-SA-4.0"         # an SPDX expression
    basis = "licence"                # why it may be used: one of BASES
    origin = "https://example.org/"
    collected = "2026-11-20"
    settings = { text = "body" }     # the reader's, may be left out

    [[steps]]
    step = "length"
    chars_min = 200                  # every further key is a setting of the step

Which readers, steps and settings there are is the catalogues' business: a recipe that is sound
here may still name one that does not exist.
"""

import datetime
import difflib
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from bastide.core import limits
from bastide.core.canonical import canonical
from bastide.core.errors import Misconfigured
from bastide.core.subject import Digest

__all__ = ["BASES", "Recipe", "RecipeLimits", "Source", "Step", "parse_recipe", "place_of"]

# Why a text may be used. Which one holds is a judgement of people; the ledger keeps who said so.
BASES: Final[Mapping[str, str]] = {
    "licence": "the stated licence allows it",
    "public-domain": "no right stands against it",
    "own": "the firm made it",
    "contract": "an agreement with the holder of the rights",
    "text-and-data-mining": "Directive (EU) 2019/790, Article 4; no reservation was stated",
    "research": "Directive (EU) 2019/790, Article 3",
}

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_TABLE: Final = re.compile(r"\s*(\[\[?)\s*([A-Za-z0-9_.-]+)\s*\]\]?\s*(?:#.*)?")


@dataclass(frozen=True, slots=True)
class Source:
    """One collection of files: where it lies, how it is read, and why it may be used."""

    name: str
    path: str
    reader: str
    licence: str
    basis: str
    origin: str
    collected: str
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Step:
    """One step by its name in the catalogue, with its settings."""

    step: str
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RecipeLimits:
    """Bounds of one build.

    quarantine_share: broken places per place read, above which the build refuses. shard_bytes:
    text in one shard of the dataset. part_bytes: input files that one worker reads in one go; a
    larger file is a part of its own.
    """

    quarantine_share: float = 0.0
    shard_bytes: int = 256 * limits.MIB
    part_bytes: int = 64 * limits.MIB

    def __post_init__(self) -> None:
        if not 0 <= self.quarantine_share <= 1:
            raise Misconfigured("limits.quarantine_share is not from 0 to 1")
        for name in ("shard_bytes", "part_bytes"):
            if not 1 <= getattr(self, name) <= limits.CORPUS_SHARD_BYTES_MAX:
                raise Misconfigured(
                    f"limits.{name} is not from 1 to {limits.CORPUS_SHARD_BYTES_MAX}"
                )

    def against(self, broken: int, read: int) -> str:
        """Why a corpus with so many broken places beside those that were read is refused, or ""."""
        places = broken + read
        if broken <= self.quarantine_share * places:
            return ""
        return (
            f"{broken} of {places} places could not be read; the recipe allows a share of"
            f" {self.quarantine_share}"
        )


@dataclass(frozen=True, slots=True)
class Recipe:
    """A whole recipe."""

    name: str
    seed: str
    sources: tuple[Source, ...]
    steps: tuple[Step, ...]
    limits: RecipeLimits = RecipeLimits()

    def to_json(self) -> dict[str, Any]:
        """The recipe as plain JSON values, every default filled in."""
        return {
            "name": self.name,
            "seed": self.seed,
            "sources": [
                {name: _plain(getattr(source, name)) for name in Source.__dataclass_fields__}
                for source in self.sources
            ],
            "steps": [
                {"step": step.step, "settings": _plain(step.settings)} for step in self.steps
            ],
            "limits": {
                name: getattr(self.limits, name) for name in RecipeLimits.__dataclass_fields__
            },
        }

    @property
    def digest(self) -> Digest:
        """The digest of the canonical JSON: comments and the order of keys do not matter."""
        return Digest.of(canonical(self.to_json()))


def parse_recipe(text: str, name: str) -> Recipe:
    """Read a recipe. `name` is the file's, for errors. Raises Misconfigured, naming the place."""
    try:
        values = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise Misconfigured(f"{name}: not TOML: {error}", fix="see docs/guides/corpus.md") from None
    return _Reading(text, name).recipe(values)


def place_of(text: str, name: str, table: str, index: int, key: str) -> str:
    """Where a key of the table's row stands: `tiny.toml:14: sources[1].licence`.

    text: the recipe. name: its file's. index: from 0.
    """
    return _Reading(text, name).place(table, index, key)


class _Reading:
    """Reads the values of one file; knows how to name a place in it."""

    def __init__(self, text: str, name: str) -> None:
        self._lines = text.splitlines()
        self._name = name

    def recipe(self, values: dict[str, Any]) -> Recipe:
        self._keys(values, ("name", "seed", "limits", "sources", "steps"), "", 0)
        sources = tuple(
            self._source(row, index) for index, row in enumerate(self._tables(values, "sources"))
        )
        self._distinct([source.name for source in sources])
        steps = [self._step(row, index) for index, row in enumerate(self._tables(values, "steps"))]
        return Recipe(
            name=self._named(values, "", 0),
            seed=self._text(values, "seed", "", 0, default=""),
            sources=sources,
            steps=tuple(steps),
            limits=self._limits(values.get("limits", {})),
        )

    def place(self, table: str, index: int, key: str) -> str:
        """File, line and field of a key."""
        line = f"{self._name}:{self._line(table, index, key)}"
        field = _field(table, index, key)
        return f"{line}: {field}" if field else line

    def _source(self, row: dict[str, Any], index: int) -> Source:
        table = "sources"
        self._keys(row, tuple(Source.__dataclass_fields__), table, index)
        texts = {
            key: self._text(row, key, table, index)
            for key in ("path", "reader", "licence", "basis", "origin")
        }
        if texts["basis"] not in BASES:
            raise self._wrong(
                f"{texts['basis']!r} is no basis", table, index, "basis", near=tuple(BASES)
            )
        settings = row.get("settings", {})
        if not isinstance(settings, dict):
            raise self._wrong("settings is not a table", table, index, "settings")
        return Source(
            name=self._named(row, table, index),
            collected=self._date(row, table, index),
            settings=settings,
            **texts,
        )

    def _step(self, row: dict[str, Any], index: int) -> Step:
        step = self._text(row, "step", "steps", index)
        return Step(step, {key: value for key, value in row.items() if key != "step"})

    def _limits(self, row: Any) -> RecipeLimits:
        if not isinstance(row, dict):
            raise self._wrong("limits is not a table", "", 0, "limits")
        self._keys(row, tuple(RecipeLimits.__dataclass_fields__), "limits", 0)
        for key, value in row.items():
            wanted = (int, float) if key == "quarantine_share" else (int,)
            if type(value) not in wanted:
                raise self._wrong(f"{key} is not a number of its kind", "limits", 0, key)
        try:
            return RecipeLimits(**row)
        except Misconfigured as error:
            raise Misconfigured(f"{self._name}: {error.message}", fix=error.fix) from None

    def _tables(self, values: dict[str, Any], key: str) -> list[dict[str, Any]]:
        rows = values.get(key)
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows) or not rows:
            raise self._wrong(f"there is no [[{key}]]", "", 0, key)
        most = limits.CORPUS_SOURCES_MAX if key == "sources" else limits.CORPUS_STEPS_MAX
        if len(rows) > most:
            raise self._wrong(f"over {most} [[{key}]]", "", 0, key)
        return rows

    def _distinct(self, names: list[str]) -> None:
        for index, one in enumerate(names):
            if one in names[:index]:
                raise self._wrong(f"two sources are called {one!r}", "sources", index, "name")

    def _named(self, row: dict[str, Any], table: str, index: int) -> str:
        name = self._text(row, "name", table, index)
        if not _NAME.fullmatch(name):
            fix = "up to 64 small letters, digits, dots, underscores and hyphens"
            raise self._wrong(f"{name!r} is not a name", table, index, "name", fix=fix)
        return name

    def _date(self, row: dict[str, Any], table: str, index: int) -> str:
        value = row.get("collected")
        if isinstance(value, datetime.date) and not isinstance(value, datetime.datetime):
            return value.isoformat()
        try:
            return datetime.date.fromisoformat(value if isinstance(value, str) else "").isoformat()
        except ValueError:
            fix = 'such as collected = "2026-11-20"'
            raise self._wrong("not a date", table, index, "collected", fix=fix) from None

    def _text(
        self, row: dict[str, Any], key: str, table: str, index: int, default: str | None = None
    ) -> str:
        value = row.get(key, default)
        if value is None:
            raise self._wrong(f"{key} is missing", table, index, "")
        if not isinstance(value, str) or (not value.strip() and default is None):
            raise self._wrong(f"{key} is not a text", table, index, key)
        if len(value) > limits.CORPUS_FIELD_CHARS_MAX or not (value.isprintable() or not value):
            most = limits.CORPUS_FIELD_CHARS_MAX
            raise self._wrong(
                f"{key} is not printable or over {most} characters", table, index, key
            )
        return value

    def _keys(self, row: dict[str, Any], known: tuple[str, ...], table: str, index: int) -> None:
        for key in row:
            if key not in known:
                raise self._wrong(f"unknown key {key!r}", table, index, key, near=known)

    def _wrong(
        self,
        what: str,
        table: str,
        index: int,
        key: str,
        *,
        near: tuple[str, ...] = (),
        fix: str = "",
    ) -> Misconfigured:
        """An error that names file, line and field."""
        if near:
            word = what.split("'")[1] if what.count("'") >= 2 else key
            close = difflib.get_close_matches(word, near, 1)
            fix = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(near)}"
        where, field = self.place(table, index, key), _field(table, index, key)
        return Misconfigured(f"{where}: {what}", fix=fix, place=field)

    def _line(self, table: str, index: int, key: str) -> int:
        """The line of a key, or of its table; 1 if it is written in some other way."""
        seen, inside, found = -1, not table, 1
        wanted = re.compile(rf'\s*"?{re.escape(key)}"?\s*(?:=|\.)') if key else None
        for number, line in enumerate(self._lines, 1):
            if header := _TABLE.fullmatch(line):
                if header[2] == table:
                    seen += 1
                    if seen == index:
                        found = number
                inside = header[2] == table and seen == index
            elif inside and wanted is not None and wanted.match(line):
                return number
        return found


def _field(table: str, index: int, key: str) -> str:
    row = f"{table}[{index + 1}]" if table in ("sources", "steps") else table
    return f"{row}.{key}".strip(".")


def _plain(value: Any) -> Any:
    """A value of TOML as JSON has it: dates become text."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    return value
