# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Plain text: a file is one document, or every run of lines between blank lines is one."""

from dataclasses import dataclass
from typing import BinaryIO, ClassVar, Literal

from bastide.core import limits
from bastide.core.document import Document
from bastide.core.errors import Misconfigured
from bastide.readers.lines import Line, lines
from bastide.readers.reader import Broken, Piece, Read, identify

__all__ = ["PlainText"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlainText:
    """A text file in UTF-8.

    A part that holds a broken line is not read as if the line were not there: the whole part is
    given up, with one Broken for each of its broken lines.
    """

    ident: ClassVar[str] = "plain-text"

    split: Literal["file", "blank-line"] = "file"  # what one document is

    def __post_init__(self) -> None:
        if self.split not in ("file", "blank-line"):
            raise Misconfigured('split must be "file" or "blank-line"', place="split")

    @property
    def pieces(self) -> str:
        """In what a file may be cut: one document is not."""
        return "paragraphs" if self.split == "blank-line" else ""

    def read(self, stream: BinaryIO, source: str, name: str, piece: Piece | None = None) -> Read:
        """Read a file, or a piece of which `stream` has nothing else; see reader.Reader."""
        part: list[str] = []
        first: Line | None = None
        size = 0
        sound = True
        for line in lines(stream, name, piece=piece):
            if isinstance(line, Broken):
                yield line
                sound = False
                continue
            number, byte, raw = line
            if self.split == "blank-line" and not raw.strip():
                if part and sound:
                    yield _document(part, first, size, source, name)
                part, first, size, sound = [], None, 0, True
                continue
            size += len(raw) + 1
            first = first or line
            try:
                text = raw.decode()
            except UnicodeDecodeError as error:
                yield Broken(number, byte, "not-utf-8", f"at byte {error.start} of the line")
                sound = False
                continue
            if size <= limits.CORPUS_TEXT_CHARS_MAX and sound:
                part.append(text)
        if sound and first is None and self.split == "file":
            yield Broken(0, 0, "text-missing", "the file is empty")
        elif part and sound:
            yield _document(part, first, size, source, name)


def _document(
    part: list[str], first: Line | None, size: int, source: str, name: str
) -> Document | Broken:
    number, byte, _ = first or (0, 0, b"")
    if size > limits.CORPUS_TEXT_CHARS_MAX:
        over = f"over {limits.CORPUS_TEXT_CHARS_MAX} bytes"
        return Broken(number, byte, "too-long", over)
    text = "\n".join(part)
    if not text.strip():
        return Broken(number, byte, "text-missing")
    return Document(ident=identify(source, name, number), text=text, source=source)
