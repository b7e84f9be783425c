# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""WARC files: pages become documents, what is broken is named, and nothing is passed over."""

import gzip
import io
import tracemalloc
import zlib

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

from bastide.core import limits
from bastide.core.document import Document
from bastide.filters.rights import Rights
from bastide.readers.warc import Warc
from unit.reader_files import faults, read, texts

MIB = 1 << 20
PAGE = (
    "<html><head><title>t</title>{meta}</head><body><nav>Home Contact</nav><main><h1>{title}</h1>"
    "<p>The {title} stood by the harbour for ninety years, and everybody in the town knew it.</p>"
    "<script>alert('no')</script></main><footer>Imprint</footer></body></html>"
)


def page(title: str, meta: str = "") -> bytes:
    return PAGE.format(title=title, meta=meta).encode()


def record(
    body: bytes,
    number: int = 0,
    *,
    head: str = "",
    kind: str = "response",
    http: str = "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n\r\n",
    url: str = "",
    version: str = "1.0",
) -> bytes:
    block = http.encode() + body
    content = "application/http; msgtype=response" if http else "text/plain"
    return (
        f"WARC/{version}\r\nWARC-Type: {kind}\r\nWARC-Record-ID: <urn:uuid:{number}>\r\n"
        f"WARC-Date: 2024-05-01T00:00:00Z\r\nWARC-Target-URI: {url or f'https://a.example/{number}'}"
        f"\r\nContent-Type: {content}\r\n{head}Content-Length: {len(block)}\r\n\r\n"
    ).encode() + block + b"\r\n\r\n"  # fmt: skip


def packed(rows: list[bytes], suffix: str) -> bytes:
    if suffix == ".gz":
        return b"".join(gzip.compress(row, mtime=0) for row in rows)
    return zstandard.compress(b"".join(rows)) if suffix else b"".join(rows)


def titles(raw: bytes, name: str = "a.warc") -> list[str]:
    return [text.split()[0] for text in texts(read(Warc(), raw, name))]


@pytest.mark.parametrize("suffix", ["", ".gz", ".zst"])
@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_pages_become_documents(suffix: str, version: str) -> None:
    rows = [
        record(b"software: x\r\n", kind="warcinfo", http="", version=version),
        record(page("Lighthouse"), 1, version=version),
        record(b"GET / HTTP/1.1\r\n\r\n", kind="request", http="", version=version),
        record("Žluťoučký kůň.".encode(), 2, kind="conversion", http="", version=version),
    ]
    found = read(Warc(), packed(rows, suffix), "a.warc" + suffix)
    assert found[0] == Document(
        ident="1",
        text=found[0].text if isinstance(found[0], Document) else "",
        source="src",
        url="https://a.example/1",
        notes={"warc-date": "2024-05-01T00:00:00Z"},
    )
    assert "stood by the harbour" in texts(found)[0]
    assert texts(found)[1] == "Žluťoučký kůň."
    for dropped in ("Contact", "Imprint", "alert"):
        assert dropped not in texts(found)[0]
    assert "Contact" in texts(read(Warc(main_content=False), rows[1], "a.warc"))[0]


@pytest.mark.parametrize("gz", [False, True])
def test_files_of_another_writer_are_read(gz: bool) -> None:
    out = io.BytesIO()
    writer = WARCWriter(out, gzip=gz)
    for number in range(3):
        head = StatusAndHeaders("200 OK", [("Content-Type", "text/html")], protocol="HTTP/1.1")
        one = writer.create_warc_record(
            f"https://a.example/{number}", "response",
            payload=io.BytesIO(page(f"Tower{number}")), http_headers=head,
        )  # fmt: skip
        writer.write_record(one)
    name = "a.warc.gz" if gz else "a.warc"
    assert titles(out.getvalue(), name) == ["Tower0", "Tower1", "Tower2"]


def test_what_is_no_page_is_no_document_and_no_fault() -> None:
    image = "HTTP/1.1 200 OK\r\nContent-Type: image/png\r\n\r\n"
    lost = "HTTP/1.1 404 Not Found\r\nContent-Type: text/html\r\n\r\n"
    rules = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n"
    rows = [
        record(b"\x89PNG", 1, http=image),
        record(page("Lost"), 2, http=lost),
        record(b"User-agent: *", 3, http=rules, url="https://a.example/robots.txt"),
        record(page("Revisit"), 4, kind="revisit"),
    ]
    assert read(Warc(), b"".join(rows), "a.warc") == []


@pytest.mark.parametrize(
    ("body", "charset", "meta"),
    [
        ("Příliš žluťoučký kůň úpěl ďábelské ódy".encode("iso-8859-2"), "iso-8859-2", ""),
        ("Příliš žluťoučký kůň úpěl ďábelské ódy".encode("cp1250"), "", "windows-1250"),
        ("Příliš žluťoučký kůň úpěl ďábelské ódy".encode(), "", ""),
        ("Příliš žluťoučký kůň úpěl ďábelské ódy".encode(), "ascii", ""),  # a false claim
        (b"\xef\xbb\xbf" + "Příliš žluťoučký kůň úpěl ďábelské ódy".encode(), "latin-1", ""),
        (b"\xff\xfe" + "Příliš žluťoučký kůň úpěl ďábelské ódy".encode("utf-16-le"), "", ""),
    ],
)
def test_charsets(body: bytes, charset: str, meta: str) -> None:
    mark = body[:3] if body[:1] == b"\xef" else body[:2] if body[:1] == b"\xff" else b""
    before, after = (
        f'<html><head><meta charset="{meta}"></head><body><p>' if meta else "<p>",
        "</p>",
    )
    wide = "utf-16-le" if mark == b"\xff\xfe" else "ascii"
    whole = mark + before.encode(wide) + body[len(mark) :] + after.encode(wide)
    http = f"HTTP/1.1 200 OK\r\nContent-Type: text/html{f'; charset={charset}' if charset else ''}\r\n\r\n"  # noqa: E501
    assert texts(read(Warc(), record(whole, http=http), "a.warc")) == [
        "Příliš žluťoučký kůň úpěl ďábelské ódy"
    ]


def test_encodings_of_http_are_undone() -> None:
    body = gzip.compress(page("Chunked"))
    chunked = b"%x\r\n" % len(body) + body + b"\r\n0\r\n\r\n"
    http = (
        "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Encoding: gzip\r\n"
        "Transfer-Encoding: chunked\r\n\r\n"
    )
    assert titles(record(chunked, http=http)) == ["Chunked"]
    broken = record(b"zz\r\n" + body, http=http)
    assert faults(read(Warc(), broken, "a.warc")) == [(1, 0, "not-a-record")]


ROWS = [record(page(f"Number{one}"), one) for one in range(4)]
SIZE = len(ROWS[0])
BROKEN = [
    (b"garbage\r\n\r\n", "not-a-record"),
    (ROWS[1].replace(b"WARC/1.0", b"WARC/9.9"), "not-a-record"),
    (ROWS[1].replace(b"Content-Length: ", b"Content-Length: -"), "not-a-record"),
    (ROWS[1].replace(b"Content-Length: ", b"Content-Length: 1"), "not-a-record"),
    (ROWS[1].replace(b"Content-Length: ", b"Content-Length: 99"), "cut"),
    (ROWS[1].replace(b"Content-Length: ", b"X-Length: "), "not-a-record"),
    (ROWS[1][:200], "not-a-record"),
    (ROWS[1][:-100] + b"\r\n", "not-a-record"),
    (ROWS[1].replace(b"WARC-Type", b"WARC-Truncated: length\r\nWARC-Type"), "cut"),
    (record(b"", 1), "text-missing"),
    (record(b"x", 1, http="nonsense\r\n\r\n"), "not-a-record"),
    (record(page("Long"), 1, head=f"WARC-Record-ID: {'x' * 600}\r\n").replace(
        b"WARC-Record-ID: <urn:uuid:1>\r\n", b""), "too-long"),
]  # fmt: skip


@pytest.mark.attacks("C115")
@pytest.mark.parametrize(("raw", "reason"), BROKEN)
def test_a_broken_record_is_named_and_the_reading_goes_on(raw: bytes, reason: str) -> None:
    found = read(Warc(), ROWS[0] + raw + ROWS[2] + ROWS[3], "a.warc")
    assert faults(found)[0] == (2, SIZE, reason)
    assert [text.split()[0] for text in texts(found)][-2:] == ["Number2", "Number3"]
    assert next(text.split()[0] for text in texts(found)) == "Number0"


def test_a_record_that_the_crawl_cut_is_read_if_the_recipe_wants_it() -> None:
    raw = ROWS[1].replace(b"WARC-Type", b"WARC-Truncated: length\r\nWARC-Type")
    assert len(texts(read(Warc(cut=True), raw, "a.warc"))) == 1


@pytest.mark.attacks("C115")
@pytest.mark.parametrize("cut", [1, 5, 100, SIZE - 20])
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_a_file_that_ends_too_early_says_so(cut: int, suffix: str) -> None:
    raw = packed(ROWS, suffix)
    last = len(packed(ROWS[3:], suffix))
    found = read(Warc(), raw[: -min(cut, last - 9)], "a.warc" + suffix)
    assert [text.split()[0] for text in texts(found)][:3] == ["Number0", "Number1", "Number2"]
    (fault,) = faults(found)
    assert fault[2] in ("cut", "truncated", "not-a-record")


def test_a_damaged_member_is_told() -> None:
    members = [gzip.compress(row, mtime=0) for row in ROWS]
    members[1] = members[1][:60] + bytes(40) + members[1][100:]
    found = read(Warc(), b"".join(members), "a.warc.gz")
    assert [text.split()[0] for text in texts(found)] == ["Number0"]
    assert [reason for *_, reason in faults(found)] == ["damaged"]


def test_a_record_of_gigabytes_takes_no_memory() -> None:
    head = record(b"", 1).replace(b"Content-Length: ", b"Content-Length: %d" % (160 * MIB))
    maker = zlib.compressobj(1, wbits=31)
    raw = maker.compress(ROWS[0] + head)
    raw += b"".join(maker.compress(bytes([65 + one % 26]) * MIB) for one in range(200))
    raw += maker.compress(ROWS[2]) + maker.flush()
    tracemalloc.start()
    found = read(Warc(), raw, "a.warc.gz")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert next(reason for *_, reason in faults(found)) in ("too-long", "bomb", "cut")
    assert peak < 2 * limits.CORPUS_LINE_BYTES_MAX


@settings(max_examples=60)
@given(st.binary(max_size=400), st.integers(0, SIZE), st.sampled_from(["", ".gz"]))
def test_no_bytes_make_it_fail(noise: bytes, place: int, suffix: str) -> None:
    raw = ROWS[0][:place] + noise + ROWS[0][place:] + ROWS[1]
    read(Warc(), raw if not suffix else gzip.compress(raw), "a.warc" + suffix)


@pytest.mark.parametrize(
    ("head", "meta", "reason"),
    [
        ("X-Robots-Tag: noai\r\n", "", "rights/tdm-reservation"),
        ("TDM-Reservation: 1\r\n", "", "rights/tdm-reservation"),
        ("", '<meta name="robots" content="noai">', "rights/tdm-reservation"),
        ("", '<meta name="TDM-Reservation" content="1">', "rights/tdm-reservation"),
        ("Content-Usage: train-ai=n\r\n", "", "rights/tdm-reservation"),
        ("X-Robots-Tag: index\r\n", "", ""),
    ],
)
def test_what_a_page_reserves_is_respected(head: str, meta: str, reason: str) -> None:
    http = f"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n{head}\r\n"
    (document,) = read(Warc(), record(page("Shop", meta), http=http), "a.warc")
    assert isinstance(document, Document)
    assert Rights(unknown="keep").given({}).apply(document).reason == reason
