# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""A large file that several workers share makes the dataset that one worker makes of it.

Broken once to prove the tests: with lines that are counted from each piece, with all row groups
in each piece, and with pieces of compressed files that begin where their frame does, they fail.
"""

import gzip
import hashlib
import json
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from bastide.adapters.entropy.seeded import SeededEntropy
from bastide.app import corpus_pieces, wiring
from bastide.app.config import Home
from bastide.app.corpora import export_dataset
from bastide.app.corpus_build import build_dataset
from bastide.app.corpus_estimate import plan_dataset
from bastide.app.corpus_files import InputFile, content_of
from bastide.app.corpus_pieces import HandOver, hash_and_cut
from bastide.app.corpus_plan import Part
from bastide.app.corpus_quarantine import quarantined
from bastide.core.errors import Refused
from paths.corpus_rig import RECIPE, copied, found_home, kill_build, seeded, sentence

MARK = b"\xef\xbb\xbf"
PIECES = {"jsonl": 8, "parquet": 5, "warc": 8, "plain-text": 8}
HEAD = "WARC/1.0\r\nWARC-Type: conversion\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n"


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return found_home(tmp_path_factory.mktemp("pieces"))


def write(folder: Path, reader: str, part_bytes: int) -> Path:
    """One file of 200 texts without names of their own, some broken; a name is where it stands."""
    (folder / "letters").mkdir(parents=True)
    rows = [sentence(number) + (" a@firma.eu" if number % 9 == 0 else "") for number in range(200)]
    rows[150] = rows[7]
    rows[151] = rows[8] + " ember"
    if reader == "jsonl":
        lines = [json.dumps({"text": text}).encode() for text in rows]
        lines[40] = b'{"text": "half'
        lines[170] = b""
        (folder / "letters" / "all.jsonl").write_bytes(MARK + b"\n".join(lines))
    elif reader == "warc":
        records = [HEAD.format(len(row) + 9 * (at == 40)).encode() + row.encode() + b"\r\n\r\n"
                   for at, row in enumerate(rows)]  # fmt: skip
        records[170] = records[170].replace(b"WARC/1.0", b"WARC/9.9")
        (folder / "letters" / "all.warc.gz").write_bytes(b"".join(map(gzip.compress, records)))
    elif reader == "plain-text":
        parts = [row.encode() for row in rows]
        parts[40] += b"\n\xff half"
        parts[170] = b"\xfe"
        (folder / "letters" / "all.txt").write_bytes(MARK + b"\n \n".join(parts))
    else:
        table = pa.table({"text": [None if at in (3, 180) else row for at, row in enumerate(rows)]})
        pq.write_table(table, folder / "letters" / "all.parquet", row_group_size=30)
    text = RECIPE.format(share=0.1, personal_data='[[steps]]\nstep = "personal-data"')
    text = text.replace("letters/*.jsonl", "letters/*").replace('"jsonl"', f'"{reader}"')
    if reader == "plain-text":
        text = text.replace('"plain-text"', '"plain-text"\nsettings = { split = "blank-line" }')
    text = text.replace("= 6000", f"= {part_bytes}").replace("= 9000", "= 9_000_000")
    recipe = folder / "tiny.toml"
    recipe.write_text(text)
    return recipe


def made(
    home: Home, recipe: Path, target: Path
) -> tuple[str, list[bytes], list[dict[str, Any]], int]:
    """Root, shards, broken places, and in how many parts the source was read."""
    with seeded(home) as env:
        row = build_dataset(env, recipe, 2)
        files = export_dataset(env, "tiny", target, "jsonl")
        parts = {name.split("/")[3] for name in env.store.names("corpora") if "/parts/" in name}
        broken = list(quarantined(env, "tiny"))
    shards = [path.read_bytes() for path in files if path.suffix == ".zst"]
    return row.body["root"], shards, broken, len(parts)


@pytest.mark.slow
@pytest.mark.parametrize("reader", sorted(PIECES))
def test_pieces_make_the_dataset_of_the_whole(empty: Home, tmp_path: Path, reader: str) -> None:
    found = []
    for part_bytes in (4_000, 4_000_000):
        folder = tmp_path / str(part_bytes)
        recipe = write(folder / "corpus", reader, part_bytes)
        found.append(made(copied(empty, folder / "home"), recipe, folder / "out"))
    cut, whole = found
    assert whole[3] == 1
    assert cut[3] >= PIECES[reader]
    assert cut[:3] == whole[:3]
    assert len(whole[2]) == 2


@pytest.mark.attacks("C132")
@pytest.mark.slow
def test_a_piece_that_changes_refuses(empty: Home, tmp_path: Path) -> None:
    recipe = write(tmp_path / "corpus", "jsonl", 4_000)
    path = recipe.parent / "letters" / "all.jsonl"

    def change(what: str, done: int, total: int) -> None:
        if what == "reading" and not done:
            raw = bytearray(path.read_bytes())
            raw[-20] ^= 1
            path.write_bytes(raw)

    with seeded(copied(empty, tmp_path / "home")) as env, pytest.raises(Refused, match="changed"):
        build_dataset(env, recipe, 1, change)


@pytest.mark.parametrize("piece_bytes", [64, 1_000, 300_000, 1_500_000])
def test_pieces_are_the_whole_file(tmp_path: Path, piece_bytes: int) -> None:
    path = tmp_path / "a.jsonl"
    raw = b"".join(b"x" * (at % 50) + b"\n" for at in range(90_000)) + b"no end"
    path.write_bytes(raw)
    file = hash_and_cut(InputFile("a.jsonl", str(path), len(raw)), "lines", piece_bytes)
    at = 0
    for one in file.pieces:
        assert one.piece is not None
        assert (one.piece.begin, one.piece.before) == (at, raw.count(b"\n", 0, at))
        at = one.piece.end
        assert one.size == at - one.piece.begin
        assert at == len(raw) or raw[at - 1] == 10
    assert at == len(raw)
    assert len(file.pieces) > 1
    # What is not what its name says is not cut: its reader says so.
    packed = hash_and_cut(InputFile("a.jsonl.zst", str(path), len(raw)), "lines", piece_bytes)
    assert not packed.pieces
    assert packed.digest == file.digest


# Compressed files


def blocks(raw: bytes, size: int) -> list[bytes]:
    return [raw[at : at + size] for at in range(0, len(raw), size)]


def seekable(raw: bytes) -> bytes:
    """Zstandard's seekable format: frames, and a table of them in a skippable frame."""
    frames = [zstandard.compress(block) for block in blocks(raw, 1_500)]
    table = b"".join(
        struct.pack("<II", len(frame), len(block))
        for frame, block in zip(frames, blocks(raw, 1_500), strict=True)
    )
    table += struct.pack("<IBI", len(frames), 0, 0x8F92EAB1)
    return b"".join(frames) + struct.pack("<II", 0x184D2A5E, len(table)) + table


def blocked_gzip(raw: bytes) -> bytes:
    """Members with bgzip's extra field, and its empty one at the end."""
    found = []
    for block in [*blocks(raw, 1_500), b""]:
        packer = zlib.compressobj(wbits=-15)
        data = packer.compress(block) + packer.flush()
        head = b"\x1f\x8b\x08\x04\0\0\0\0\0\xff\x06\0BC\x02\0" + struct.pack("<H", len(data) + 25)
        found.append(head + data + struct.pack("<II", zlib.crc32(block), len(block)))
    return b"".join(found)


PACKED: dict[str, tuple[str, Callable[[bytes], bytes], bool]] = {
    "seekable": (".zst", seekable, True),
    "bgzip": (".gz", blocked_gzip, True),
    "many members": (".gz", lambda raw: b"".join(map(gzip.compress, blocks(raw, 700))), True),
    "one frame": (".zst", lambda raw: zstandard.compress(raw), False),
    "one member": (".gz", gzip.compress, False),
    "two of unlike size": (
        ".zst", lambda raw: zstandard.compress(raw[:900]) + zstandard.compress(raw[900:]), False,
    ),
}  # fmt: skip


def pack(recipe: Path, kind: str) -> Path:
    path = recipe.parent / "letters" / "all.jsonl"
    ending, packed, _ = PACKED[kind]
    target = path.with_name(path.name + ending)
    target.write_bytes(packed(path.read_bytes()))
    path.unlink()
    return target


@pytest.mark.slow
@pytest.mark.parametrize("kind", sorted(PACKED))
def test_pieces_of_a_compressed_file_make_the_dataset_of_the_whole(
    empty: Home, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    handed: list[str] = []
    original = corpus_pieces.HandOver.done

    def done(self: Any, part: Any) -> None:
        handed.extend(file.held for file in part.files if file.held)
        original(self, part)

    monkeypatch.setattr(corpus_pieces.HandOver, "done", done)
    found = []
    for part_bytes in (2_000, 4_000_000):
        folder = tmp_path / str(part_bytes)
        recipe = write(folder / "corpus", "jsonl", part_bytes)
        pack(recipe, kind)
        home = copied(empty, folder / "home")
        found.append(made(home, recipe, folder / "out"))
        assert not list(home.store.glob("corpora/*/unpacked/*")), "a piece was left behind"
    cut, whole = found
    assert whole[3] == 1
    assert cut[3] >= PIECES["jsonl"]
    assert cut[:3] == whole[:3]
    assert bool(handed) is not PACKED[kind][2]
    assert len(handed) in (0, cut[3])


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["seekable", "one frame"])
def test_a_packed_piece_that_changes_refuses(empty: Home, tmp_path: Path, kind: str) -> None:
    recipe = write(tmp_path / "corpus", "jsonl", 2_000)
    path = pack(recipe, kind)
    other = PACKED[kind][1](write(tmp_path / "other", "jsonl", 2_000).parent.joinpath(
        "letters", "all.jsonl").read_bytes().replace(b"stone", b"sTone"))  # fmt: skip

    def change(what: str, done: int, total: int) -> None:
        if what == "reading" and not done:
            path.write_bytes(other)

    with seeded(copied(empty, tmp_path / "home")) as env, pytest.raises(Refused, match="changed"):
        build_dataset(env, recipe, 1, change)


def test_a_file_that_is_cut_off_is_read_by_one_worker_who_says_where(tmp_path: Path) -> None:
    recipe = write(tmp_path / "corpus", "jsonl", 2_000)
    path = pack(recipe, "one frame")
    raw = path.read_bytes()
    path.write_bytes(raw[: len(raw) // 2])
    file = hash_and_cut(InputFile(path.name, str(path), len(raw) // 2), "lines", 2_000)
    assert not file.pieces
    assert file.digest == hashlib.sha256(raw[: len(raw) // 2]).hexdigest()


@pytest.mark.slow
def test_a_kill_while_it_is_handed_over_changes_nothing(empty: Home, tmp_path: Path) -> None:
    recipe = write(tmp_path / "corpus", "jsonl", 2_000)
    pack(recipe, "one frame")
    whole = made(copied(empty, tmp_path / "whole"), recipe, tmp_path / "one")
    home = copied(empty, tmp_path / "home")
    kill_build(
        home, recipe, lambda line: line.startswith("reading ") and not line.startswith("reading 0/")
    )
    assert list(home.store.glob("corpora/*/parts/*/report*"))
    assert made(home, recipe, tmp_path / "two") == whole
    assert not list(home.store.glob("corpora/*/unpacked/*"))


@pytest.mark.parametrize("size", [300, 1_000, 40_000, 200_000])
@pytest.mark.parametrize("kind", sorted(PACKED))
def test_packed_pieces_are_the_whole_content(tmp_path: Path, kind: str, size: int) -> None:
    raw = b"".join(b"%d " % at * (at % 50) + b"\n" for at in range(3_000)) + b"no end"
    ending, packed, near = PACKED[kind]
    path = tmp_path / f"a.jsonl{ending}"
    path.write_bytes(packed(raw))
    store = wiring.open_scratch(SeededEntropy(b"pieces"))
    file = hash_and_cut(InputFile(path.name, str(path), path.stat().st_size), "lines", size)
    assert file.digest == hashlib.sha256(path.read_bytes()).hexdigest()
    assert file.size == path.stat().st_size
    if file.size <= size:
        assert not file.pieces
        return
    part = Part(3, "s", "jsonl", {}, list(file.pieces[1:]))
    over = HandOver(store, "c")
    (given,) = over.parts([part])
    at = file.pieces[0].piece.end if file.pieces[0].piece else 0
    for one in given.files:
        assert one.piece is not None
        assert (one.piece.begin, one.piece.before) == (at, raw.count(b"\n", 0, at))
        at = one.piece.end
        with content_of(store, one, "lines") as stream:
            data = b"".join(iter(lambda stream=stream: stream.read(999), b""))
        assert data == raw[one.piece.begin : at]
        assert one.digest == hashlib.sha256(data).hexdigest()
        assert bool(one.held) is (one.frame is None)
    assert at == len(raw)
    if near and size >= 1_500:
        assert all(one.frame for one in given.files)
    over.done(given)
    assert not store.names("c")


def test_the_plan_counts_the_parts_of_large_files(empty: Home, tmp_path: Path) -> None:
    with seeded(empty) as env:
        for number, kind in enumerate(("", "seekable", "parquet", "warc")):
            folder = tmp_path / str(number)
            recipe = write(folder, kind if kind in PIECES else "jsonl", 2_000)
            if kind == "seekable":
                pack(recipe, kind)
            parts = plan_dataset(env, recipe, 4)["parts"]
            home = copied(empty, tmp_path / f"home-{number}")
            built = made(home, recipe, tmp_path / f"out-{number}")[3]
            assert built > 4
            assert abs(parts - built) <= max(1, built // 3), (kind, parts, built)
