# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""A corpus becomes a dataset: the same one however it is built, sealed, proven, or nothing at all.

Broken once to prove the tests: without the check of a file's digest, with an error that quotes the
text, with workers that outlive their parent, with the largest key of a group, without the limit of
broken places, and without the judgement before the first byte, they fail.
"""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bastide.app import corpus_build, corpus_part, corpus_pool
from bastide.app.config import Home
from bastide.app.corpora import (
    explain_document,
    export_dataset,
    prove_document,
    show_dataset,
)
from bastide.app.corpus_build import build_dataset, folder_of
from bastide.app.corpus_files import hash_file
from bastide.app.corpus_part import Workbench, read_part
from bastide.app.corpus_plan import InputFile, Part
from bastide.core.dataset import document_key
from bastide.core.errors import NotProven, Refused
from bastide.core.evidence import Evidence
from bastide.core.recipe import Step
from bastide.crypto.sorted_tree import Proof, verify_absent, verify_present
from paths.corpus_rig import (
    CANARY,
    PLANTED,
    copied,
    found_home,
    kill_build,
    seeded,
    sentence,
    write_corpus,
)
from paths.test_sealed_at_rest import found_below


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return found_home(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("letters") / "corpus")


@pytest.fixture(scope="module")
def built(empty: Home, recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> Home:
    home = copied(empty, tmp_path_factory.mktemp("built") / "home")
    build(home, recipe, 2)
    return home


def build(home: Home, recipe: Path, workers: int) -> Evidence:
    with seeded(home) as env:
        return build_dataset(env, recipe, workers)


def exported(home: Home, target: Path, form: str = "jsonl") -> dict[str, bytes]:
    with seeded(home) as env:
        return {path.name: path.read_bytes() for path in export_dataset(env, "tiny", target, form)}


def lines_of(files: dict[str, bytes]) -> list[dict[str, Any]]:
    import zstandard

    shards = [data for name, data in sorted(files.items()) if name.endswith(".zst")]
    texts = [zstandard.ZstdDecompressor().decompressobj().decompress(data) for data in shards]
    return [json.loads(line) for text in texts for line in text.splitlines()]


@pytest.mark.attacks("C99")
@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 8])
def test_any_number_of_workers_makes_the_same_bytes(
    workers: int, empty: Home, built: Home, recipe: Path, tmp_path: Path
) -> None:
    home = copied(empty, tmp_path / "home")
    build(home, recipe, workers)
    files = exported(home, tmp_path / "one")
    assert len(files) > 3
    assert files == exported(built, tmp_path / "two")


@pytest.mark.slow
@pytest.mark.parametrize("unit", [3, 200])
def test_any_limit_of_memory_makes_the_same_bytes(
    unit: int,
    empty: Home,
    built: Home,
    recipe: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A sort holds 6 rows, or 400, of the 900 that the bands have."""
    monkeypatch.setattr(corpus_build, "bytes_of", lambda mib: mib * unit)
    home = copied(empty, tmp_path / "home")
    build(home, recipe, 2)
    assert exported(home, tmp_path / "one") == exported(built, tmp_path / "two")
    folder = next((home.store / "corpora").iterdir())
    assert not list(folder.glob("merge/*")), "what was sorted is left behind"


@pytest.mark.attacks("C99")
@pytest.mark.slow
@pytest.mark.parametrize("point", ["hashing the sources", "reading 0", "reading 6", "reading 18995",
                                   "looking for duplicates 1", "writing shards 1"])  # fmt: skip
def test_a_kill_at_any_point_changes_nothing(
    point: str, empty: Home, built: Home, recipe: Path, tmp_path: Path
) -> None:
    home = copied(empty, tmp_path / "home")
    kill_build(home, recipe, lambda line: line.startswith(point))
    assert build(home, recipe, 2).body["documents"] == 57
    assert exported(home, tmp_path / "one") == exported(built, tmp_path / "two")


def test_what_is_finished_is_not_done_again(built: Home, recipe: Path) -> None:
    seen: list[str] = []
    with seeded(built) as env:
        size = env.ledger.size
        row = build_dataset(env, recipe, 1, lambda what, done, total: seen.append(what))
        assert env.ledger.size == size
    assert row.body["documents"] == 57
    assert set(seen) == {"hashing the sources"}


def test_what_a_kill_at_the_very_end_left_goes_with_the_next_build(
    built: Home, recipe: Path, tmp_path: Path
) -> None:
    """The dataset stands, and what only the build needed is still there."""
    with seeded(copied(built, tmp_path / "home")) as env:
        names = env.store.names("corpora")
        folder = folder_of(env.ledger.find("dataset/v1")[-1].body["build"])
        for left in ("parts/000000/documents-0", "batches/000000/leaves-0", "merge/near-0", "gone"):
            env.store.put(f"{folder}/{left}", [b"left"])
        build_dataset(env, recipe, 1)
        assert env.store.names("corpora") == names


def test_every_document_is_accounted_for(built: Home) -> None:
    with seeded(built) as env:
        card = show_dataset(env, "tiny", examples=True)
    removed = {reason: count for step in card["steps"] for reason, count in step["removed"].items()}
    assert removed == {
        "length/too-few-characters": 1,
        "exact-duplicate/equal": 1,
        "near-duplicate/similar": 1,
    }
    assert card["broken"] == {"not-json": 1}
    (source,) = card["sources"]
    assert (source["read"], source["broken"], source["kept"], source["files"]) == (60, 1, 57, 6)
    assert {example["reason"] for example in card["examples"]} == set(removed)
    assert all(verdict["passed"] for verdict in card["verdicts"])


def test_of_duplicates_the_smallest_key_stays(built: Home, tmp_path: Path) -> None:
    left = {line["id"] for line in lines_of(exported(built, tmp_path / "out"))}
    for pair in (("d7", "d50"), ("d8", "d41")):
        stays, goes = sorted(pair, key=lambda ident: document_key("letters", ident))
        assert stays in left
        assert goes not in left


def test_the_life_of_a_document(built: Home) -> None:
    with seeded(built) as env:
        short = explain_document(env, "tiny", "d20")
        masked = explain_document(env, "tiny", "letters:d3")
        goes = max(("d7", "d50"), key=lambda ident: document_key("letters", ident))
        double = explain_document(env, "tiny", goes)
    assert short["removed"] == "length/too-few-characters"
    assert [step["step"] for step in short["steps"]] == ["normalise", "length"]
    assert short["shard"] is None
    assert masked["removed"] is None
    assert masked["notes"]["personal-data/email"] == 1
    assert masked["shard"]["line"] >= 1
    assert double["removed"] == "exact-duplicate/equal"
    assert double["instead"] == min(document_key("letters", one) for one in ("d7", "d50")).hex()


@pytest.mark.attacks("C98")
def test_personal_data_and_texts_are_nowhere_on_the_disk(
    empty: Home, recipe: Path, tmp_path: Path
) -> None:
    home = copied(empty, tmp_path / "home")
    build(home, recipe, 2)
    for value in (*PLANTED, CANARY):
        assert found_below(home.root, value.encode()) == []
    files = exported(home, tmp_path / "out")
    texts = {line["id"]: line["text"] for line in lines_of(files)}
    assert CANARY in texts["d4"]
    assert not [value for value in PLANTED for text in texts.values() if value in text]
    assert "<EMAIL:" in texts["d3"]
    assert "<IBAN:" in texts["d3"]


@pytest.mark.attacks("C98")
def test_the_ledger_names_no_file_and_no_document(built: Home) -> None:
    with seeded(built) as env:
        (row,) = env.ledger.find("dataset/v1")
        stated = json.dumps(row.statement.to_json())
    assert "jsonl" not in stated
    assert '"d3"' not in stated


def test_a_document_is_proven_to_be_there_or_not(built: Home, tmp_path: Path) -> None:
    texts = {line["id"]: line["text"] for line in lines_of(exported(built, tmp_path / "out"))}
    with seeded(built) as env:
        there, gone = prove_document(env, "tiny", "d3"), prove_document(env, "tiny", "d20")
        root = bytes.fromhex(env.ledger.find("dataset/v1")[-1].body["root"])
    assert there["present"]
    assert not gone["present"]
    proof = msgspec.convert(there["proofs"][0]["proof"], Proof)
    leaf = document_key("letters", "d3") + hashlib.sha256(texts["d3"].encode()).digest()
    verify_present(proof, leaf, root)
    with pytest.raises(NotProven):
        verify_present(proof, leaf[:-1] + bytes([leaf[-1] ^ 1]), root)
    absence = msgspec.convert(gone["proofs"][0]["proof"], Proof)
    verify_absent(absence, document_key("letters", "d20"), root)
    with pytest.raises(NotProven):
        verify_absent(absence, document_key("letters", "d3"), root)


def test_public_tools_open_an_export(built: Home, tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    lines = lines_of(exported(built, tmp_path / "jsonl"))
    exported(built, tmp_path / "parquet", "parquet")
    rows = [
        row
        for path in sorted((tmp_path / "parquet").glob("*.parquet"))
        for row in pq.read_table(path).to_pylist()
    ]
    assert [(row["id"], row["text"]) for row in rows] == [(row["id"], row["text"]) for row in lines]
    assert len(rows) == 57


# Fail closed


def refused(home: Home, recipe: Path, match: str) -> Refused:
    with seeded(home) as env:
        with pytest.raises(Refused, match=match) as caught:
            build_dataset(env, recipe, 1)
        assert env.ledger.find("dataset/v1") == []
    return caught.value


def test_more_broken_places_than_the_recipe_allows(empty: Home, tmp_path: Path) -> None:
    home = copied(empty, tmp_path / "home")
    recipe = write_corpus(tmp_path / "corpus", share=0.01)
    error = refused(home, recipe, "1 of 61 places could not be read")
    (reason,) = error.reasons
    assert reason.startswith("letters/2.jsonl: line 5, byte ")
    assert "half" not in str(reason)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (
            ('licence = "CC0-1.0"', 'licence = "CC0-9.9"'),
            "licence-basis: source letters: the licence",
        ),
        (('[[steps]]\nstep = "personal-data"', ""), "personal-data: no step looked for"),
        (('step = "personal-data"', 'step = "personal-data"\nmask = ["email"]'), "iban was not"),
    ],
)
def test_what_the_recipe_lacks_is_refused_before_a_byte_is_read(
    change: tuple[str, str], reason: str, empty: Home, tmp_path: Path
) -> None:
    home = copied(empty, tmp_path / "home")
    recipe = write_corpus(tmp_path / "corpus")
    recipe.write_text(recipe.read_text().replace(*change))
    error = refused(home, recipe, "may not be built")
    assert any(reason in one for one in error.reasons)
    assert not (home.store / "corpora").exists()


def test_two_documents_of_one_name(empty: Home, tmp_path: Path) -> None:
    home = copied(empty, tmp_path / "home")
    recipe = write_corpus(tmp_path / "corpus")
    extra = json.dumps({"id": "d1", "text": sentence(99)})
    (recipe.parent / "letters" / "9.jsonl").write_text(extra + "\n")
    refused(home, recipe, "the same name")


@pytest.fixture
def bench(empty: Home, tmp_path: Path) -> Iterator[tuple[Workbench, Part]]:
    home = copied(empty, tmp_path / "home")
    path = tmp_path / "one.jsonl"
    path.write_text(json.dumps({"id": "d1", "text": CANARY}) + "\n")
    file = hash_file(InputFile("one.jsonl", str(path), path.stat().st_size))
    with seeded(home) as env:
        exits = tuple(env.ledger.charter().body["exit_recipients"])
        bench = Workbench(
            str(home.store),
            env.keyring.identities(),
            exits,
            folder_of("a" * 64),
            (Step("length"),),
            bytes(32),
        )
    yield bench, Part(0, "letters", "jsonl", {}, [file])


@pytest.mark.attacks("C99")
def test_an_error_in_a_step_names_the_document_and_never_its_text(
    bench: tuple[Workbench, Part], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(filters: Any, document: Any, watch: Any) -> Any:
        watch(0, document)
        raise ValueError(document.text)

    monkeypatch.setattr(corpus_part, "run_filters", fails)
    ok, told = corpus_pool._do(bench[0], (read_part, bench[1], ()))
    assert not ok
    assert told[2] == ("length: ValueError at document d1",)
    assert CANARY not in repr(told)
    assert not list(Path(bench[0].store).rglob("report.header"))


def test_a_file_that_changed_since_it_was_hashed(bench: tuple[Workbench, Part]) -> None:
    (file,) = bench[1].files
    Path(file.path).write_text(json.dumps({"id": "d1", "text": "another"}) + "\n")
    with pytest.raises(Refused, match="changed while it was read"):
        read_part(*bench)


def test_an_unexpected_error_of_a_worker_is_told_without_its_text(
    bench: tuple[Workbench, Part], monkeypatch: pytest.MonkeyPatch
) -> None:

    def fails(one: Workbench, part: Part) -> None:
        raise RuntimeError(CANARY)

    ok, told = corpus_pool._do(bench[0], (fails, bench[1], ()))
    assert not ok
    assert "RuntimeError" in told[1]
    assert CANARY not in repr(told)
