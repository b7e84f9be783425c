# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The step `names`, from a recipe to the dataset's statement, by a list and by a program."""

import json
from pathlib import Path

import psutil
import pytest

from bastide.app.config import Home
from bastide.app.corpora import explain_document, show_dataset
from bastide.app.corpus_build import build_dataset
from bastide.app.corpus_estimate import plan_dataset
from bastide.core.errors import Misconfigured, NotFound, Refused
from contracts.test_span_finder import PROGRAM
from paths.corpus_rig import PERSONAL_DATA, copied, found_home, seeded, sentence, write_corpus
from paths.test_corpus import exported as exported_files
from paths.test_corpus import lines_of
from paths.test_sealed_at_rest import found_below

NAME, STREET = "Aino Kallasvuori", "Hämeentie 14"
STEP = """
[[steps]]
step = "names"
finder = "{finder}"
files = {files}
remove = ["address"]
"""
LISTED = STEP.format(finder="list:names.txt", files="[]")
ASKED = STEP.format(finder="program:find.py", files='["names.txt"]')


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return found_home(tmp_path_factory.mktemp("names"))


def made(folder: Path, step: str) -> Path:
    """The tiny corpus, in which two documents name a person and one a street."""
    recipe = write_corpus(folder, personal_data=PERSONAL_DATA + "\n" + step)
    path = folder / "letters" / "1.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    rows[0]["text"] += f" Ask {NAME} about it."
    rows[1]["text"] += f" {NAME.upper()} or {NAME}?"
    rows[1]["id"] = f"letter of {NAME}"
    rows[2]["text"] += f" It is in {STREET}."
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "names.txt").write_text(f"name\t{NAME}\nname\t{NAME.upper()}\naddress\t{STREET}\n")
    (folder / "find.py").write_text(PROGRAM)
    return recipe


@pytest.mark.parametrize(("step", "scheme"), [(LISTED, "list"), (ASKED, "program")])
def test_names_become_pseudonyms_and_the_statement_says_who_was_asked(
    empty: Home, tmp_path: Path, step: str, scheme: str
) -> None:
    rows = []
    for workers in (1, 2):
        home = copied(empty, tmp_path / f"home{workers}")
        recipe = made(tmp_path / f"corpus{workers}", step)
        with seeded(home) as env:
            rows.append(build_dataset(env, recipe, workers))
            shown = show_dataset(env, "tiny")
    assert rows[0].body["root"] == rows[1].body["root"]
    (asked,) = rows[1].body["asked"]
    assert (asked["scheme"], asked["kinds"]) == (scheme, ["address", "name"])
    assert {"name", "address"} < set(rows[1].body["personal_data"])
    (told,) = [one for one in shown["steps"] if one["step"] == "names"]
    assert (told["removed"], told["changed"]) == ({"names/address": 1}, 2)
    for canary in (NAME, NAME.upper(), STREET):
        assert not found_below(home.root, canary.encode())
    texts = {row["id"]: row["text"] for row in lines_of(exported_files(home, tmp_path / "out"))}
    first = texts["d10"].removeprefix(sentence(10)).split()[1]
    assert first.startswith("<NAME:")
    (second,) = [text for ident, text in texts.items() if ident == f"letter of {first}"]
    # One name, in whatever capitals, is one pseudonym.
    assert second.removeprefix(sentence(11)) == f" {first} or {first}?"
    with seeded(home) as env:
        assert explain_document(env, "tiny", f"letter of {first}")["notes"]["names/name"] == 2


def test_other_files_of_a_finder_are_another_dataset(empty: Home, tmp_path: Path) -> None:
    home = copied(empty, tmp_path / "home")
    recipe = made(tmp_path / "corpus", ASKED)
    digests = set()
    for more in ("", "name\tNobody Known\n"):
        with (tmp_path / "corpus" / "names.txt").open("a") as file:
            file.write(more)
        with seeded(home) as env:
            row = build_dataset(env, recipe, 1)
        digests.add((row.body["build"], row.body["asked"][0]["digest"]))
    assert len({build for build, _ in digests}) == len({digest for _, digest in digests}) == 2


@pytest.mark.attacks("C236")
@pytest.mark.parametrize(
    "source", ["raise SystemExit\n", PROGRAM.replace("found.span()", "-1, 5")], ids=["ends", "lies"]
)
def test_a_finder_that_fails_leaves_no_dataset(empty: Home, tmp_path: Path, source: str) -> None:
    home = copied(empty, tmp_path / "home")
    recipe = made(tmp_path / "corpus", ASKED)
    (tmp_path / "corpus" / "find.py").write_text(source)
    with seeded(home) as env:
        with pytest.raises(Refused, match=r"the finder find\.py failed") as caught:
            build_dataset(env, recipe, 2)
        assert env.ledger.find("dataset/v1") == []
    assert NAME not in repr(caught.value.reasons)
    assert not list(home.store.rglob("manifest*"))


def test_a_recipe_names_a_finder_that_is_there(empty: Home, tmp_path: Path) -> None:
    home = copied(empty, tmp_path / "home")
    for number, (step, error, told) in enumerate((
        (LISTED.replace("list:", "oracle:"), Misconfigured, "no finder 'oracle:names.txt'"),
        (LISTED.replace('"address"', '"nick"'), Misconfigured, "no kind 'nick'"),
        (LISTED.replace("names.txt", "none.txt"), NotFound, "none.txt, which is not there"),
        (STEP.format(finder="list:names.txt", files='["a"]'), Misconfigured, "reads no other"),
    )):  # fmt: skip
        with seeded(home) as env, pytest.raises(error, match=told):
            build_dataset(env, made(tmp_path / f"corpus{number}", step), 1)


def test_a_plan_leaves_no_finder_behind(empty: Home, tmp_path: Path) -> None:
    """Its sample is read in the process that asks for the plan, which may live on."""
    before = set(psutil.Process().children(recursive=True))
    with seeded(copied(empty, tmp_path / "home")) as env:
        row = plan_dataset(env, made(tmp_path / "corpus", ASKED), 1)
    assert row["sources"][0]["documents"] > 0
    left = set(psutil.Process().children(recursive=True)) - before
    assert not psutil.wait_procs(left, timeout=20)[1]
