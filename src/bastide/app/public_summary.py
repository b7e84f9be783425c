# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The public summary of training content, AI Act, Article 53(1)(d), sections 1 to 3.

1. Every field is answered by evidence, with the statement that it is from; else by the provider's
   file, which says so; else it is not evidenced. A field that has evidence cannot be stated.
2. The summary is canonical JSON. Its digest, and those of its two pages, are in a signed statement
   of the ledger, which counts versions and names the one before. No name or contact is in there.

The answers are TOML: `[fields]` with the template's numbers, `[sources]` with the class of each
source by its name, which no machine can know.
"""

import difflib
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from bastide.app.corpus_domains import Domains, addresses_of, count_domains
from bastide.app.environment import Environment
from bastide.core.dataset import Manifest
from bastide.core.errors import Misconfigured
from bastide.core.evidence import Evidence
from bastide.core.limits import CORPUS_FIELD_CHARS_MAX
from bastide.core.recipe import BASES
from bastide.core.summary_template import FIELDS, NOT_EVIDENCED, PROVIDER, Answer, size_range

__all__ = ["CLASSES", "Answers", "answer_all", "read_answers"]

# The template's classes of sources, with the section that each is described in.
CLASSES: Final = {
    "public": "2.1",
    "licensed": "2.2.1",
    "private": "2.2.2",
    "crawled": "2.3",
    "user": "2.4",
    "synthetic": "2.5",
    "other": "2.6",
}
_USED: Final = {"2.4": "2.4.services"}  # where the field is not called `used`
_LISTS: Final = {
    "public": "2.1.large",
    "licensed": None,
    "private": "2.2.2.description",
    "crawled": "2.3.description",
    "user": "2.4.description",
    "synthetic": "2.5.comments",
    "other": "2.6.description",
}
_VERSIONS: Final = ("0.a", "0.b")  # which the ledger alone answers


@dataclass(frozen=True, slots=True)
class Answers:
    """What the provider states: fields of the template, and classes of sources."""

    fields: Mapping[str, str] = field(default_factory=dict)
    sources: Mapping[str, str] = field(default_factory=dict)
    file: str = "the answers"


def read_answers(text: str, name: str) -> Answers:
    """Read an answers file. Raises Misconfigured for what is no field, class or text."""
    try:
        values = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise Misconfigured(f"{name}: not TOML: {error}") from None
    _known(name, "", values, ("fields", "sources"))
    tables = {key: values.get(key, {}) for key in ("fields", "sources")}
    for key, table in tables.items():
        if not isinstance(table, dict):
            raise Misconfigured(f"{name}: [{key}] is not a table")
        for own, value in table.items():
            if not isinstance(value, str) or len(value) > CORPUS_FIELD_CHARS_MAX:
                raise Misconfigured(f"{name}: {key}.{own}: not a text, or too long a one")
    _known(name, "fields.", tables["fields"], [one for one in FIELDS if one not in _VERSIONS])
    for own, value in tables["sources"].items():
        if value not in CLASSES:
            raise Misconfigured(
                f"{name}: sources.{own}: {value!r} is no class", fix=f"one of: {', '.join(CLASSES)}"
            )
    return Answers(tables["fields"], tables["sources"], name)


def answer_all(
    env: Environment, rows: Sequence[tuple[Evidence, Manifest]], stated: Answers
) -> list[Answer]:
    """Every field of the template in its order, but those about versions."""
    names = [source.name for _, manifest in rows for source in manifest.sources]
    _known(stated.file, "sources.", stated.sources, names)
    found = _Findings(rows, stated).all()
    shards = [shard for _, manifest in rows for shard in manifest.shards]
    folder = f"summaries/{rows[0][0].body['build'][:32]}"
    domains = count_domains(env.store, folder, addresses_of(env.store, shards))
    if domains.hosts:
        found["2.3.domains"] = _listed(domains, _names(rows))
    if both := sorted(set(found) & set(stated.fields)):
        raise Misconfigured(
            f"{both[0]} is evidenced, so it cannot be stated",
            reasons=[f"{one}: {found[one].value}" for one in both],
            fix="take it out of the answers; a `comments` field can say more",
        )
    return [
        found.get(one) or _stated(one, stated.fields.get(one))
        for one in FIELDS
        if one not in _VERSIONS
    ]


class _Findings:
    """What the evidence of some datasets says."""

    def __init__(self, rows: Sequence[tuple[Evidence, Manifest]], stated: Answers) -> None:
        self._rows = rows
        self._stated = stated
        self._source = _names(rows)
        self._found: dict[str, Answer] = {}

    def all(self) -> dict[str, Answer]:
        """Every field that evidence answers."""
        self._size()
        self._characteristics()
        self._classes()
        self._rights()
        self._processing()
        return self._found

    def _add(self, name: str, value: str, source: str = "") -> None:
        self._found[name] = Answer(name, value, source or self._source)

    def _size(self) -> None:
        size = sum(manifest.text_bytes for _, manifest in self._rows)
        chars = sum(manifest.chars for _, manifest in self._rows)
        count = sum(manifest.documents for _, manifest in self._rows)
        self._add("1.3.text", "yes" if count else "no")
        self._add("1.3.text-unit", f"{size} bytes in UTF-8, {chars} characters, {count} texts")
        # A token is at least one byte, so below a billion bytes the range is proven. Above it
        # depends on the tokenizer, which a dataset does not know.
        if size < 10**9:
            self._add("1.3.text-size", size_range(size))

    def _characteristics(self) -> None:
        days = sorted(source.collected for _, one in self._rows for source in one.sources)
        if days:
            self._add("1.3.latest", days[-1])
        spoken: dict[str, int] = {}
        for _, manifest in self._rows:
            for name, count in manifest.languages.items():
                spoken[name] = spoken.get(name, 0) + count
        if spoken:
            ordered = sorted(spoken.items(), key=lambda row: (-row[1], row[0]))
            text = ", ".join(f"{name} {count}" for name, count in ordered)
            self._add("1.3.languages", f"Texts by language: {text}")

    def _classes(self) -> None:
        """Sections 2.1 to 2.6. Which class a source is of was stated; the rest is evidence."""
        for kind, section in CLASSES.items():
            own = [row for row in self._sources() if self._class(row) == kind]
            if not own:
                continue
            stated = any(row["name"] in self._stated.sources for row in own)
            source = f"{self._source}; class {PROVIDER}" if stated else self._source
            text = "; ".join(
                f"{row['name']}: {row['origin']}, {row['licence']}, {BASES[row['basis']]},"
                f" {row['kept']} texts, collected {row['collected']}"
                for row in own
            )
            self._add(_USED.get(section, f"{section}.used"), "yes", source)
            modalities = f"{section}.modalities"
            if modalities in FIELDS:
                self._add(modalities, "text", source)
            if place := _LISTS[kind]:
                self._add(place, text, source)
            if kind == "crawled":
                days = sorted(row["collected"] for row in own)
                months = [f"{day[5:7]}/{day[:4]}" for day in (days[0], days[-1])]
                self._add("2.3.period", f"{months[0]} - {months[1]} (dates of the sources)", source)

    def _class(self, row: Mapping[str, Any]) -> str | None:
        """What was stated; and a contract with the holder of the rights is a licence by itself."""
        return self._stated.sources.get(
            row["name"], "licensed" if row["basis"] == "contract" else None
        )

    def _sources(self) -> list[Mapping[str, Any]]:
        return [source for row, _ in self._rows for source in row.body["sources"]]

    def _steps(self, name: str) -> list[str]:
        return [
            f"{row.subject.name}: step {step['step']}: {step['entered']} texts entered,"
            f" {step['changed']} changed; removed: {_removed(step['removed'])}"
            for row, _ in self._rows
            for step in row.body["steps"]
            if name in ("", step["step"])
        ]

    def _rights(self) -> None:
        if steps := self._steps("rights"):
            self._add("3.1.measures", "; ".join(steps))

    def _processing(self) -> None:
        searched = [
            f"{row.subject.name}: searched for the suite {one['suite']} ({one['digest']}) by"
            f" n-grams of {one['ngram']} words"
            for row, _ in self._rows
            for one in row.body.get("decontaminated") or ()
        ]
        self._add("3.3.other", "; ".join([*self._steps(""), *searched]))


def _listed(domains: Domains, source: str) -> Answer:
    rows = ", ".join(f"{name} ({size} bytes)" for name, size in domains.largest)
    more = ""
    if len(domains.largest) < domains.tenth:
        more = f", and {domains.tenth - len(domains.largest)} more"
    text = (
        f"{domains.tenth} of {domains.hosts} hosts of the texts' addresses, by bytes of text"
        f" ({domains.bytes} in all): {rows}{more}"
    )
    return Answer("2.3.domains", text, f"{source}; counted from its shards")


def _stated(name: str, value: str | None) -> Answer:
    if value is None or not value.strip():
        return Answer(name, NOT_EVIDENCED, "")
    return Answer(name, value, PROVIDER)


def _removed(rows: Mapping[str, int]) -> str:
    return ", ".join(f"{reason} {count}" for reason, count in sorted(rows.items())) or "none"


def _names(rows: Sequence[tuple[Evidence, Manifest]]) -> str:
    return "; ".join(
        f"dataset/v1, entry {row.entry}, {row.digest}, dataset {row.subject.digest}"
        for row, _ in rows
    )


def _known(name: str, where: str, given: Mapping[str, Any], known: Sequence[str]) -> None:
    for key in given:
        if key not in known:
            close = difflib.get_close_matches(key, known, 1)
            fix = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(known)}"
            raise Misconfigured(f"{name}: {where}{key}: there is no such key", fix=fix)
