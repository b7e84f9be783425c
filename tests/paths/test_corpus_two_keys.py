# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Two datasets of one recipe whose pseudonyms have different keys keep the same documents.

Letters that differ in little but in whom they name: some are just about similar, fifty share a
band, some have the text of another, and the names of some are people's addresses. Broken once to
prove the tests: with signatures of the pseudonyms, with masked names as they are, and with
duplicates under the keys of the order, they fail.
"""

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bastide.adapters.entropy.seeded import SeededEntropy
from bastide.app.config import Home
from bastide.app.corpora import explain_document, show_dataset
from bastide.app.corpus_build import build_dataset
from bastide.app.environment import open_environment, read_passphrase
from paths.corpus_rig import RECIPE, WORDS, copied, found_home

STEPS = '[[steps]]\nstep = "personal-data"'
DRAWN = '\n[[steps]]\nstep = "budget"\nunit = "documents"\ntotal = 60\n'
LETTERS = 150

Pair = tuple[list[dict[str, Any]], list[dict[str, Any]]]


def letters() -> list[dict[str, str]]:
    chance = random.Random(5)
    rows = []
    for number in range(LETTERS):
        who = f"{chance.choice(WORDS)}{number % 90}@example.fi"
        head = " ".join(chance.choices(WORDS, k=chance.randint(2, 9)))
        body = (
            " ".join(chance.choices(WORDS, k=40)) if number % 3 else "to whom it may concern " * 4
        )
        text = f"{head}. Write to {who}, {body} or to {who} again. {head} or {who}"
        ident = who.replace("@", f".{number}@") if number % 4 == 0 else f"d{number}"
        rows.append({"id": ident, "text": text})
    for number in range(0, LETTERS, 12):
        rows[number + 1]["text"] = rows[number]["text"]
    return rows


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    (folder / "letters").mkdir()
    rows = letters()
    for number in range(6):
        lines = [json.dumps(row) for row in rows[number::6]]
        (folder / "letters" / f"{number}.jsonl").write_text("\n".join(lines) + "\n")
    text = RECIPE.format(share=0.0, personal_data=STEPS)
    (folder / "tiny.toml").write_text(text)
    (folder / "drawn.toml").write_text(text.replace('"tiny"', '"drawn"') + DRAWN)
    return folder / "tiny.toml"


@pytest.fixture(scope="module")
def homes(tmp_path_factory: pytest.TempPathFactory) -> list[Home]:
    home = found_home(tmp_path_factory.mktemp("first"))
    return [home, copied(home, tmp_path_factory.mktemp("second") / "home")]


def built(home: Home, recipe: Path, key: bytes) -> tuple[list[dict[str, Any]], str]:
    """The life of every letter, in their order, and the dataset's root."""
    with open_environment(home, read_passphrase(home)) as env:
        env = replace(env, entropy=SeededEntropy(key))
        build_dataset(env, recipe, 1)
        name = recipe.stem
        lives = [explain_document(env, name, row["id"]) for row in letters()]
        return lives, show_dataset(env, name)["root"]


@pytest.fixture(scope="module", params=["tiny", "drawn"])
def pair(request: pytest.FixtureRequest, homes: list[Home], recipe: Path) -> Pair:
    path = recipe.with_name(f"{request.param}.toml")
    first, second = (
        built(home, path, key) for home, key in zip(homes, (b"one", b"other"), strict=True)
    )
    assert first[1] != second[1]  # the texts have other pseudonyms
    return first[0], second[0]


def kept(lives: list[dict[str, Any]]) -> set[int]:
    return {number for number, one in enumerate(lives) if one["shard"]}


def groups(lives: list[dict[str, Any]]) -> dict[int, tuple[str, int]]:
    """By the number of a letter that went: why, and which one stands for it."""
    numbers = {one["key"]: number for number, one in enumerate(lives)}
    return {
        number: (one["removed"], numbers[one["instead"]])
        for number, one in enumerate(lives)
        if one["instead"]
    }


def test_the_same_documents_stay(pair: Pair) -> None:
    assert kept(pair[0]) == kept(pair[1])
    assert kept(pair[0])


def test_the_same_documents_stand_for_others(pair: Pair) -> None:
    first, second = groups(pair[0]), groups(pair[1])
    assert first == second
    assert {reason for reason, _ in first.values()} == {
        "exact-duplicate/equal",
        "near-duplicate/similar",
    }


def test_every_document_stays_or_has_a_reason(pair: Pair) -> None:
    """Also those whose names are masked: they are found under the keys of the dataset."""
    for lives in pair:
        assert all(bool(one["shard"]) != bool(one["removed"]) for one in lives)
        drawn = any("budget" in (one["removed"] or "") for one in lives)
        stay = kept(lives)
        if not drawn:
            assert {other for _, other in groups(lives).values()} <= stay
        assert len(stay) == 60 if drawn else len(stay) + len(groups(lives)) == LETTERS
