# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Readers give every document, name every broken place, and stay small before hostile files."""

import gzip
import json
import tracemalloc
import zlib
from collections.abc import Iterator
from typing import Any

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from bastide.core import limits
from bastide.core.document import Document
from bastide.readers.catalogue import READERS
from bastide.readers.jsonl import Jsonl
from bastide.readers.lines import lines
from bastide.readers.reader import Broken, identify
from unit.reader_files import Made, faults, packed, read, texts

MIB = 1 << 20

MIB = 1 << 20


# JSON Lines


BROKEN_LINES = [
    (b'{"text": "caf\xe9"}', "not-utf-8"),
    (b'{"text": "a"', "not-json"),
    (b"nonsense", "not-json"),
    (b"\0" * 40, "not-json"),
    (b'{"text": "a\0b"}', "not-json"),
    (b'{"text": "a", "n": NaN}', "not-json"),
    (b'{"text": "a", "n": ' + b"9" * 5000 + b"}", "not-json"),
    (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "not-json"),
    (b'["text"]', "not-an-object"),
    (b'"text"', "not-an-object"),
    (b'{"text": "a", "text": "b"}', "duplicate-key"),
    (b'{"text": "a", "n": {"k": 1, "k": 1}}', "duplicate-key"),
    (b'{"txt": "a"}', "text-missing"),
    (b'{"text": null}', "text-missing"),
    (b'{"text": ""}', "text-missing"),
    (b'{"text": 5}', "wrong-type"),
    (b'{"text": ["a"]}', "wrong-type"),
    (b'{"text": "a", "id": {}}', "wrong-type"),
    (b'{"text": "a", "url": 7}', "wrong-type"),
    (b'{"text": "a", "id": "' + b"x" * 513 + b'"}', "too-long"),
    (b'{"text": "half \\ud800 pair"}', "surrogate"),
    (b'{"text": "a", "id": "\\uDFFF"}', "surrogate"),
    (b"", "blank"),
    (b" \t ", "blank"),
]


@pytest.mark.parametrize(("raw", "reason"), BROKEN_LINES)
@pytest.mark.parametrize("suffix", ["", ".gz", ".zst"])
def test_a_broken_line_names_its_place_and_the_reading_goes_on(
    raw: bytes, reason: str, suffix: str
) -> None:
    good = b'{"text": "good", "id": "1", "url": "u"}\n'
    whole = good + raw + b"\n" + good
    found = read(Jsonl(), packed(whole, suffix), "a.jsonl" + suffix)
    assert faults(found) == [(2, len(good), reason)]
    assert texts(found) == ["good", "good"]


def test_fields_are_settings_and_a_name_is_made_where_there_is_none() -> None:
    raw = b'{"body": "b", "key": 7, "link": "https://a.example/"}\r\n{"body": "c"}'
    found = read(Jsonl(text="body", id="key", url="link"), raw)
    assert found == [
        Document(ident="7", text="b", source="src", url="https://a.example/"),
        Document(ident=identify("src", "a.jsonl", 2), text="c", source="src"),
    ]


def test_a_byte_order_mark_and_carriage_returns_are_no_fault() -> None:
    raw = b'\xef\xbb\xbf{"text": "a"}\r\n{"text": "b"}\r\n'
    assert texts(read(Jsonl(), raw)) == ["a", "b"]
    assert texts(read(Jsonl(), gzip.compress(raw), "a.gz")) == ["a", "b"]


def test_a_broken_place_never_quotes_the_text() -> None:
    for raw, _ in BROKEN_LINES:
        for one in read(Jsonl(), raw.replace(b'"a"', b'"secret"') + b"\n"):
            assert isinstance(one, Broken)
            assert "secret" not in repr(one)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner),
    max_leaves=5,
)
records = st.dictionaries(st.text(max_size=5), json_values, max_size=3)


@given(
    st.lists(st.tuples(st.text(min_size=1), records), max_size=8),
    st.sampled_from(["", ".gz", ".zst"]),
)
def test_every_sound_record_is_read(rows: list[tuple[str, dict[str, Any]]], suffix: str) -> None:
    raw = b"".join(
        json.dumps({**more, "id": "i", "url": "u", "text": text}, ensure_ascii=False).encode()
        + b"\n"
        for text, more in rows
    )
    found = read(Jsonl(), packed(raw, suffix), "x" + suffix)
    assert texts(found) == [text for text, _ in rows]
    assert not faults(found)


@given(
    st.binary(max_size=300), st.sampled_from(sorted(READERS)), st.sampled_from(["", ".gz", ".zst"])
)
def test_no_bytes_make_a_reader_fail(raw: bytes, ident: str, suffix: str) -> None:
    for begin in (b"", b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd", b"PAR1"):
        read(READERS[ident](), begin + raw, "x" + suffix)


@given(
    st.lists(st.binary(max_size=20).filter(lambda raw: b"\n" not in raw), min_size=1),
    st.integers(1, 7),
)
def test_lines_are_the_same_however_the_bytes_come(rows: list[bytes], size: int) -> None:
    raw = b"\n".join(rows)
    pieces = (raw[at : at + size] for at in range(0, len(raw), size))
    found = list(lines(Made(pieces), "x"))  # type: ignore[arg-type]
    raw = raw.removeprefix(b"\xef\xbb\xbf")
    split = raw.split(b"\n")
    split = split[:-1] if not split[-1] else split
    assert [line[2] for line in found if not isinstance(line, Broken)] == split
    marked = len(b"\n".join(rows)) - len(raw)
    for line in found:
        assert not isinstance(line, Broken)
        assert b"\n".join(rows)[line[1] + marked :].startswith(line[2])


# Hostile files


def test_a_line_of_two_gigabytes_takes_no_memory() -> None:
    def pieces() -> Iterator[bytes]:
        yield b'{"text": "first"}\n{"text": "'
        for number in range(2048):
            yield bytes([97 + number % 26]) * MIB  # a new one each time, as from a disk
        yield b'"}\n{"text": "last"}\n'

    tracemalloc.start()
    found = read(Jsonl(), Made(pieces()))  # type: ignore[arg-type]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert texts(found) == ["first", "last"]
    assert faults(found) == [(2, 18, "too-long")]
    assert peak < 2 * limits.CORPUS_LINE_BYTES_MAX


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
@pytest.mark.parametrize("cut", [1, 3, 10, 1000])
def test_a_truncated_file_says_so_and_gives_what_was_whole(suffix: str, cut: int) -> None:
    raw = b"".join(b'{"text": "%d"}\n' % number for number in range(20_000))
    found = read(Jsonl(), packed(raw, suffix)[:-cut], "a" + suffix)
    *documents, last = found
    assert isinstance(last, Broken)
    assert last.reason == "truncated"
    assert texts(documents) == [str(number) for number in range(len(documents))]
    assert last.line == len(documents) + 1


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_several_members_are_one_file(suffix: str) -> None:
    raw = packed(b'{"text": "a"}\n{"te', suffix) + packed(b'xt": "b"}\n', suffix)
    assert texts(read(Jsonl(), raw, "a" + suffix)) == ["a", "b"]
    skippable = b"\x50\x2a\x4d\x18\x04\0\0\0abcd" if suffix == ".zst" else b""
    assert texts(read(Jsonl(), skippable + raw, "a" + suffix)) == ["a", "b"]


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_damage_garbage_and_false_names_are_told_apart(suffix: str) -> None:
    whole = packed(b'{"text": "a"}\n' * 3000, suffix)
    assert faults(read(Jsonl(), b'{"text": "a"}\n', "a" + suffix)) == [(1, 0, "not-compressed")]
    found = read(Jsonl(), whole + b"garbage", "a" + suffix)
    assert len(texts(found)) == 3000
    assert [reason for _, _, reason in faults(found)] == ["damaged"]
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 0x55
    kinds = {
        one.reason for one in read(Jsonl(), bytes(flipped), "a" + suffix) if isinstance(one, Broken)
    }
    assert kinds & {
        "damaged",
        "truncated",
        "not-json",
        "not-utf-8",
        "duplicate-key",
        "text-missing",
    }


def bomb(suffix: str) -> bytes:
    if suffix == ".gz":
        maker: Any = zlib.compressobj(6, wbits=31)
        body = b"".join(maker.compress(b"\0" * MIB) for _ in range(160))
        return body + maker.flush()
    maker = zstandard.ZstdCompressor(level=3).compressobj()
    return b"".join(maker.compress(b"\0" * MIB) for _ in range(160)) + maker.flush()


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_a_bomb_is_given_up_early_and_takes_no_memory(suffix: str) -> None:
    raw = bomb(suffix)
    assert len(raw) < 2 * MIB
    tracemalloc.start()
    found = read(Jsonl(), raw, "a" + suffix)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert faults(found) == [(1, 0, "bomb")]
    assert peak < 100 * MIB


def test_a_window_that_would_take_gigabytes_is_refused() -> None:
    parameters = zstandard.ZstdCompressionParameters(window_log=30, enable_ldm=True)
    maker = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    raw = maker.compress(b'{"text": "a"}\n') + maker.flush()
    assert faults(read(Jsonl(), raw, "a.zst")) == [(1, 0, "damaged")]
