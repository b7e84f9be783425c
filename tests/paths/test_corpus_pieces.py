# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""A large file that several workers share makes the dataset that one worker makes of it.

Broken once to prove the tests: with lines that are counted from each piece, and with all row groups
in each piece, they fail.
"""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bastide.app.config import Home
from bastide.app.corpora import export_dataset
from bastide.app.corpus_build import build_dataset
from bastide.app.corpus_files import InputFile
from bastide.app.corpus_pieces import hash_and_cut
from bastide.app.corpus_quarantine import quarantined
from bastide.core.errors import Refused
from paths.corpus_rig import RECIPE, copied, found_home, seeded, sentence

MARK = b"\xef\xbb\xbf"
PIECES = {"jsonl": 8, "parquet": 5}


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
    else:
        table = pa.table({"text": [None if at in (3, 180) else row for at, row in enumerate(rows)]})
        pq.write_table(table, folder / "letters" / "all.parquet", row_group_size=30)
    text = RECIPE.format(share=0.1, personal_data='[[steps]]\nstep = "personal-data"')
    text = text.replace("letters/*.jsonl", "letters/*").replace('"jsonl"', f'"{reader}"')
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
@pytest.mark.parametrize("reader", ["jsonl", "parquet"])
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
    packed = hash_and_cut(InputFile("a.jsonl.zst", str(path), len(raw)), "lines", piece_bytes)
    assert not packed.pieces
    assert packed.digest == file.digest
