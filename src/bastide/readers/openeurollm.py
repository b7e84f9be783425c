# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""OpenEuroLLM collection: JSON Lines whose metadata.yaml and annotation files stand beside them.

A recipe names the directory of a dataset; its metadata says which files are read, under which names
the fields stand, and which annotations belong to a file. Spans of personal data are masked here, so
no step sees them. What is contaminated, blocked or not to be drawn is noted, and the step
`openeurollm` removes it: a recipe without that step is refused.

An annotation is only used with `FILE.made-for.json` beside it: `input`, the SHA-256 of the file
that was annotated; `documents`, how many lines it had; `output`, the SHA-256 of the annotation.
Another text, a span beyond the text or with another value, a document that is not there: each
refuses the whole build.

PII rows: `id`, `name` (a label), `value`, `start_pos`, `end_pos` in characters. Contamination rows:
`id` and anything else.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, BinaryIO, ClassVar, Final, NamedTuple

import msgspec

from bastide.core import limits
from bastide.core.document import Document
from bastide.core.errors import Refused
from bastide.readers.jsonl import Fault, own_name, parse_object, text_field
from bastide.readers.lines import lines
from bastide.readers.openeurollm_metadata import CONTAMINATION, PII
from bastide.readers.reader import Broken, Piece, Read, identify

__all__ = [
    "BLOCKED",
    "CONTAMINATED",
    "LABELS",
    "SHARE",
    "Annotations",
    "MadeFor",
    "OpenEuroLlm",
    "Tally",
    "load_annotations",
    "path_value",
]

CONTAMINATED: Final = "openeurollm-contaminated"
BLOCKED: Final = "openeurollm-blocked"
SHARE: Final = "openeurollm-share"
LABELS: Final = frozenset(
    ("account_number", "private_address", "private_date", "private_email", "private_person",
     "private_phone", "private_url", "secret",
     "BANK_ACCOUNT", "BITCOIN_ADDRESS", "CREDIT_CARD", "DRIVER_LICENSE", "EMAIL_ADDRESS", "GOV_ID",
     "IP_ADDRESS", "LICENSE_PLATE", "PHONE_NUMBER")
)  # fmt: skip
_SPAN: Final = ("id", "name", "value", "start_pos", "end_pos")

Mask = Callable[[str, str], str]  # label and value to what stands in the text instead


class MadeFor(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an annotation was made for: a file by its digest, and how many lines it had. output: the
    digest of the annotation, which shows that it is whole."""

    input: str
    documents: int
    output: str


class _Span(NamedTuple):
    start: int
    end: int
    label: str
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenEuroLlm:
    """One file of a collection. All settings come from its metadata.yaml."""

    ident: ClassVar[str] = "openeurollm"
    pieces: ClassVar[str] = "lines"

    id: str = "id"  # path of the field with the name, such as metadata.WARC-Record-ID
    text: str = "text"  # path of the field with the text, such as rollout_results[0].text
    url: str = "url"  # path of the field with the address
    block: tuple[str, ...] = ()  # names of documents to remove
    mask: tuple[str, ...] = ()  # labels to mask; none: all
    share: float = 1.0  # of the documents to draw
    annotations: tuple[str, ...] = ()  # that must stand beside the file
    documents: int = -1  # lines that the annotations were made for

    def read(self, stream: BinaryIO, source: str, name: str, piece: Piece | None = None) -> Read:
        """Read a file without annotations, or a piece of which `stream` has nothing else; see
        reader.Reader. Raises Refused if it needs some."""
        if self.annotations:
            raise self._missing(name, self.annotations)
        return _Joining(self, name, Annotations(), lambda label, value: "").read(
            stream, source, piece
        )

    def read_beside(
        self,
        stream: BinaryIO,
        source: str,
        name: str,
        beside: Mapping[str, tuple[str, BinaryIO]],
        mask: Mask,
    ) -> Read:
        """Read a file with its annotations, each with its name. Raises Refused, with reasons."""
        if missing := sorted(set(self.annotations) - set(beside)):
            raise self._missing(name, missing)
        tally = Tally()
        found = load_annotations(name, beside)
        yield from self.read_joined(stream, source, name, found, mask, tally)
        self.verify_tally(name, tally)

    def read_joined(
        self,
        stream: BinaryIO,
        source: str,
        name: str,
        annotations: "Annotations",
        mask: Mask,
        tally: "Tally",
        piece: Piece | None = None,
    ) -> Read:
        """Read a file, or a piece of it, with annotations that were loaded before. What only the
        whole file shows is added to the tally. Raises Refused, with reasons."""
        yield from _Joining(self, name, annotations, mask).read(stream, source, piece, tally)

    def verify_tally(self, name: str, tally: "Tally") -> None:
        """Return if all pieces together are what was annotated. Raises Refused, with reasons."""
        faults = []
        unseen = tally.annotated - tally.seen
        if unseen:
            told = "are not in the file" if unseen > 0 else "are in the file twice"
            faults.append(f"{name}: {abs(unseen)} annotated documents {told}")
        if self.annotations and self.documents not in (-1, tally.lines):
            told = f"{self.documents} documents were annotated, the file has {tally.lines}"
            faults.append(f"{name}: {told}")
        if faults:
            raise _refused(name, faults)

    def _missing(self, name: str, kinds: Sequence[str]) -> Refused:
        return _refused(name, [f"{name}: there is no {one} annotation" for one in kinds])


class Tally(msgspec.Struct):
    """What was seen of an annotated file: its lines, and of how many annotated documents how many
    are in it."""

    lines: int = 0
    annotated: int = 0
    seen: int = 0

    def add(self, other: "Tally") -> None:
        """That of a further piece, which was read with the same annotations."""
        self.lines += other.lines
        self.seen += other.seen
        self.annotated = other.annotated


@dataclass(frozen=True, slots=True)
class Annotations:
    """All that stands beside one file, by the names of its documents."""

    spans: dict[str, list["_Span"]] = field(default_factory=dict)
    contaminated: dict[str, int] = field(default_factory=dict)

    @property
    def names(self) -> set[str]:
        """The documents that are annotated."""
        return set(self.spans) | set(self.contaminated)


def load_annotations(name: str, beside: Mapping[str, tuple[str, BinaryIO]]) -> Annotations:
    """Read the annotations of a file, each by its kind with its name. Raises Refused with every
    fault."""
    found, faults = Annotations(), list[str]()
    for kind, (own, stream) in sorted(beside.items()):
        _load(found, faults, kind, own, stream)
    if faults:
        raise _refused(name, faults[: limits.FAULTS_MAX])
    return found


class _Joining:
    """The documents of one file, joined with what annotations say of them."""

    def __init__(
        self, reader: OpenEuroLlm, name: str, annotations: Annotations, mask: Mask
    ) -> None:
        self._reader = reader
        self._name = name
        self._mask = mask
        self._annotations = annotations
        self._labels = frozenset(reader.mask or LABELS)
        self._blocked = frozenset(reader.block)
        self._faults: list[str] = []

    def read(
        self, stream: BinaryIO, source: str, piece: Piece | None, tally: Tally | None = None
    ) -> Read:
        annotated, seen = self._annotations.names, set[str]()
        number = 0
        for line in lines(stream, self._name, piece=piece):
            number += 1
            if isinstance(line, Broken):
                yield line
                continue
            place, byte, raw = line
            try:
                document = self._document(parse_object(raw), source, place)
            except Fault as fault:
                yield Broken(place, byte, fault.reason, fault.detail)
                continue
            if document.ident in annotated:
                if document.ident in seen:
                    self._fault(f"line {place}: a second document with an annotated name")
                seen.add(document.ident)
            self._refuse(limits.FAULTS_MAX)
            yield document
        self._refuse()
        if tally is not None:
            tally.add(Tally(number, len(annotated), len(seen)))

    def _document(self, record: dict[str, Any], source: str, number: int) -> Document:
        reader = self._reader
        flat = {
            "id": path_value(record, reader.id),
            "text": path_value(record, reader.text),
            "url": path_value(record, reader.url),
        }
        ident = own_name(flat, "id")
        if not ident and (reader.annotations or reader.block):
            # Without a name no annotation can be joined, and none may be passed over.
            raise Fault("text-missing", f"field {reader.id}")
        text = text_field(flat, "text")
        notes: dict[str, str | int | float] = {}
        if spans := self._annotations.spans.get(ident):
            text = self._masked(text, spans, number, notes)
        if ident in self._annotations.contaminated:
            notes[CONTAMINATED] = self._annotations.contaminated[ident]
        if ident in self._blocked:
            notes[BLOCKED] = 1
        if reader.share < 1:
            notes[SHARE] = reader.share
        return Document(
            ident=ident or identify(source, self._name, number),
            text=text,
            source=source,
            url=flat["url"] if isinstance(flat["url"], str) else "",
            notes=notes,
        )

    def _masked(
        self, text: str, spans: list[_Span], number: int, notes: dict[str, str | int | float]
    ) -> str:
        parts, done = [], 0
        for span in spans:
            if span.end > len(text) or text[span.start : span.end] != span.value:
                self._fault(f"line {number}: the text is not the one that was annotated")
                return ""
        for span in _merged(text, [one for one in spans if one.label in self._labels]):
            parts += [text[done : span.start], self._mask(span.label, span.value)]
            done = span.end
            note = f"openeurollm-masked/{span.label}"
            notes[note] = int(notes.get(note, 0)) + 1
        return "".join((*parts, text[done:]))

    def _fault(self, what: str) -> None:
        self._faults.append(f"{self._name}: {what}")

    def _refuse(self, least: int = 1) -> None:
        if len(self._faults) >= least:
            raise _refused(self._name, self._faults[: limits.FAULTS_MAX])


def _load(found: Annotations, faults: list[str], kind: str, own: str, stream: BinaryIO) -> None:
    for number, line in enumerate(lines(stream, own), 1):
        if number > limits.CORPUS_ANNOTATION_ROWS_MAX:
            raise _refused(own, [f"{own}: over {limits.CORPUS_ANNOTATION_ROWS_MAX} rows"])
        if isinstance(line, Broken):
            faults.append(f"{own}: line {line.line}: {line.reason}")
            continue
        try:
            row = parse_object(line[2])
            ident = own_name(row, "id")
            if not ident:
                raise Fault("text-missing", "field id")
            if kind in CONTAMINATION:
                found.contaminated[ident] = found.contaminated.get(ident, 0) + 1
            elif kind in PII:
                found.spans.setdefault(ident, []).append(_span(row))
            else:
                raise Fault("wrong-type", "nothing reads this annotation")
        except Fault as fault:
            detail = f" ({fault.detail})" if fault.detail else ""
            faults.append(f"{own}: line {number}: {fault.reason}{detail}")


def path_value(record: Mapping[str, Any], path: str) -> Any:
    """The value at a path with dots and [numbers]; None if there is none. A key that is the whole
    path comes first."""
    if path in record:
        return record[path]
    value: Any = record
    for step in _steps(path):
        if isinstance(step, int):
            value = value[step] if isinstance(value, list) and step < len(value) else None
        else:
            value = value.get(step) if isinstance(value, dict) else None
    return value


def _steps(path: str) -> Iterator[str | int]:
    for piece in path.split("."):
        name, *places = piece.split("[")
        if name:
            yield name
        for place in places:
            number = place.removesuffix("]")
            yield int(number) if number.isdigit() else number


def _span(row: dict[str, Any]) -> _Span:
    for key in row:
        if key not in _SPAN:
            raise Fault("wrong-type", "an unknown field")
    start, end, label, value = (row.get(one) for one in ("start_pos", "end_pos", "name", "value"))
    if type(start) is not int or type(end) is not int or not 0 <= start < end:
        raise Fault("wrong-type", "start_pos or end_pos")
    if not isinstance(label, str) or label not in LABELS:
        raise Fault("wrong-type", "an unknown label")
    if not isinstance(value, str):
        raise Fault("wrong-type", "field value")
    return _Span(start, end, label, value)


def _merged(text: str, spans: list[_Span]) -> list[_Span]:
    """Spans in order; those that overlap are one, with the label of the first."""
    found: list[_Span] = []
    for span in sorted(spans):
        if not found or span.start >= found[-1].end:
            found.append(span)
            continue
        first = found.pop()
        end = max(first.end, span.end)
        found.append(_Span(first.start, end, first.label, text[first.start : end]))
    return found


def _refused(name: str, reasons: list[str]) -> Refused:
    return Refused(
        f"{name} and its annotations do not fit together, so nothing is built",
        reasons=reasons,
        fix="bastide corpus check DIR lists every fault; annotate the files again",
    )
