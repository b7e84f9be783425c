# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""`bastide corpus pack`: what it packs, read back by other readers; killed, damaged, erased."""

import os
import signal
import struct
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from tokenizers import Tokenizer

from bastide.app.config import Home
from bastide.app.corpora import show_dataset
from bastide.app.corpus_build import build_dataset, folder_of
from bastide.app.corpus_erase import erase_subject
from bastide.app.corpus_pack import pack_dataset, packing_folder
from bastide.app.corpus_pack_work import PIECE, object_name
from bastide.app.corpus_packings import PACKED_FORMS, export_packing, list_packings, show_packing
from bastide.core.errors import Misconfigured, NotFound, NotProven, Refused, Unavailable
from bastide.core.evidence import Evidence
from bastide.crypto.merkle import leaf_hash, root
from contracts.s3_server import running_server
from paths.corpus_rig import CANARY, found_home, seeded, write_corpus
from paths.demo import Demo
from paths.erase_rig import PERSON, write_person
from paths.test_collection_build import exported
from paths.test_corpus_cli import bastide
from paths.test_corpus_megatron import END, made_tokenizer, sequences
from paths.test_object_store import in_bucket

LENGTH = 64


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Home, Path]:
    folder = tmp_path_factory.mktemp("packing")
    home = found_home(folder)
    recipe = write_corpus(folder / "corpus")
    recipe.write_text(recipe.read_text().replace('name = "tiny"', 'name = "mix"'))
    with seeded(home) as env:
        build_dataset(env, recipe, 1)
    return home, made_tokenizer(folder / "tokenizer.json")


def pack(built: tuple[Home, Path], **more: object) -> Evidence:
    home, tokenizer = built
    with seeded(home) as env:
        given = {"length": LENGTH, **more}
        return pack_dataset(env, "mix", tokenizer, END, **given)  # type: ignore[arg-type]


def unpacked(rows: list[list[int]], pieces: list[tuple[int, int, int, int]]) -> dict[int, list]:
    """Documents of one shard from its sequences and pieces."""
    found: dict[int, list[tuple[int, list[int]]]] = {}
    at = dict.fromkeys(range(len(rows)), 0)
    for sequence, document, offset, length in pieces:
        start = at[sequence]
        found.setdefault(document, []).append((offset, rows[sequence][start : start + length]))
        at[sequence] += length
    return {
        document: [token for _, tokens in sorted(parts) for token in tokens]
        for document, parts in found.items()
    }


@pytest.mark.parametrize("method", ["best-fit", "concat"])
def test_every_text_comes_back_from_the_export(
    built: tuple[Home, Path], tmp_path: Path, method: str
) -> None:
    home, path = built
    row = pack(built, method=method)
    with seeded(home) as env:
        files = export_packing(env, str(row.subject.digest), tmp_path / "out", "megatron")
        export_packing(env, str(row.subject.digest), tmp_path / "pq", "parquet")
        card = show_dataset(env, "mix")
    tokenizer = Tokenizer.from_file(str(path))
    end = tokenizer.token_to_id(END)
    texts, used = [], 0
    for index in sorted((tmp_path / "out").glob("*.idx")):
        rows = list(sequences(index.with_suffix("")))
        assert all(len(tokens) == LENGTH for tokens in rows)
        table = pq.read_table(index.with_suffix(".pieces.parquet"))
        pieces = [tuple(one.values()) for one in table.to_pylist()]
        documents = unpacked(rows, pieces)
        assert list(documents) and sorted(documents) == list(range(len(documents)))
        for number in sorted(documents):
            tokens = documents[number]
            assert tokens[-1] == end and end not in tokens[:-1]
            texts.append(tokenizer.decode(tokens[:-1], skip_special_tokens=False))
            used += len(tokens)
        # What no piece covers is filled up with the end token.
        for sequence, row_tokens in enumerate(rows):
            covered = sum(length for one, _, _, length in pieces if one == sequence)
            assert set(row_tokens[covered:]) <= {end}
        other = pq.read_table(tmp_path / "pq" / f"{index.stem}.parquet")["input_ids"]
        assert other.to_pylist() == rows
    assert texts == list(exported(home, tmp_path / "jsonl").values())
    body = row.body
    assert (body["documents"], body["tokens"]) == (card["documents"], used)
    assert body["sequences"] * LENGTH == body["tokens"] + body["padding"]
    assert sum(body["languages"].values()) == used
    assert {file.suffix for file in files} == {".bin", ".idx", ".parquet", ".json"}


def test_the_root_is_that_of_the_sequences_and_their_pieces(built: tuple[Home, Path]) -> None:
    home, _ = built
    row = pack(built)
    leaves = []
    with seeded(home) as env:
        dataset = env.ledger.find("dataset/v1")[-1]
        folder = packing_folder(dataset, row.body["folder"])
        for number in range(row.body["shards"]):
            with env.store.open(object_name(folder, number, "sequences")) as reader:
                data = reader.read_at(0, reader.size)
            with env.store.open(object_name(folder, number, "pieces")) as reader:
                pieces = reader.read_at(0, reader.size)
            told: dict[int, bytes] = {}
            for at in range(0, len(pieces), PIECE.size):
                sequence = PIECE.unpack_from(pieces, at)[0]
                told[sequence] = told.get(sequence, b"") + pieces[at : at + PIECE.size]
            width = 2 * LENGTH
            leaves += [
                leaf_hash(data[number * width : (number + 1) * width] + told[number])
                for number in range(len(data) // width)
            ]
    assert root(leaves).hex() == row.body["root"]


def test_any_number_of_workers_makes_the_same_packing(
    built: tuple[Home, Path], tmp_path: Path
) -> None:
    first = pack(built)
    home = found_home(tmp_path)
    recipe = write_corpus(tmp_path / "corpus")
    recipe.write_text(recipe.read_text().replace('name = "tiny"', 'name = "mix"'))
    with seeded(home) as env:
        build_dataset(env, recipe, 2)
        again = pack_dataset(env, "mix", built[1], END, LENGTH, workers=2)
    assert again.subject == first.subject
    assert pack(built).entry == first.entry, "the same again is the one that exists"


def test_nothing_of_it_is_in_clear_on_the_disk(built: tuple[Home, Path]) -> None:
    pack(built)
    home, path = built
    tokenizer = Tokenizer.from_file(str(path))
    found = tokenizer.encode(CANARY, add_special_tokens=False).ids[:6]
    planted = struct.pack(f"<{len(found)}H", *found)
    for file in home.root.rglob("*"):
        if file.is_file():
            data = file.read_bytes()
            assert planted not in data and CANARY.encode() not in data, file


def test_a_damaged_object_is_made_again_and_never_exported(
    built: tuple[Home, Path], tmp_path: Path
) -> None:
    home, _ = built
    row = pack(built)
    with seeded(home) as env:
        dataset = env.ledger.find("dataset/v1")[-1]
        folder = packing_folder(dataset, row.body["folder"])
        name = object_name(folder, 0, "sequences")
        (body,) = (home.store / Path(name).parent).glob("sequences.*.body")
        data = bytearray(body.read_bytes())
        data[len(data) // 2] ^= 1
        body.write_bytes(data)
        with pytest.raises(NotProven):
            export_packing(env, str(row.subject.digest), tmp_path / "out", "megatron")
        assert not list((tmp_path / "out").glob("*-00000.idx"))
    assert pack(built).entry == row.entry
    with seeded(home) as env:
        export_packing(env, str(row.subject.digest), tmp_path / "out", "megatron")


@pytest.mark.parametrize("part", ["header", "body"])
def test_a_damaged_report_of_a_shard_has_it_packed_again(
    built: tuple[Home, Path], part: str
) -> None:
    home, _ = built
    row = pack(built)
    with seeded(home) as env:
        folder = packing_folder(env.ledger.find("dataset/v1")[-1], row.body["folder"])
    name = Path(object_name(folder, 0, "report"))
    (file,) = (home.store / name.parent).glob(f"report.*{part}")
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    assert pack(built).entry == row.entry
    with seeded(home) as env, env.store.open(str(name)) as reader:
        assert reader.read_at(0, reader.size)


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_another_packing_takes_no_file_of_the_first_over(
    built: tuple[Home, Path], tmp_path: Path
) -> None:
    home, _ = built
    with seeded(home) as env:
        for method in ("best-fit", "concat"):
            digest = str(pack(built, method=method).subject.digest)
            for target in ("both", method):
                export_packing(env, digest, tmp_path / target, "numpy")
    assert content(tmp_path / "both") == content(tmp_path / "concat")
    assert content(tmp_path / "both") != content(tmp_path / "best-fit")


def test_an_export_to_a_bucket_is_what_it_is_on_a_disk(
    built: tuple[Home, Path], tmp_path: Path
) -> None:
    digest = str(pack(built).subject.digest)
    other = str(pack(built, method="concat").subject.digest)
    with running_server() as server:
        home, bucket = in_bucket(server, built[0], tmp_path, store=False)
        client = server.client()

        def there(prefix: str) -> dict[str, bytes]:
            return {
                key.rpartition("/")[2]: client.get_object(Bucket=bucket, Key=key)["Body"].read()
                for key in server.keys(bucket)
                if key.startswith(prefix + "/")
            }

        def kill(what: str, done: int, total: int) -> None:
            if done == 1 and server.process is not None:
                server.kill()

        with seeded(home) as env:
            for form in PACKED_FORMS:
                export_packing(env, digest, tmp_path / form, form)
                export_packing(env, digest, f"s3://{bucket}/{form}", form)
                assert there(form) == content(tmp_path / form)
            with pytest.raises(Unavailable):
                export_packing(env, digest, f"s3://{bucket}/cut", "numpy", kill)
            server.start()
            before = client.head_object(Bucket=bucket, Key="cut/mix-00000.npy")["LastModified"]
            assert "packing.json" not in there("cut")
            done = bastide(home, "export-packing", digest, "--to", f"s3://{bucket}/cut", "--form",
                           "numpy")  # fmt: skip
            assert done.returncode == 0, done.stderr
            assert there("cut") == content(tmp_path / "numpy")
            after = client.head_object(Bucket=bucket, Key="cut/mix-00000.npy")["LastModified"]
            assert after == before  # it was there already
            export_packing(env, other, f"s3://{bucket}/cut", "numpy")
            assert there("cut") != content(tmp_path / "numpy")


def test_killed_it_goes_on(tmp_path: Path, built: tuple[Home, Path]) -> None:
    home = found_home(tmp_path)
    recipe = write_corpus(tmp_path / "corpus")
    recipe.write_text(recipe.read_text().replace('name = "tiny"', 'name = "mix"'))
    with seeded(home) as env:
        build_dataset(env, recipe, 1)
        folder = home.store / folder_of(env.ledger.find("dataset/v1")[-1].body["build"])
    demo = Demo(home.root)
    asked = (
        "corpus", "pack", "mix", "--tokenizer", str(built[1]), "--end-token", END,
        "--length", str(LENGTH), "--workers", "1",
    )  # fmt: skip
    process = demo.popen(*asked)
    deadline = time.monotonic() + 60
    while not list(folder.glob("packings/*/000000/report.header")):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.002)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait(10)
    kept = next(folder.glob("packings/*/000000/sequences.header")).stat().st_mtime_ns
    done = demo.run(*asked, "--json").stdout.splitlines()
    assert '"packed"' in done[-1]
    assert next(folder.glob("packings/*/000000/sequences.header")).stat().st_mtime_ns == kept
    with seeded(home) as env:
        found = show_packing(env, "mix")
    assert found["root"] == pack(built).body["root"]


def test_bad_settings_are_named(built: tuple[Home, Path], tmp_path: Path) -> None:
    home, path = built
    with seeded(home) as env:
        for changed, named in (
            ({"length": 15}, "--length"),
            ({"method": "worst-fit"}, "method"),
            ({"end_token": ""}, "token between"),
            ({"end_token": "<nothing>"}, "<nothing>"),
        ):
            given = {"tokenizer": path, "end_token": END, "length": LENGTH, **changed}
            with pytest.raises(Misconfigured, match=named):
                pack_dataset(env, "mix", **given)  # type: ignore[arg-type]
        with pytest.raises(NotFound):
            export_packing(env, "nothing", tmp_path / "x", "megatron")
        assert all(not row["gone"] for row in list_packings(env))


def test_an_erasure_takes_the_packing_with_it(built: tuple[Home, Path], tmp_path: Path) -> None:
    home, recipe = found_home(tmp_path), write_person(tmp_path / "corpus")
    with seeded(home) as env:
        build_dataset(env, recipe, 1)
        row = pack_dataset(env, "tiny", built[1], END, LENGTH)
        erase_subject(env, PERSON, 1)
        assert not [name for name in env.store.names("corpora") if "/packings/" in name]
        assert [listed["gone"] for listed in list_packings(env)] == [True]
        with pytest.raises(Refused):
            export_packing(env, str(row.subject.digest), tmp_path / "out", "megatron")
        again = pack_dataset(env, "tiny", built[1], END, LENGTH)
        assert again.body["dataset"] != row.body["dataset"]
        assert again.body["documents"] < row.body["documents"]
