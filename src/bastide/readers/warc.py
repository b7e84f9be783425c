# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""WARC 1.0 and 1.1 (ISO 28500): web pages of a crawl, one document for each page or text.

Read are `response` records with status 200 and HTML or plain text in them, `resource` records of
these kinds, and `conversion` records of plain text, as in WET files. What is no text is no
document, and neither is a robots.txt. Of HTML the main content is taken (Resiliparse): menus,
headers, footers, forms, comments, scripts and hidden elements are dropped, and tables lose their
shape.

Bytes are decoded by the first charset that fits wholly: of a byte order mark, of the HTTP head, of
the page's head, then what the bytes look like. A record that was cut, by the crawl (`WARC-
Truncated`) or by the end of the file, is broken. Behind a damaged record reading goes on with the
next one.

Notes for the step `rights`: `x-robots-tag`, `tdm-reservation` and `content-usage` of the HTTP
head, `robots-meta` and `tdm-reservation` of the page's. `warc-date` is the time of the crawl.
"""

import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, ClassVar, Final, NamedTuple
from urllib.parse import urlsplit

from bastide.core import limits
from bastide.core.document import Document
from bastide.readers.compressed import Unreadable, chunks
from bastide.readers.jsonl import Fault
from bastide.readers.reader import Broken, Piece, Read, identify

__all__ = ["Warc", "record_ends"]

_STARTS: Final = (b"WARC/1.0\r\n", b"WARC/1.1\r\n")
_END: Final = b"\r\n\r\n"
_HEAD: Final = 1 << 16  # bytes of a record's own head
_HTML: Final = ("text/html", "application/xhtml+xml")
_PLAIN: Final = "text/plain"
_SIGNALS: Final = ("x-robots-tag", "tdm-reservation", "content-usage")
_MARKS: Final = ((b"\xef\xbb\xbf", "utf-8"), (b"\xfe\xff", "utf-16-be"), (b"\xff\xfe", "utf-16-le"))
_SAMPLE: Final = 1 << 16  # bytes that are looked at to guess a charset


@dataclass(frozen=True, slots=True, kw_only=True)
class Warc:
    """Records of a crawl. `line` of a broken place is the number of the record, from 1."""

    ident: ClassVar[str] = "warc"
    pieces: ClassVar[str] = "records"

    main_content: bool = True  # false: all text of a page, menus too
    cut: bool = False  # true: read records too that the crawl did not keep whole

    def read(self, stream: BinaryIO, source: str, name: str, piece: Piece | None = None) -> Read:
        """Read a file, or a piece of which `stream` has nothing else; see reader.Reader. `byte` is
        counted in the unpacked file."""
        begin, before = (piece.begin, piece.before) if piece is not None else (0, 0)
        # A piece of a compressed file comes decompressed.
        buffer = _Buffer(chunks(stream, name if piece is None else ""), begin)
        for item in _records(buffer, before):
            if isinstance(item, Broken):
                yield item
                continue
            try:
                document = self._document(item, source, name)
            except Fault as fault:
                yield Broken(item.number, item.byte, fault.reason, fault.detail)
                continue
            if document is not None:
                yield document

    def _document(self, record: "_Record", source: str, name: str) -> Document | None:
        head = record.head
        page = _page(record)
        if page is None:
            return None
        if "warc-truncated" in head and not self.cut:
            raise Fault("cut", "the crawl did not keep all of it")
        text, notes = self._text(page)
        if not text.strip():
            raise Fault("text-missing", "no text on the page")
        if len(text) > limits.CORPUS_TEXT_CHARS_MAX:
            raise Fault("too-long", f"over {limits.CORPUS_TEXT_CHARS_MAX} characters")
        if date := head.get("warc-date"):
            notes["warc-date"] = date
        own = head.get("warc-record-id", "").strip("<>").removeprefix("urn:uuid:")
        if len(own) > limits.CORPUS_ID_CHARS_MAX:
            raise Fault("too-long", "WARC-Record-ID")
        return Document(
            ident=own or identify(source, name, record.number),
            text=text,
            source=source,
            url=head.get("warc-target-uri", "").strip("<>"),
            notes=notes,
        )

    def _text(self, page: "_Page") -> tuple[str, dict[str, str | int | float]]:
        """The text of a page, and what its heads say of rights."""
        notes: dict[str, str | int | float] = {
            name: page.signals[name] for name in _SIGNALS if name in page.signals
        }
        text = _decoded(page)
        if page.kind == _PLAIN:
            return text, notes
        from resiliparse.extract.html2text import extract_plain_text
        from resiliparse.parse.html import HTMLTree

        try:
            tree = HTMLTree.parse(text)
            root = tree.document
            for element in root.query_selector_all("meta[name][content]") if root else ():
                name = str(element.getattr("name", "")).casefold()
                if name in ("robots", "tdm-reservation"):
                    note = "robots-meta" if name == "robots" else name
                    notes[note] = str(element.getattr("content", ""))
            found = extract_plain_text(
                tree, main_content=self.main_content, alt_texts=False, preserve_formatting=True
            )
        except (ValueError, RuntimeError) as error:
            raise Fault("damaged", "HTML") from error
        return found, notes


class _Record(NamedTuple):
    """One whole record. number: from 1. byte: where it begins. head: names in small letters."""

    number: int
    byte: int
    head: dict[str, str]
    raw: bytes


class _Page(NamedTuple):
    kind: str  # of the content, without parameters
    charset: str  # that the HTTP head names, or ""
    body: bytes
    signals: dict[str, str]


class _Buffer:
    """A stream of chunks from which lines and blocks are taken; remembers where it is. taken: told
    of all that is."""

    def __init__(
        self, pieces: Iterator[bytes], at: int = 0, taken: Callable[[bytes], None] | None = None
    ) -> None:
        self._pieces = pieces
        self._held = bytearray()
        self._taken = taken
        self.at = self.asked = at  # where it is, and the end of all that was looked at
        self.end = False

    def _more(self) -> bool:
        piece = next(self._pieces, b"") if not self.end else b""
        self.end = self.end or not piece
        self._held += piece
        return bool(piece)

    def peek(self, size: int) -> bytes:
        self.asked = max(self.asked, self.at + size)
        while len(self._held) < size and self._more():
            pass
        return bytes(self._held[:size])

    def take(self, size: int) -> bytes:
        """So many bytes, or fewer at the end."""
        data = self.peek(size)
        del self._held[: len(data)]
        self.at += len(data)
        if self._taken is not None:
            self._taken(data)
        return data

    def skip(self, size: int) -> bool:
        """Pass over so many bytes without holding them. False if the end comes before."""
        while size:
            piece = self.take(min(size, _HEAD))
            if not piece:
                return False
            size -= len(piece)
        return True

    def until(self, mark: bytes, most: int) -> bytes | None:
        """All up to and with a mark, not taken; None if it is not within so many bytes."""
        begin = 0
        while (found := self._held.find(mark, max(0, begin - len(mark)), most)) < 0:
            begin = len(self._held)
            if begin >= most or not self._more():
                return None
        return self.peek(found + len(mark))

    def seek(self, mark: bytes) -> bool:
        """Go to the next mark, holding next to nothing. False if there is none."""
        while (found := self._held.find(mark)) < 0:
            self.take(max(0, len(self._held) - len(mark) + 1))
            if not self._more():
                return False
        self.take(found)
        return True


def record_ends(pieces: Iterator[bytes], taken: Callable[[bytes], None]) -> Iterator[int]:
    """How many records there were, behind each from which on a file can be read by itself.

    taken: told of all bytes, up to that place when it is yielded. Within what a damaged record
    claims to be there is no such place, for what is wrong with it depends on all of that.
    """
    buffer, doubt = _Buffer(pieces, taken=taken), 0
    for item in _records(buffer, 0):
        if isinstance(item, Broken) and item.reason != "too-long":
            doubt = buffer.asked
        elif buffer.at >= doubt:
            yield item.line if isinstance(item, Broken) else item.number
    buffer.take(_HEAD)  # the end of a damaged record, which no search passed


def _records(buffer: _Buffer, number: int) -> Iterator[_Record | Broken]:
    """number: of records before."""
    try:
        while True:
            while buffer.peek(2) == b"\r\n":
                buffer.take(2)
            if not buffer.peek(1):
                return
            number += 1
            item = _next(buffer, number)
            yield item
            if isinstance(item, Broken) and item.reason != "too-long":
                # A record may be forged within a damaged one, but none behind it is hidden.
                buffer.take(1)
                while found := buffer.seek(b"WARC/1."):
                    if buffer.peek(10) in _STARTS:
                        break
                    buffer.take(1)
                if not found:
                    return
    except Unreadable as error:
        yield Broken(number or 1, buffer.at, error.reason, error.detail)


def _next(buffer: _Buffer, number: int) -> _Record | Broken:
    begin = buffer.at
    if buffer.peek(10) not in _STARTS or (raw := buffer.until(_END, _HEAD)) is None:
        return Broken(number, begin, "not-a-record")
    head = _head(raw)
    length = head.get("content-length", "")
    if not length.isascii() or not length.isdigit() or len(length) > 18:
        return Broken(number, begin, "not-a-record", "Content-Length")
    size = int(length)
    if size > limits.CORPUS_LINE_BYTES_MAX:
        if not buffer.skip(len(raw) + size):
            return Broken(number, begin, "cut", "the file ends within the record")
        return Broken(number, begin, "too-long", f"over {limits.CORPUS_LINE_BYTES_MAX} bytes")
    # Only looked at: a false length must not swallow the records behind.
    block = buffer.peek(len(raw) + size + len(_END))[len(raw) :]
    if len(block) < size or block[size:] not in (_END, b""):  # b"": the file ends with the record
        short = len(block) < size
        told = "the file ends within it" if short else "Content-Length is not the record's length"
        return Broken(number, begin, "cut" if short else "not-a-record", told)
    buffer.take(len(raw) + len(block))
    return _Record(number, begin, head, raw + block[:size] + _END)


def _head(raw: bytes) -> dict[str, str]:
    """The fields of a head, the first of each name; folded lines are joined."""
    found: dict[str, str] = {}
    last = ""
    for line in raw.decode("utf-8", "replace").split("\r\n")[1:]:
        if line[:1] in (" ", "\t") and last:
            found[last] += " " + line.strip()
            continue
        name, _, value = line.partition(":")
        last = name.strip().casefold()
        found.setdefault(last, value.strip())
    return found


def _page(record: _Record) -> _Page | None:
    """The text in a record, or None if it is none. Raises Fault."""
    kind = record.head.get("warc-type", "").casefold()
    if kind not in ("response", "resource", "conversion"):
        return None
    http = record.head.get("content-type", "").casefold().startswith("application/http")
    if not http and kind == "response":
        return None
    if _path_of(record.head.get("warc-target-uri", "")) == "/robots.txt":
        return None
    if not http:
        content, charset = _content_type(record.head.get("content-type", ""))
        at = record.raw.index(_END) + 4
        body, signals = record.raw[at:-4], dict[str, str]()
    else:
        answer = _answer(record)
        if answer.http_headers.status_code != 200:
            return None
        signals = {name.casefold(): value for name, value in answer.http_headers.items()}
        content, charset = _content_type(signals.get("content-type", ""))
        encoding = signals.get("content-encoding", "").strip().casefold()
        body = _body(answer, encoding) if content in (*_HTML, _PLAIN) else b""
    if content not in (*_HTML, _PLAIN):
        return None
    return _Page(content, charset, body, signals)


def _answer(record: _Record) -> Any:
    """The HTTP answer, transfer and content encoding taken away. Raises Fault."""
    from fastwarc.warc import WarcRecord

    try:
        answer = WarcRecord.from_bytes(record.raw)
        answer.parse_http(auto_decode="transfer")
    except OSError as error:
        raise Fault("not-a-record", "the HTTP answer") from error
    if answer.http_headers is None or answer.http_headers.status_code is None:
        raise Fault("not-a-record", "the HTTP answer")
    return answer


def _body(answer: Any, encoding: str) -> bytes:
    """The content, its encoding taken away within the limit: one answer may be a bomb."""
    most = limits.CORPUS_LINE_BYTES_MAX
    if encoding not in ("", "identity", "gzip", "x-gzip", "deflate"):
        raise Fault("damaged", "an encoding of the HTTP answer that is not read")
    try:
        body = answer.reader.read(most + 1)
        if encoding not in ("", "identity"):
            maker = zlib.decompressobj(wbits=15 if encoding == "deflate" else 31)
            body = maker.decompress(body, most + 1)
            if len(body) <= most and not maker.eof:
                raise Fault("cut", "the encoding of the HTTP answer ends too early")
    except (OSError, zlib.error) as error:
        raise Fault("damaged", "the encoding of the HTTP answer") from error
    if len(body) > most:
        raise Fault("too-long", f"over {most} bytes")
    return body


def _content_type(value: str) -> tuple[str, str]:
    kind, *parameters = (piece.strip() for piece in value.split(";"))
    for parameter in parameters:
        name, _, charset = parameter.partition("=")
        if name.strip().casefold() == "charset":
            return kind.casefold(), charset.strip(" \"'")
    return kind.casefold(), ""


def _path_of(url: str) -> str:
    """The path of an address, or nothing."""
    try:
        return urlsplit(url.strip("<>")).path
    except ValueError:
        return ""


def _decoded(page: _Page) -> str:
    """The text by the first charset that fits wholly. Raises Fault."""
    for mark, charset in _MARKS:
        if page.body.startswith(mark):
            return _strict(page.body[len(mark) :], charset) or _undecodable()
    from resiliparse.parse.encoding import detect_encoding, map_encoding_to_html5

    claimed = map_encoding_to_html5(page.charset) if page.charset else None
    text = _strict(page.body, claimed) if claimed else None
    if text is None:
        html = page.kind != _PLAIN
        found = detect_encoding(page.body[:_SAMPLE], from_html_meta=html)
        text = _strict(page.body, found or "utf-8")
    if text is None:
        text = _strict(page.body, detect_encoding(page.body, max_len=_SAMPLE) or "utf-8")
    return text if text is not None else _undecodable()


def _strict(data: bytes, charset: str) -> str | None:
    try:
        return data.decode(charset)
    except (UnicodeError, LookupError):
        return None


def _undecodable() -> str:
    raise Fault("charset")
