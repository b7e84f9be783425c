# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The forms of an export: an OpenEuroLLM collection that is checked and read back."""

import json
from pathlib import Path

import pytest
import zstandard

from bastide.app.config import Home
from bastide.app.corpora import export_dataset, show_dataset
from bastide.app.corpus_build import build_dataset
from bastide.app.corpus_check import check_collection
from bastide.app.corpus_export_forms import FORMS, TOKENIZED
from bastide.cli.corpus import export as export_command
from bastide.core.errors import Misconfigured, NotProven
from paths.corpus_rig import copied, found_home, seeded
from paths.test_corpus_megatron import made_tokenizer

SOURCE = """
[[sources]]
name = "{name}"
path = "{path}"
reader = "{reader}"
licence = "CC0-1.0"
basis = "own"
origin = "made by a test"
collected = 2026-11-26
"""
LANGUAGES = 'languages = ["ces_Latn", "eng_Latn"]\n'
CZECH = "Přístav u řeky byl tehdy plný lodí a kupci prodávali obilí i sůl, číslo {}."

ENGLISH = "The harbour by the river was full of ships then, and the merchants sold salt, number {}."


def written(folder: Path, path: str, reader: str, step: str) -> Path:
    """A recipe of two sources; `counts` is a name that the layout itself uses."""
    sources = [SOURCE.format(name=name, path=path.format(name), reader=reader)
               for name in ("letters", "counts")]  # fmt: skip
    names = (step, "personal-data", "language")
    steps = "".join(f'[[steps]]\nstep = "{one}"\n' for one in names) + LANGUAGES
    recipe = folder / f"{reader}.toml"
    limits = "[limits]\nshard_bytes = 4000\npart_bytes = 3000\n"
    recipe.write_text(f'name = "{reader}"\nseed = "1"\n{limits}{"".join(sources)}{steps}')
    return recipe


def write_texts(folder: Path) -> Path:
    for name in ("letters", "counts"):
        (folder / name).mkdir(parents=True)
        for part in range(2):
            rows = [
                {"id": f"d{number}", "url": f"https://{name}.example/{number}",
                 "text": f"{name}: {(CZECH if number % 3 else ENGLISH).format(number)}"}
                for number in range(part * 12, part * 12 + 12)
            ]  # fmt: skip
            lines = "".join(json.dumps(row) + "\n" for row in rows)
            (folder / name / f"{part}.jsonl").write_text(lines)
    return written(folder, "{}/*.jsonl", "jsonl", "normalise")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Home:
    folder = tmp_path_factory.mktemp("forms")
    home = found_home(folder)
    with seeded(home) as env:
        build_dataset(env, write_texts(folder / "corpus"), 1)
    return home


def test_a_collection_has_no_fault_and_reads_back_the_same(built: Home, tmp_path: Path) -> None:
    out = tmp_path / "again" / "out"
    with seeded(built) as env:
        files = export_dataset(env, "jsonl", out, "openeurollm")
        card = show_dataset(env, "jsonl")
        found = check_collection(out)
        again = written(out.parent, "out/jsonl-{}", "openeurollm", "openeurollm")
        second = build_dataset(env, again, 2)
        read = show_dataset(env, "openeurollm")
    assert found["faults"] == []
    assert found["datasets"] == 2
    # The root is over the key and the text of every document.
    assert second.body["root"] == card["root"]
    assert (read["documents"], read["languages"]) == (48, card["languages"])
    assert len(read["languages"]) > 1
    assert len(card["shards"]) > 1
    assert files[-1] == out / "dataset.json"
    assert {path for path in out.rglob("*") if path.is_file()} == set(files)
    counted = [json.loads(path.read_bytes()) for path in out.glob("*/counts/*/*.json")]
    assert sum(row["documents"] for row in counted) == 48
    weights = [line.split() for line in (out / "datamix.txt").read_text().splitlines()]
    assert sum(int(weight) for weight, _ in weights) == card["text_bytes"]
    rows = {}
    for path in out.glob("*/source/*/*.zst"):
        raw = zstandard.ZstdDecompressor().stream_reader(path.read_bytes()).read()
        for row in map(json.loads, raw.splitlines()):
            assert (path.parts[-2], path.parts[-4]) == (row["language"], f"jsonl-{row['source']}")
            rows[row["source"], row["id"]] = row
    assert rows["counts", "d1"]["url"] == "https://counts.example/1"


def test_a_folder_with_something_in_it_is_left_alone(built: Home, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    with seeded(built) as env, pytest.raises(Misconfigured, match="not empty"):
        export_dataset(env, "jsonl", tmp_path / "out", "openeurollm")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine.txt"]


@pytest.mark.attacks("C131")
@pytest.mark.parametrize("form", sorted(FORMS))
def test_a_shard_that_is_not_the_manifests_is_in_no_file(
    built: Home, tmp_path: Path, form: str
) -> None:
    path = made_tokenizer(tmp_path / "tokenizer.json") if form in TOKENIZED else None
    with seeded(copied(built, tmp_path / "home")) as env:
        card = show_dataset(env, "jsonl")
        first, second = (shard["object"] for shard in card["shards"][:2])
        with env.store.open(second) as reader:
            other = reader.read_at(0, reader.size)
        env.store.put(first, [other])
        with pytest.raises(NotProven, match=first):
            export_dataset(env, "jsonl", tmp_path / "out", form, tokenizer=path)
    assert not [path for path in (tmp_path / "out").rglob("*") if path.is_file()]


def test_the_command_offers_every_form() -> None:
    (form,) = [one for one in export_command.params if one.name == "form"]
    assert tuple(form.type.choices) == tuple(FORMS)  # type: ignore[attr-defined]
