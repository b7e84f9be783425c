# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The step `budget` in whole builds: tokens of a real tokenizer, any workers, a kill, the plan, the
card, and the mix of an export.

Broken once to prove the tests: with a tokenizer that truncates as its file asks, the build refuses.
"""

import json
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from bastide.app.config import Home
from bastide.app.corpora import explain_document, export_dataset, show_dataset
from bastide.app.corpus_build import build_dataset
from bastide.app.corpus_estimate import plan_dataset
from bastide.core.errors import Misconfigured, Refused
from paths.corpus_rig import copied, found_home, kill_build, seeded, write_corpus
from paths.test_corpus import exported, lines_of
from paths.test_corpus_cli import bastide
from paths.test_corpus_megatron import made_tokenizer

BUDGET = """
[[steps]]
step = "budget"
unit = "tokens"
tokenizer = ["tokenizer.json"]
"""
SECOND = """
[[sources]]
name = "notes"
path = "letters/5.jsonl"
reader = "jsonl"
licence = "CC0-1.0"
basis = "own"
origin = "made by a test"
collected = 2026-11-26

[[steps]]
step = "normalise"
"""


def corpus(folder: Path, settings: str) -> Path:
    recipe = write_corpus(folder / "corpus")
    (recipe.parent / "datamix.txt").write_text("3 letters\n1 notes  # a quarter\n")
    text = recipe.read_text().replace('"letters/*.jsonl"', '"letters/[0-4].jsonl"')
    text = text.replace('[[steps]]\nstep = "normalise"', SECOND, 1)
    recipe.write_text(text + BUDGET + settings)
    made_tokenizer(recipe.parent / "tokenizer.json")
    return recipe


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return found_home(tmp_path_factory.mktemp("budget"))


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return corpus(tmp_path_factory.mktemp("mixed"), 'mix = ["datamix.txt"]\ntotal = 3000\n')


@pytest.fixture(scope="module")
def built(empty: Home, recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> Home:
    home = copied(empty, tmp_path_factory.mktemp("built") / "home")
    with seeded(home) as env:
        build_dataset(env, recipe, 2)
    return home


def test_the_dataset_has_the_tokens_that_were_asked_for(
    built: Home, recipe: Path, tmp_path: Path
) -> None:
    lines = lines_of(exported(built, tmp_path / "out"))
    encoder = Tokenizer.from_file(str(recipe.parent / "tokenizer.json"))
    encoder.no_truncation()
    sizes: dict[str, int] = {}
    for line in lines:
        sizes[line["source"]] = sizes.get(line["source"], 0) + len(encoder.encode(line["text"]).ids)
    with seeded(built) as env:
        card = show_dataset(env, "tiny")
    assert [(row["name"], row["asked"]) for row in card["budgets"]] == [
        ("letters", 2250), ("notes", 750),
    ]  # fmt: skip
    assert {row["name"]: row["taken"] for row in card["budgets"] if row["name"]} == sizes
    assert all(0 < row["taken"] <= row["asked"] <= row["there"] for row in card["budgets"][:2])
    (step,) = [row for row in card["steps"] if row["step"] == "budget"]
    assert step["entered"] - sum(step["removed"].values()) == len(lines) == card["documents"]
    assert set(step["removed"]) == {"budget/source"}
    assert all(verdict["passed"] for verdict in card["verdicts"])


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 8])
def test_any_number_of_workers_makes_the_same_bytes(
    workers: int, empty: Home, built: Home, recipe: Path, tmp_path: Path
) -> None:
    home = copied(empty, tmp_path / "home")
    with seeded(home) as env:
        build_dataset(env, recipe, workers)
    assert exported(home, tmp_path / "one") == exported(built, tmp_path / "two")


@pytest.mark.slow
@pytest.mark.parametrize("point", ["reading 6", "looking for duplicates 1", "writing shards 1"])
def test_a_kill_changes_nothing(
    point: str, empty: Home, built: Home, recipe: Path, tmp_path: Path
) -> None:
    home = copied(empty, tmp_path / "home")
    kill_build(home, recipe, lambda line: line.startswith(point))
    with seeded(home) as env:
        build_dataset(env, recipe, 2)
    assert exported(home, tmp_path / "one") == exported(built, tmp_path / "two")


def test_a_document_without_room_says_so(built: Home, tmp_path: Path) -> None:
    left = {line["id"] for line in lines_of(exported(built, tmp_path / "out"))}
    names = [f"d{number}" for number in range(50) if f"d{number}" not in left]
    with seeded(built) as env:
        lives = {name: explain_document(env, "tiny", f"letters:{name}") for name in names}
    spent = [name for name, life in lives.items() if life["removed"] == "budget/source"]
    assert len(spent) > 10
    assert all(lives[name]["instead"] is None and lives[name]["shard"] is None for name in spent)
    shown = bastide(built, "explain", "tiny", "--doc", f"letters:{spent[0]}").stdout
    assert "removed: budget/source" in shown
    card = bastide(built, "show", "tiny").stdout
    assert "of 2250 tokens taken in" in card


def test_the_plan_says_what_would_be_taken_and_what_is_missing(
    empty: Home, recipe: Path, tmp_path: Path
) -> None:
    with seeded(empty) as env:
        size = env.ledger.size
        rows = plan_dataset(env, recipe, 1)["budgets"]
        assert env.ledger.size == size
    assert [(row["name"], row["taken"]) for row in rows] == [
        ("letters", 2250), ("notes", 750),
    ]  # fmt: skip
    assert all(row["there"] > row["asked"] for row in rows)
    shown = bastide(empty, "plan", str(recipe)).stdout
    assert "source letters: 2250 tokens asked for, about" in shown


def test_more_than_there_is_refuses_and_appends_nothing(empty: Home, tmp_path: Path) -> None:
    home = copied(empty, tmp_path / "home")
    recipe = corpus(tmp_path, 'sources = ["900000 letters", "10 notes"]\n')
    with seeded(home) as env:
        with pytest.raises(Refused, match="cannot be met") as caught:
            build_dataset(env, recipe, 1)
        assert not env.ledger.find("dataset/v1")
    reasons = caught.value.reasons
    assert reasons[0].startswith("source letters: 900000 tokens are asked for, ")
    assert reasons[1] == "source notes: the first document that is drawn is larger than 10"


def test_what_is_repeated_is_a_count_and_weighs_in_an_export(empty: Home, tmp_path: Path) -> None:
    home = copied(empty, tmp_path / "home")
    settings = 'sources = ["20000 letters", "700 notes"]\nshort = "repeat"\n'
    recipe = corpus(tmp_path, settings)
    with seeded(home) as env:
        build_dataset(env, recipe, 1)
        card = show_dataset(env, "tiny")
        letters, notes = card["budgets"]
        out = tmp_path / "out"
        export_dataset(env, "tiny", out, "openeurollm")
    assert letters["epochs_thousandths"] == 20_000 * 1000 // letters["taken"] > 1_000
    assert notes["epochs_thousandths"] == 1_000
    texts = [line["id"] for line in lines_of(exported(home, tmp_path / "lines"))
             if line["source"] == "letters"]  # fmt: skip
    assert len(texts) == len(set(texts)) == letters["documents"], "a text was copied"
    weights = dict(
        reversed(line.split()) for line in (out / "datamix.txt").read_text().splitlines()
    )
    size = json.loads((out / "tiny-letters/counts/und_Zyyy/source.json").read_bytes())["bytes"]
    assert (
        int(weights["tiny-letters/source/und_Zyyy"]) == size * letters["epochs_thousandths"] // 1000
    )


def test_it_stands_last_and_a_changed_tokenizer_is_another_build(
    built: Home, recipe: Path, tmp_path: Path
) -> None:
    other = corpus(tmp_path, 'mix = ["datamix.txt"]\ntotal = 3000\n')
    made_tokenizer(other.parent / "tokenizer.json", padded=3)
    home = copied(built, tmp_path / "home")
    with seeded(home) as env:
        rows = env.ledger.find("dataset/v1")
        build_dataset(env, other, 1)
        both = env.ledger.find("dataset/v1")
        assert len(both) == len(rows) + 1
        assert len({row.body["build"] for row in both}) == len(both)
        text = other.read_text()
        other.write_text(text + '\n[[steps]]\nstep = "near-duplicate"\n')
        with pytest.raises(Misconfigured):
            build_dataset(env, other, 1)
