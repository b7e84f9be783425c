# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""HPLT records, plain text and Parquet: what is kept, and what is broken."""

import gzip
import io
import json
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bastide.core import limits
from bastide.core.document import Document
from bastide.core.errors import Misconfigured
from bastide.readers.hplt import Hplt
from bastide.readers.jsonl import Jsonl
from bastide.readers.parquet import Parquet
from bastide.readers.plain_text import PlainText
from bastide.readers.reader import identify
from unit.reader_files import faults, read, texts

# HPLT


RECORD = {
    "f": "crawl.warc.gz",
    "o": 12,
    "s": 3,
    "rs": 40,
    "u": "https://a.example/",
    "c": "text/html",
    "ts": "2024-05-01T00:00:00Z",
    "collection": "cc40",
    "lang": ["ces_Latn", "slk_Latn"],
    "prob": [0.98, 0.01],
    "text": "Dobrý den.",
    "seg_langs": ["ces_Latn"],
    "id": "abc",
    "filter": "keep",
    "pii": [[0, 5]],
    "doc_scores": [8.4, 10],
    "robots": "allowed",
}


def test_an_hplt_record_keeps_its_signals() -> None:
    (found,) = read(Hplt(), json.dumps(RECORD).encode())
    assert isinstance(found, Document)
    assert (found.ident, found.url, found.text) == ("abc", "https://a.example/", "Dobrý den.")
    assert found.notes == {
        "hplt-language": "ces_Latn",
        "hplt-prob": 0.98,
        "hplt-score": 8.4,
        "hplt-filter": "keep",
        "hplt-robots": "allowed",
        "hplt-ts": "2024-05-01T00:00:00Z",
        "hplt-collection": "cc40",
        "hplt-pii": 1,
    }


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"lang": "ces_Latn"}, "wrong-type"),
        ({"prob": ["high"]}, "wrong-type"),
        ({"pii": [[5, 0]]}, "wrong-type"),
        ({"pii": [[1]]}, "wrong-type"),
        ({"robots": True}, "wrong-type"),
        ({"no-such-field": 1}, "wrong-type"),
        ({"id": "x" * 600}, "too-long"),
        ({"text": ""}, "text-missing"),
    ],
)
def test_an_hplt_record_of_another_shape_is_broken(change: dict[str, Any], reason: str) -> None:
    found = read(Hplt(), json.dumps({**RECORD, **change}).encode())
    assert faults(found) == [(1, 0, reason)]


# Plain text


def test_plain_text_is_one_document_or_its_parts() -> None:
    raw = b"one\ntwo\n\n \nthree\r\n"
    assert texts(read(PlainText(), raw, "a.txt")) == ["one\ntwo\n\n \nthree\r"]
    parts = read(PlainText(split="blank-line"), raw, "a.txt")
    assert texts(parts) == ["one\ntwo", "three\r"]
    assert len({one.ident for one in parts if isinstance(one, Document)}) == 2


def test_another_split_is_refused() -> None:
    with pytest.raises(Misconfigured):
        PlainText(split="page")  # type: ignore[arg-type]


def test_a_part_with_a_broken_line_is_given_up_as_a_whole() -> None:
    raw = b"one\nc\xe9\n\ntwo\n"
    found = read(PlainText(split="blank-line"), raw, "a.txt")
    assert faults(found) == [(2, 4, "not-utf-8")]
    assert texts(found) == ["two"]
    assert texts(read(PlainText(), raw, "a.txt")) == []
    assert faults(read(PlainText(), b"", "a.txt")) == [(0, 0, "text-missing")]
    assert faults(read(PlainText(), b"\n\n", "a.txt")) == [(1, 0, "text-missing")]
    cut = gzip.compress(b"word\n" * 5000)[:-9]
    assert texts(read(PlainText(), cut, "a.txt.gz")) == []


def test_a_text_that_is_too_long_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "CORPUS_TEXT_CHARS_MAX", 10)
    assert faults(read(PlainText(), b"x" * 6 + b"\n" + b"y" * 6, "a")) == [(1, 0, "too-long")]
    assert faults(read(Jsonl(), b'{"text": "%s"}' % (b"x" * 11))) == [(1, 0, "too-long")]


# Parquet


def table(columns: dict[str, Any], **options: Any) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink, **options)
    return sink.getvalue()


def test_parquet_gives_rows_over_groups_and_reads_only_its_columns() -> None:
    count = 1000
    raw = table(
        {
            "text": [f"text {number}" for number in range(count)],
            "id": [None if number % 2 else f"id{number}" for number in range(count)],
            "extra": [[number] for number in range(count)],
        },
        row_group_size=300,
    )
    found = read(Parquet(), raw, "a.parquet")
    assert texts(found) == [f"text {number}" for number in range(count)]
    assert isinstance(found[0], Document) and found[0].ident == "id0"
    assert isinstance(found[1], Document) and found[1].ident == identify("src", "a.parquet", 2)


def test_broken_rows_and_tables_say_so() -> None:
    found = read(Parquet(), table({"text": ["a", None, "", "b"], "id": [1, 2, 3, 4]}), "a")
    assert faults(found) == [(2, 0, "text-missing"), (3, 0, "text-missing")]
    assert [one.ident for one in found if isinstance(one, Document)] == ["1", "4"]
    assert faults(read(Parquet(), table({"body": ["a"]}), "a")) == [(0, 0, "column-missing")]
    assert faults(read(Parquet(), table({"text": [1]}), "a")) == [(0, 0, "wrong-type")]
    assert faults(read(Parquet(), b"no parquet", "a")) == [(0, 0, "damaged")]
    whole = table({"text": [f"text {number}" * 50 for number in range(5000)]}, compression="none")
    assert [reason for _, _, reason in faults(read(Parquet(), whole[: len(whole) // 2], "a"))] == [
        "damaged"
    ]
    not_utf8 = pa.Array.from_buffers(
        pa.string(), 1, [None, pa.py_buffer(b"\0\0\0\0\2\0\0\0"), pa.py_buffer(b"\xff\xfe")]
    )
    found = read(Parquet(), table({"text": not_utf8}), "a")
    assert [reason for _, _, reason in faults(found)] == ["not-utf-8"]


def test_a_row_group_beyond_the_limit_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "CORPUS_ROW_GROUP_BYTES_MAX", 100)
    assert faults(read(Parquet(), table({"text": ["x" * 500]}), "a")) == [(0, 0, "too-long")]
