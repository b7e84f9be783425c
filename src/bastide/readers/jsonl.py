# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""JSON Lines: one object a line (jsonlines.org; RFC 8259), the names of the fields are settings.

No key twice in any object, no NaN, UTF-8 only: two parsers that disagree about a line would make
two corpora of one file.
"""

import json
from dataclasses import dataclass
from typing import Any, BinaryIO, ClassVar, Final

from bastide.core import limits
from bastide.core.document import Document
from bastide.readers.lines import lines
from bastide.readers.reader import Broken, Piece, Read, identify

__all__ = ["Fault", "Jsonl", "own_name", "parse_object", "text_field"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Jsonl:
    """One document a line."""

    ident: ClassVar[str] = "jsonl"
    pieces: ClassVar[str] = "lines"

    text: str = "text"  # the field with the text
    id: str = "id"  # the field with the record's own name; where it is missing one is made
    url: str = "url"  # the field with the address, if the records have one
    notes: str = ""  # fields that become notes of the document, with spaces between their names

    def read(self, stream: BinaryIO, source: str, name: str, piece: Piece | None = None) -> Read:
        """Read a file, or a piece of which `stream` has nothing else; see reader.Reader."""
        for line in lines(stream, name, piece=piece):
            if isinstance(line, Broken):
                yield line
                continue
            number, byte, raw = line
            try:
                yield self._document(parse_object(raw), source, name, number)
            except Fault as fault:
                yield Broken(number, byte, fault.reason, fault.detail)

    def _document(self, record: dict[str, Any], source: str, name: str, number: int) -> Document:
        return Document(
            ident=own_name(record, self.id) or identify(source, name, number),
            text=text_field(record, self.text),
            source=source,
            url=text_field(record, self.url, needed=False),
            notes=_notes(record, self.notes.split()) if self.notes else {},
        )


class Fault(Exception):
    """Why one line is broken. `reason` is one of reader.REASONS."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.detail = detail


def parse_object(raw: bytes) -> dict[str, Any]:
    """One line as an object. Raises Fault."""
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        raise Fault("not-utf-8", f"at byte {error.start} of the line") from None
    if not text or text.isspace():
        raise Fault("blank")
    try:
        value = _DECODER.decode(text)
    except RecursionError:
        raise Fault("not-json", "nested too deeply") from None
    except json.JSONDecodeError as error:
        raise Fault("not-json", f"at character {error.pos} of the line") from None
    except ValueError:  # a number of more digits than Python reads
        raise Fault("not-json", "a number is too long") from None
    if not isinstance(value, dict):
        raise Fault("not-an-object")
    # Only an escape can bring half a pair in; then every text of the line is looked at.
    if b"\\u" in raw and not _encodes(value):
        raise Fault("surrogate")
    return value


def text_field(record: dict[str, Any], name: str, *, needed: bool = True) -> str:
    """A field that is a text; "" if it is missing and not needed. Raises Fault."""
    value = record.get(name)
    if value is None and not needed:
        return ""
    if value is None or value == "":
        if needed:
            raise Fault("text-missing", f"field {name}")
        return ""
    if not isinstance(value, str):
        raise Fault("wrong-type", f"field {name}")
    if len(value) > limits.CORPUS_TEXT_CHARS_MAX:
        raise Fault("too-long", f"field {name}: over {limits.CORPUS_TEXT_CHARS_MAX} characters")
    return value


def own_name(record: dict[str, Any], name: str) -> str:
    """A field with the record's own name, a text or a whole number; "" without. Raises Fault."""
    value = record.get(name)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    own = text_field(record, name, needed=False)
    if len(own) > limits.CORPUS_ID_CHARS_MAX:
        raise Fault("too-long", f"field {name}: over {limits.CORPUS_ID_CHARS_MAX} characters")
    return own


def _notes(record: dict[str, Any], names: list[str]) -> dict[str, str | int | float]:
    notes: dict[str, str | int | float] = {}
    for name in names:
        value = record.get(name)
        if value is None:
            continue
        if not isinstance(value, str | int | float) or isinstance(value, bool):
            raise Fault("wrong-type", f"field {name}")
        if isinstance(value, str) and len(value) > limits.CORPUS_ID_CHARS_MAX:
            raise Fault("too-long", f"field {name}: over {limits.CORPUS_ID_CHARS_MAX} characters")
        notes[name] = value
    return notes


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Fault("duplicate-key")
    return found


def _constant(name: str) -> Any:
    raise Fault("not-json", f"{name} is not JSON")


def _encodes(value: Any) -> bool:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except (UnicodeEncodeError, RecursionError):
        return False
    return True


# Made once: `json.loads` makes one for each line.
_DECODER: Final = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_constant)
