# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""HPLT v2 to v4 records: JSON Lines with fixed names, language labels and rights signals.

Fields (HPLT's data releases): `f` WARC file, `o` offset, `s` size, `rs` record size, `u` URL, `c`
content type, `ts` time of the crawl, `collection`, `lang` labels, `prob` of each, `text`,
`seg_langs` per segment, `id`, `filter`, `pii` spans, `doc_scores`, `robots`, `web-register`.
A field of another name is broken: what we do not know may be a signal that we must not pass over.
So are fields that contradict each other: spans of `pii` beyond the text are of another text, and
languages without a probability each are of another list.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, BinaryIO, ClassVar, Final

from bastide.core import limits
from bastide.core.document import Document
from bastide.readers.jsonl import Fault, parse_object, text_field
from bastide.readers.lines import lines
from bastide.readers.reader import Broken, Piece, Read, identify

__all__ = ["Hplt"]


@dataclass(frozen=True, slots=True)
class Hplt:
    """One HPLT record a line.

    Notes: `hplt-language`, `hplt-prob`, `hplt-filter`, `hplt-score` (the first of doc_scores),
    `hplt-robots`, `robots` (the field `robotstxt`), `hplt-pii` (number of spans), `hplt-ts`,
    `hplt-collection`.
    """

    ident: ClassVar[str] = "hplt"
    pieces: ClassVar[str] = "lines"

    def read(self, stream: BinaryIO, source: str, name: str, piece: Piece | None = None) -> Read:
        """Read a file, or a piece of which `stream` has nothing else; see reader.Reader."""
        for line in lines(stream, name, piece=piece):
            if isinstance(line, Broken):
                yield line
                continue
            number, byte, raw = line
            try:
                yield _document(parse_object(raw), source, name, number)
            except Fault as fault:
                yield Broken(number, byte, fault.reason, fault.detail)


def _document(record: dict[str, Any], source: str, name: str, number: int) -> Document:
    for field, value in record.items():
        holds = _FIELDS.get(field)
        if holds is None:
            raise Fault("wrong-type", "a field that HPLT records do not have")
        if value is not None and not holds(value):
            raise Fault("wrong-type", f"field {field}")
    if len(record.get("id") or "") > limits.CORPUS_ID_CHARS_MAX:
        raise Fault("too-long", "field id")
    text = text_field(record, "text")
    _verify_consistent(record, len(text))
    return Document(
        ident=record.get("id") or identify(source, name, number),
        text=text,
        source=source,
        url=record.get("u") or "",
        notes=_notes(record),
    )


def _verify_consistent(record: Mapping[str, Any], size: int) -> None:
    """Raise Fault for fields of which one must be wrong. size: characters of the text."""
    lang, prob = record.get("lang"), record.get("prob")
    if lang is not None and prob is not None and len(lang) != len(prob):
        raise Fault("contradiction", "fields lang and prob")
    if any(end > size for _, end in record.get("pii") or ()):
        raise Fault("contradiction", "fields pii and text")
    rights = [record[field].lower() for field in ("robots", "robotstxt") if record.get(field)]
    if len(set(rights)) > 1:
        raise Fault("contradiction", "fields robots and robotstxt")


def _notes(record: Mapping[str, Any]) -> dict[str, str | int | float]:
    notes: dict[str, str | int | float] = {}
    for note, field in _FIRSTS.items():
        if record.get(field):
            notes[note] = record[field][0]
    for note, field in _TEXTS.items():
        if record.get(field):
            notes[note] = record[field]
    if record.get("pii") is not None:
        notes["hplt-pii"] = len(record["pii"])
    return notes


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_list(check: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, list) and all(check(item) for item in value)


def _is_span(value: Any) -> bool:
    return _is_list(_is_count)(value) and len(value) == 2 and value[0] <= value[1]


def _is_register(value: Any) -> bool:
    return isinstance(value, dict) and all(_is_number(item) for item in value.values())


_FIRSTS: Final = {"hplt-language": "lang", "hplt-prob": "prob", "hplt-score": "doc_scores"}
_TEXTS: Final = {
    "hplt-filter": "filter",
    "robots": "robotstxt",
    "hplt-robots": "robots",
    "hplt-ts": "ts",
    "hplt-collection": "collection",
}
_FIELDS: Final[Mapping[str, Callable[[Any], bool]]] = MappingProxyType(
    {
        "f": _is_text,
        "o": _is_count,
        "s": _is_count,
        "rs": _is_count,
        "u": _is_text,
        "c": _is_text,
        "ts": _is_text,
        "de": _is_text,
        "collection": _is_text,
        "crawl_id": _is_text,
        "lang": _is_list(_is_text),
        "prob": _is_list(_is_number),
        "text": _is_text,
        "xml": _is_text,
        "html_lang": _is_list(_is_text),
        "seg_langs": _is_list(_is_text),
        "id": _is_text,
        "filter": _is_text,
        "pii": _is_list(_is_span),
        "doc_scores": _is_list(_is_number),
        "web-register": _is_register,
        "robots": _is_text,
        "robotstxt": _is_text,
        "cluster_size": _is_count,
    }
)
