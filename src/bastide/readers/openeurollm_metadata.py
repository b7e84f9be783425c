# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""metadata.yaml of an OpenEuroLLM dataset or cycle, read strictly: what the packer is told to do.

Two dialects. In `baby` the annotations stand under `annotations`, with their owners, and `rubber:
5%` is added to the budget; in `flag` every directory is a section, annotations are named by the
section that uses them, and `rubber: 1.5` multiplies the budget. Both have sections with `default`
and parts, and a part has what its section's default does not say otherwise. Scalars that are
names stay texts as they are written: YAML 1.1 reads the prefix 01_0 as the number 8.
"""

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from bastide.core import limits

__all__ = ["CONTAMINATION", "FAULTS", "PII", "CollectionFault", "Metadata", "parse_metadata"]

# Directories of annotations, by what they say. The first name is baby's, the second flag's.
PII: Final = ("pii", "openai-privacy-filter")
CONTAMINATION: Final = ("contamination", "nemo-curator")

# Every fault that a collection may have, and what to do about it.
FAULTS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "metadata-missing": "write its metadata.yaml, or take the directory away",
        "not-yaml": "repair the file; anchors and aliases are not read",
        "duplicate-key": "keep one of the two",
        "unknown-field": "correct the name, or take the field away",
        "wrong-value": "see docs/guides/openeurollm.md for what the field may hold",
        "id-missing": "name the field with the documents' names: no annotation can be joined"
        " without it",
        "text-missing": "name the field with the documents' texts",
        "mask-without-annotation": "add openai-privacy-filter to the annotations, or drop `mask`",
        "filter-is-code": "run the filter beforehand, or use a step of the recipe: code from a"
        " configuration is never run",
        "not-supported": "pack it with the original tools and read their output",
        "annotation-unread": "nothing reads this annotation: take it from the list, or prepare the"
        " input with it beforehand",
        "annotation-missing": "make the annotation for this file, or take it from the metadata",
        "annotation-undigested": "let the annotator write FILE.made-for.json when it is done",
        "annotation-stale": "annotate the text again: it is another than it was",
        "annotation-partial": "let the annotator finish",
        "annotation-unreadable": "make the annotation again",
        "file-unread": "correct `suffix`, or take the file away",
        "part-unmatched": "name the file's part in the metadata",
        "part-ambiguous": "rename the parts so that only one fits the path",
        "count-unreadable": "count again",
        "no-documents": "pack and count again: a part without documents is a failed one",
        "contradiction": "correct the table or the metadata",
        "datamix-unreadable": "a line is a weight, a space and a path",
        "datamix-unknown": "correct the path, or add the dataset",
    }
)


@dataclass(frozen=True, slots=True, order=True)
class CollectionFault:
    """One fault. file: relative to the directory. line: from 1, or 0 for the whole file. field:
    which key, record or column. code: a key of FAULTS. It never quotes a text."""

    file: str
    line: int
    field: str
    code: str
    message: str

    @property
    def fix(self) -> str:
        """What to do."""
        return FAULTS[self.code]

    def __str__(self) -> str:
        where = ":".join(str(one) for one in (self.file, self.line, self.field) if one)
        return f"{where}: {self.code}: {self.message}"


@dataclass(frozen=True, slots=True)
class Metadata:
    """What one file says. sections: by name, then by part, `default` among them. lines: where a
    field stands, by its dotted path."""

    fields: Mapping[str, Any] = field(default_factory=dict)
    sections: Mapping[str, Mapping[str, Mapping[str, Any]]] = field(default_factory=dict)
    lines: Mapping[str, int] = field(default_factory=dict)

    @property
    def is_cycle(self) -> bool:
        """Is it of a whole cycle, not of one dataset?"""
        return "sources" in self.sections

    def default(self, section: str, name: str, otherwise: Any = None) -> Any:
        """A field of a section's default."""
        value = self.sections.get(section, {}).get("default", {}).get(name)
        return otherwise if value is None else value

    def annotations(self) -> tuple[str, ...]:
        """The annotations that a release of this dataset is made with, sorted."""
        named = set(self.fields.get("annotations") or {})
        for part in self.sections.get("release", {}).values():
            named |= set(part.get("annotations") or ())
        return tuple(sorted(named))

    @property
    def is_parallel(self) -> bool:
        """Are documents put together from pairs of sentences?"""
        release = self.sections.get("release", {})
        return any("parallel" in part for part in release.values())


def parse_metadata(data: bytes, file: str) -> tuple[Metadata, list[CollectionFault]]:
    """Read a file. `file` is its name in faults. All faults are found, not the first."""
    reading = _Reading(file)
    return reading.metadata(data), sorted(reading.faults)


class _Reading:
    def __init__(self, file: str) -> None:
        self.faults: list[CollectionFault] = []
        self._file = file
        self._lines: dict[str, int] = {}
        self._seen: set[int] = set()

    def metadata(self, data: bytes) -> Metadata:
        root = self._composed(data)
        if root is None:
            return Metadata()
        if not isinstance(root, dict):
            self._fault("", "not-yaml", "it is no mapping")
            return Metadata()
        sections: dict[str, dict[str, dict[str, Any]]] = {}
        values: dict[str, Any] = {}
        for name, value in root.items():
            if name == "annotations" and isinstance(value, dict):
                values[name] = self._owners(value)
            elif name in _CYCLE and "sources" in root and isinstance(value, dict):
                sections[name] = {"default": value} if name == "release" else value
            elif isinstance(value, dict):
                sections[name] = self._section(name, value)
            elif name in _SECTIONS and value is None:
                sections[name] = {}
            else:
                self._checked(values, "", name, value, _FIELDS)
        found = Metadata(values, sections, self._lines)
        if not found.is_cycle:
            self._complete(found)
        return found

    def _complete(self, found: Metadata) -> None:
        for name in () if found.is_parallel else ("id", "text"):
            if not found.fields.get(name):
                self._fault(name, f"{name}-missing", f"there is no `{name}`")
        masks = any(part.get("mask") for part in found.sections.get("release", {}).values())
        if masks and not set(found.annotations()) & set(PII):
            place = "release.default.mask"
            self._fault(place, "mask-without-annotation", "labels to mask, but no spans of them")

    def _section(self, name: str, rows: dict[str, Any]) -> dict[str, dict[str, Any]]:
        if name not in _SECTIONS:
            self._unknown(name, name, _SECTIONS)
            return {}
        if name in ("hash", "propella-4b") and any(isinstance(v, str) for v in rows.values()):
            for key, value in rows.items():
                self._checked({}, f"{name}.", key, value, _HASHING)
            return {}
        found = {}
        for part, row in rows.items():
            found[part] = self._part(f"{name}.{part}.", row)
        return found

    def _part(self, place: str, row: Any) -> dict[str, Any]:
        if row is None:
            return {}
        if not isinstance(row, dict):
            self._fault(place.rstrip("."), "wrong-value", "a part is a mapping or nothing")
            return {}
        values: dict[str, Any] = {}
        for key, value in row.items():
            self._checked(values, place, key, value, _PART)
        return values

    def _owners(self, rows: dict[str, Any]) -> dict[str, Any]:
        for name, row in rows.items():
            if name not in (*PII, *CONTAMINATION):
                self._unknown(f"annotations.{name}", name, (*PII, *CONTAMINATION))
            for key, value in row.items() if isinstance(row, dict) else ():
                self._checked({}, f"annotations.{name}.", key, value, _OWNER)
        return rows

    def _checked(
        self,
        values: dict[str, Any],
        place: str,
        name: str,
        value: Any,
        known: Mapping[str, "_Check"],
    ) -> None:
        if name not in known:
            self._unknown(place + name, name, known)
        elif value is not None and not known[name](value):
            self._fault(place + name, "wrong-value", "not a value of this field")
        else:
            values[name] = value

    def _unknown(self, place: str, name: str, known: Iterable[str]) -> None:
        near = difflib.get_close_matches(name, list(known), 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        self._fault(place, "unknown-field", f"there is no such field{hint}")

    def _fault(self, place: str, code: str, message: str) -> None:
        line = self._lines.get(place, 0)
        self.faults.append(CollectionFault(self._file, line, place, code, message))

    def _composed(self, data: bytes) -> Any:
        """Plain values, with the line of every key. None if the file is none."""
        import yaml  # of the extra `corpus`: not for the start of every command

        try:
            if len(data) > limits.CORPUS_METADATA_BYTES_MAX:
                raise ValueError("too large")
            node = yaml.compose(data.decode(), Loader=yaml.SafeLoader)
            return self._plain(yaml, node, "") if node is not None else {}
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            mark = getattr(error, "problem_mark", None)
            line = mark.line + 1 if mark is not None else 0
            told = getattr(error, "problem", None) or "not YAML in UTF-8, an alias, or too deep"
            self.faults.append(CollectionFault(self._file, line, "", "not-yaml", str(told)))
            return None

    def _plain(self, yaml: Any, node: Any, place: str) -> Any:
        if id(node) in self._seen:
            raise ValueError("an alias")
        self._seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            return [self._plain(yaml, one, place) for one in node.value]
        if isinstance(node, yaml.MappingNode):
            found: dict[str, Any] = {}
            for key, value in node.value:
                name = key.value if isinstance(key, yaml.ScalarNode) else "?"
                inner = f"{place}.{name}" if place else name
                self._lines.setdefault(inner, key.start_mark.line + 1)
                if name in found:
                    line = key.start_mark.line + 1
                    fault = CollectionFault(self._file, line, inner, "duplicate-key", "a key twice")
                    self.faults.append(fault)
                found[name] = self._plain(yaml, value, inner)
            return found
        if place.rpartition(".")[2] in _NAMES and node.style is None and node.value:
            return node.value
        return yaml.constructor.SafeConstructor().construct_object(node)


_Check = Callable[[Any], bool]


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _is_anything(value: Any) -> bool:
    return True


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, str | int) for one in value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _one_of(*words: str) -> _Check:
    return lambda value: value in words


def _like(pattern: str) -> _Check:
    found = re.compile(pattern)
    return lambda value: isinstance(value, str) and found.fullmatch(value) is not None


def _is_rubber(value: Any) -> bool:
    return (_is_number(value) and value >= 1) or _like(r"\d{1,2}%")(value)


def _is_mapping(value: Any) -> bool:
    return isinstance(value, dict)


# Names, which YAML would take for numbers or dates.
_NAMES: Final = ("id", "text", "prefix", "name", "date", "catalogue", "suffix", "commit", "block")
_SECTIONS: Final = (
    "release", "source", "sources", "sample", "uuid", "openeurollm", "parallel", "wds+register",
    "hash", "propella-4b", "doc_scores", "bsc-edu", "finepdfs-edu", "fineweb2-hq", "jql",
    "web-register", *PII, *CONTAMINATION,
)  # fmt: skip
_CYCLE: Final = ("release", "sources")
_FIELDS: Final[Mapping[str, _Check]] = MappingProxyType(
    {
        **dict.fromkeys(
            ("name", "url", "huggingface", "catalogue", "id", "text", "wds", "registers", "date",
             "tokenizer", "branch", "commit", "licence", "license"),
            _is_text,
        ),
        "suffix": _like(r"\.\S+"),
    }
)  # fmt: skip
_PART: Final[Mapping[str, _Check]] = MappingProxyType(
    {
        "annotations": _is_texts,
        "block": _is_texts,
        "budget": _like(r"\d{1,3}%"),
        "coefficients": _is_mapping,
        "filter": _is_text,
        "id": _is_text,
        "input": _is_text,
        "language": _is_text,
        "length": _is_number,
        "mask": _is_texts,
        "pack": _one_of("flat", "tree"),
        "parallel": _is_mapping,
        "parameters": _is_anything,
        "prefix": _is_text,
        "rubber": _is_rubber,
        "sample": _one_of("full", "dynamic", "random", "wds+register"),
        "scrub": _is_texts,
        "shard": _like(r"\d+(md|bd|d)"),
        "suffix": _like(r"\.\S+"),
        "text": _is_text,
        "threshold": _is_number,
    }
)
_HASHING: Final[Mapping[str, _Check]] = MappingProxyType(
    dict.fromkeys(("hash", "type", "key"), _is_text)
)
_OWNER: Final[Mapping[str, _Check]] = MappingProxyType(
    dict.fromkeys(("owner", "status", "suffix"), _is_text)
)
