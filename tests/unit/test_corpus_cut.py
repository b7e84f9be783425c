# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Pieces of a crawl, of paragraphs and of lines are read as the whole file is, whatever is broken
in it, however its bytes come, and wherever its frames begin.

Broken once to prove the tests: with cuts within what a damaged record claims to be, with records
that are counted from each piece, and with cuts behind any line of a text, they fail.
"""

import gzip
import hashlib
import io
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bastide.adapters.entropy.seeded import SeededEntropy
from bastide.app import wiring
from bastide.app.corpus_cut import CUTS, Cutter
from bastide.app.corpus_files import InputFile, content_of, read_file
from bastide.app.corpus_pieces import HandOver, hash_and_cut
from bastide.app.corpus_plan import Part, make_reader
from bastide.core import limits
from bastide.readers import warc

NAMES = {"warc": "a.warc", "plain-text": "a.txt", "jsonl": "a.jsonl"}
SETTINGS: dict[str, dict[str, Any]] = {"plain-text": {"split": "blank-line"}}


def record(number: int, claim: int = 0, kind: str = "conversion") -> bytes:
    """A record of plain text. claim: by how much its length is a false one."""
    body = b"page %d " % number * (1 + number % 9)
    head = (
        f"WARC/1.1\r\nWARC-Type: {kind}\r\nWARC-Record-ID: <urn:uuid:{number}>\r\n"
        f"Content-Type: text/plain\r\nContent-Length: {len(body) + claim}\r\n\r\n"
    )
    return head.encode() + body + b"\r\n\r\n"


RECORDS = st.one_of(
    st.integers(0, 99).map(record),
    st.builds(record, st.integers(0, 99), st.sampled_from([-9, 3, 60, 300, 900, 1 << 40])),
    st.just(record(1, kind="metadata")),
    st.sampled_from([b"WARC/1.0\r\n", b"WARC/1.0\r\nno end", b"noise ", b"\r\n\r\n", b"\r\n"]),
)
PARAGRAPHS = st.sampled_from(
    [b"a line\n", b"\n", b" \t\r\n", b"\xff no text\n", b"other words ", b" " * 1_200 + b"\n",
     b"\xef\xbb\xbf", "smörgåsbord\n".encode(), b"\x0b\n"]
)  # fmt: skip
LINES = st.sampled_from([b'{"text": "some words"}\n', b"\n", b'{"text": "half\n', b"\xff\n", b"x"])
CONTENT = {"warc": RECORDS, "plain-text": PARAGRAPHS, "jsonl": LINES}


def read(reader: str, stream: Any, file: InputFile) -> list[Any]:
    made = make_reader(reader, SETTINGS.get(reader, {}))
    return list(read_file(made, stream, "src", file, b""))


def in_pieces(reader: str, path: Path, raw: bytes, piece_bytes: int) -> tuple[list[Any], InputFile]:
    path.write_bytes(raw)
    kind = make_reader(reader, SETTINGS.get(reader, {})).pieces
    file = hash_and_cut(InputFile(path.name, str(path), len(raw)), kind, piece_bytes)
    assert file.digest == hashlib.sha256(raw).hexdigest()
    store = wiring.open_scratch(SeededEntropy(b"cut"))
    over = HandOver(store, "c")
    found = []
    given = over.parts([Part(0, "src", reader, {}, list(file.pieces or [file]))])
    for one in next(iter(given)).files:
        with content_of(store, one, kind) as stream:
            found += read(reader, stream, one)
    return found, file


@pytest.mark.parametrize("reader", sorted(CONTENT))
@settings(max_examples=60)
@given(data=st.data(), size=st.sampled_from([1, 40, 300, 1_000]), frame=st.integers(1, 900))
def test_pieces_are_read_as_the_whole(
    reader: str, tmp_path_factory: pytest.TempPathFactory, data: Any, size: int, frame: int
) -> None:
    raw = b"".join(data.draw(st.lists(CONTENT[reader], max_size=40)))
    folder = tmp_path_factory.getbasetemp()
    whole = read(reader, io.BytesIO(raw), InputFile(NAMES[reader], "", 0))
    assert in_pieces(reader, folder / NAMES[reader], raw, size)[0] == whole
    members = b"".join(gzip.compress(raw[at : at + frame]) for at in range(0, len(raw), frame))
    name = NAMES[reader] + ".gz"
    packed = [*read(reader, io.BytesIO(members), InputFile(name, "", 0))]
    assert in_pieces(reader, folder / name, members, size)[0] == packed


@settings(max_examples=50)
@given(st.lists(RECORDS, max_size=30), st.integers(1, 700), st.sampled_from([40, 300]))
@example([record(1), record(2, 900), record(3), record(4), record(5)], 64, 40)
def test_a_cut_does_not_depend_on_how_bytes_come(rows: list[bytes], step: int, size: int) -> None:
    raw = b"".join(rows)
    for kind in CUTS:
        found = []
        for length in (step, 1 << 20):
            cutter = Cutter(InputFile("a", "a", len(raw)), size)
            CUTS[kind](iter([raw[at : at + length] for at in range(0, len(raw), length)]), cutter)
            found.append(cutter.close())
        assert found[0] == found[1]


def test_a_paragraph_of_several_lines_is_never_cut(tmp_path: Path) -> None:
    raw = b"a line\nand one\nmore\n\nother\nwords\n" * 9
    whole = read("plain-text", io.BytesIO(raw), InputFile("a.txt", "", 0))
    for size in (5, 20, 60):
        assert in_pieces("plain-text", tmp_path / "a.txt", raw, size)[0] == whole


def test_each_kind_is_cut_about_where_it_was_asked(tmp_path: Path) -> None:
    made = {
        "warc": b"".join(record(number) for number in range(200)),
        "plain-text": b"".join(b"words of %d\nand more\n\n" % number for number in range(900)),
        "jsonl": b"".join(b'{"text": "words of %d"}\n' % number for number in range(900)),
    }
    for reader, raw in made.items():
        file = in_pieces(reader, tmp_path / NAMES[reader], raw, 2_000)[1]
        assert len(raw) // 2_300 <= len(file.pieces) <= len(raw) // 2_000 + 1, reader


def test_members_of_a_crawl_are_what_its_pieces_are_read_from(tmp_path: Path) -> None:
    """As crawls are written: one member of gzip for each record. None is handed over."""
    raw = b"".join(gzip.compress(record(number)) for number in range(300))
    _, file = in_pieces("warc", tmp_path / "a.warc.gz", raw, 3_000)
    assert len(file.pieces) > 10
    for one in file.pieces:
        assert one.frame is not None
        assert one.piece is not None
        assert one.frame[1] == one.piece.begin


def test_a_text_that_is_one_document_is_not_cut(tmp_path: Path) -> None:
    assert make_reader("plain-text", {}).pieces == ""
    path = tmp_path / "a.txt"
    path.write_bytes(b"one\n\n" * 500)
    assert not hash_and_cut(InputFile("a.txt", str(path), 2_500), "", 100).pieces


def test_a_head_that_is_too_long_is_refused_however_it_comes() -> None:
    raw = b"WARC/1.0\r\nX: " + b"x" * 70_000 + b"\r\nContent-Length: 0\r\n\r\n\r\n\r\n" + record(1)
    for length in (1_000, 1 << 20):
        chunks = iter([raw[at : at + length] for at in range(0, len(raw), length)])
        rows = list(warc._records(warc._Buffer(chunks), 0))
        assert [getattr(row, "reason", "sound") for row in rows] == ["not-a-record", "sound"]


def test_a_record_beyond_the_limit_may_end_a_piece(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "CORPUS_LINE_BYTES_MAX", 60)
    raw = b"".join(record(number) for number in range(60))
    path = tmp_path / "a.warc"
    whole = read("warc", io.BytesIO(raw), InputFile("a.warc", "", 0))
    found, file = in_pieces("warc", path, raw, 500)
    assert found == whole
    assert len({type(one) for one in whole}) == 2
    assert len(file.pieces) > 10
