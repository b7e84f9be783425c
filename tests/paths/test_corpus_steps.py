# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Decontamination, rights, secrets, masked names, the quarantine, and the key of pseudonyms, in
whole builds.

Broken once to prove the tests: with names that are not masked, with a key that stays, and with a
step's file that is not part of the build's name, they fail.
"""

import gzip
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from bastide.app.config import Home
from bastide.app.corpora import explain_document, export_dataset, prove_document, show_dataset
from bastide.app.corpus_build import build_dataset, folder_of
from bastide.app.corpus_objects import read_object
from bastide.app.corpus_pseudonyms import end_pseudonym_key
from bastide.app.corpus_quarantine import quarantined
from bastide.core.errors import NotAllowed, NotFound, Refused
from bastide.core.evidence import Evidence
from bastide.core.party import Party, Principal
from bastide.filters.pseudonym import pseudonym
from bastide.suites import FOUNDATION
from paths.corpus_rig import copied, found_home, seeded, sentence
from paths.test_corpus import lines_of
from paths.test_corpus_cli import bastide
from paths.test_sealed_at_rest import found_below
from unit.test_detectors import github

PERSON = "anna.virtanen@example.fi"
QUESTION = max((item.prompt for item in FOUNDATION.items), key=len)
OWN = "A train leaves Kuopio at nine and drives north for three hours at eighty kilometres an hour"

RECIPE = """
name = "tiny"
seed = "1"

[limits]
quarantine_share = 0.2
part_bytes = 900

[[sources]]
name = "web"
path = "web/*.jsonl"
reader = "jsonl"
licence = "CC-BY-4.0"
basis = "text-and-data-mining"
origin = "made by a test"
collected = 2026-11-26
settings = { notes = "licence robots tdm-reservation author" }

[[steps]]
step = "rights"
records = ["sites.jsonl"]
blocked = ["blocked.txt"]
agents = ["GPTBot", "CCBot"]
licences = ["CC-BY-4.0", "CC0-1.0"]

[[steps]]
step = "decontaminate"
files = ["own.jsonl"]

[[steps]]
step = "secrets"
remove = ["private-key"]

[[steps]]
step = "personal-data"
"""

ROWS: list[dict[str, Any]] = [
    {"id": "plain", "text": sentence(1), "url": "https://good.test/a"},
    {"id": "blocked", "text": sentence(2), "url": "https://www.bad.test/a"},
    {"id": "private", "text": sentence(3), "url": "https://good.test/private/a"},
    {"id": "silent", "text": sentence(4), "url": "https://silent.test/"},
    {"id": "nobody", "text": sentence(5), "url": "https://nobody.test/"},
    {"id": "reserved", "text": sentence(6), "url": "https://good.test/b", "tdm-reservation": 1},
    {"id": "said", "text": sentence(7), "url": "https://nobody.test/", "robots": "allowed"},
    {"id": "closed", "text": sentence(8), "url": "https://good.test/c", "licence": "CC-BY-NC-4.0"},
    {"id": "asked", "text": f"{sentence(9)} {QUESTION}", "url": "https://good.test/d"},
    {"id": "own", "text": f"{sentence(10)} {OWN}.", "url": "https://good.test/e"},
    {"id": "token", "text": f"{sentence(11)} {github()}", "url": "https://good.test/f"},
    {"id": "pem", "text": f"{sentence(12)} -----BEGIN PRIVATE KEY-----\nMC4C\n-----END PRIVATE KEY"
                          "-----", "url": "https://good.test/g"},
    {"id": f"mail/{PERSON}", "text": f"{sentence(13)} Write to {PERSON}.",
     "url": "https://good.test/h", "author": PERSON},
]  # fmt: skip
REASONS = {
    "rights/blocked-domain": 1,
    "rights/licence": 1,
    "rights/robots": 2,
    "rights/tdm-reservation": 1,
    "rights/unknown": 1,
    "decontaminate/foundation": 1,
    "decontaminate/own": 1,
    "secrets/private-key": 1,
}


def write_corpus(folder: Path) -> Path:
    (folder / "web").mkdir(parents=True)
    for number, row in enumerate(ROWS):
        (folder / "web" / f"{number:02}.jsonl").write_text(json.dumps(row) + "\n")
    site = {"fetched": "2026-11-20", "status": 200}
    sites = [
        {**site, "origin": "https://good.test", "body": "user-agent: GPTBot\ndisallow: /private/"},
        {**site, "origin": "https://www.bad.test", "body": ""},
        {**site, "origin": "https://silent.test", "status": 0},
    ]
    (folder / "sites.jsonl").write_text("\n".join(map(json.dumps, sites)))
    (folder / "blocked.txt").write_text("bad.test\n")
    (folder / "own.jsonl").write_text(json.dumps({"prompt": OWN}))
    (folder / "tiny.toml").write_text(RECIPE)
    return folder / "tiny.toml"


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return found_home(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("web") / "corpus")


@pytest.fixture(scope="module")
def built(empty: Home, recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> Home:
    home = copied(empty, tmp_path_factory.mktemp("built") / "home")
    build(home, recipe, 2)
    return home


def build(home: Home, recipe: Path, workers: int) -> Evidence:
    with seeded(home) as env:
        return build_dataset(env, recipe, workers)


def exported(home: Home, target: Path) -> list[dict[str, Any]]:
    with seeded(home) as env:
        paths = export_dataset(env, "tiny", target, "jsonl")
    return lines_of({path.name: path.read_bytes() for path in paths})


def test_every_removal_has_its_reason(built: Home) -> None:
    with seeded(built) as env:
        card = show_dataset(env, "tiny")
        (row,) = env.ledger.find("dataset/v1")
    removed = {reason: count for step in card["steps"] for reason, count in step["removed"].items()}
    assert removed == REASONS
    assert card["documents"] == len(ROWS) - sum(REASONS.values())
    searched = {one["suite"]: one["ngram"] for one in row.body["decontaminated"]}
    assert searched == {"foundation": 13, "similarity": 13, "own": 13}
    assert all(one.keys() == {"suite", "digest", "ngram"} for one in row.body["decontaminated"])


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 8])
def test_any_number_of_workers_makes_the_same(
    workers: int, empty: Home, built: Home, recipe: Path, tmp_path: Path
) -> None:
    home = copied(empty, tmp_path / "home")
    row = build(home, recipe, workers)
    with seeded(built) as env:
        (known,) = env.ledger.find("dataset/v1")
    assert row.subject == known.subject
    assert exported(home, tmp_path / "one") == exported(built, tmp_path / "two")


@pytest.mark.parametrize("file", ["sites.jsonl", "blocked.txt", "own.jsonl"])
def test_another_file_is_another_build(file: str, built: Home, tmp_path: Path) -> None:
    home = copied(built, tmp_path / "home")
    recipe = write_corpus(tmp_path / "corpus")
    with (recipe.parent / file).open("a") as stream:
        stream.write("\n")
    build(home, recipe, 1)
    with seeded(home) as env:
        first, second = env.ledger.find("dataset/v1")
    assert first.body["build"] != second.body["build"]


def test_a_file_that_is_not_there_or_changed(empty: Home, tmp_path: Path) -> None:
    home = copied(empty, tmp_path / "home")
    recipe = write_corpus(tmp_path / "corpus")

    def change(what: str, done: int, total: int) -> None:
        (recipe.parent / "blocked.txt").write_text("")

    with seeded(home) as env, pytest.raises(Refused, match=r"blocked\.txt changed"):
        build_dataset(env, recipe, 1, change)
    (recipe.parent / "blocked.txt").unlink()
    with seeded(home) as env, pytest.raises(NotFound, match=r"blocked\.txt, which is not there"):
        build_dataset(env, recipe, 1)


# No secret and no name in clear


@pytest.mark.attacks("C116")
def test_names_and_notes_are_masked_as_the_text_is(built: Home, tmp_path: Path) -> None:
    lines = {line["id"]: line for line in exported(built, tmp_path / "out")}
    (ident,) = [one for one in lines if one.startswith("mail/")]
    mark = ident.removeprefix("mail/")
    assert mark.startswith("<EMAIL:")
    assert f"Write to {mark}." in lines[ident]["text"]  # one person, one pseudonym
    assert lines[ident]["notes"]["author"] == mark
    assert PERSON not in json.dumps(list(lines.values()))
    with seeded(built) as env:
        life = explain_document(env, "tiny", ident)
        assert life["shard"] is not None
        assert PERSON not in json.dumps(life)
        # Who may, and has the key, asks by either name.
        assert explain_document(env, "tiny", f"mail/{PERSON}") == life
        for name in (ident, f"mail/{PERSON}", f"web:mail/{PERSON}"):
            assert prove_document(env, "tiny", name)["present"]
        assert not prove_document(env, "tiny", "mail/otto@example.fi")["present"]
        reader = replace(env, principal=Principal("guardian", frozenset({Party.GUARDIAN})))
        assert prove_document(reader, "tiny", ident)["present"]
        with pytest.raises(NotAllowed):
            prove_document(reader, "tiny", f"mail/{PERSON}")


@pytest.mark.attacks("C116")
def test_no_secret_is_on_the_disk_or_in_an_example(built: Home, tmp_path: Path) -> None:
    for value in (github(), PERSON, "BEGIN PRIVATE KEY"):
        assert found_below(built.root, value.encode()) == []
    with seeded(built) as env:
        card = json.dumps(show_dataset(env, "tiny", examples=True))
    lines = json.dumps(exported(built, tmp_path / "out"))
    for value in (github(), PERSON, "BEGIN PRIVATE KEY"):
        assert value not in card + lines
    assert "<GITHUB-TOKEN:" in lines


# The key of the pseudonyms


@pytest.mark.attacks("C117")
def test_the_key_is_kept_over_a_stop_and_can_be_destroyed(
    empty: Home, recipe: Path, tmp_path: Path
) -> None:
    home = copied(empty, tmp_path / "home")

    class Stop(Exception):
        pass

    def stop(what: str, done: int, total: int) -> None:
        if what == "reading" and done:
            raise Stop

    with seeded(home) as env, pytest.raises(Stop):
        build_dataset(env, recipe, 1, stop)
    (header,) = home.store.glob("corpora/*/key.*header*")
    before = header.read_bytes()
    row = build(home, recipe, 1)
    assert header.read_bytes() == before
    marks = [line["id"] for line in exported(home, tmp_path / "one") if "<EMAIL:" in line["id"]]
    with seeded(home) as env:
        key = read_object(env.store, f"{folder_of(row.body['build'])}/key")
        assert marks == [f"mail/{pseudonym(key, 'email', PERSON)}"]
        ended = end_pseudonym_key(env, "tiny")
        size = env.ledger.size
        assert end_pseudonym_key(env, "tiny").entry == ended.entry
        assert env.ledger.size == size
        with pytest.raises(NotFound, match="key of its pseudonyms is destroyed"):
            prove_document(env, "tiny", f"mail/{PERSON}")
        assert prove_document(env, "tiny", marks[0])["present"]
    assert ended.subject == row.subject
    assert list(home.store.glob("corpora/*/key.*")) == []
    # The dataset stays what it is, and is not built once more with another key.
    assert build(home, recipe, 1).entry == row.entry
    assert list(home.store.glob("corpora/*/key.*")) == []
    assert [line["id"] for line in exported(home, tmp_path / "two") if "<" in line["id"]] == marks


def test_the_command_that_destroys_it(built: Home, tmp_path: Path) -> None:
    home = copied(built, tmp_path / "home")
    done = bastide(home, "shred-pseudonyms", "tiny")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("the key of tiny's pseudonyms is destroyed (entry ")
    assert list(home.store.glob("corpora/*/key.*")) == []
    assert bastide(home, "shred-pseudonyms", "tiney").returncode != 0


# The quarantine


def parquet(path: Path) -> None:
    pq.write_table(pa.table({"id": ["a", "b"], "text": [sentence(1), None]}), path)


BROKEN: dict[str, tuple[str, Callable[[Path], Any], list[tuple[int, str]]]] = {
    "jsonl": (
        "a.jsonl",
        lambda path: path.write_bytes(b'{"text":"Sound."}\n{"id":\n\xff\n{"text":7}\n[]\n'),
        [(2, "not-json"), (3, "not-utf-8"), (4, "wrong-type"), (5, "not-an-object")],
    ),
    "jsonl in gzip": (
        "a.jsonl.gz",
        lambda path: path.write_bytes(gzip.compress(b'{"text":"Sound."}\n' * 50)[:-9]),
        [(51, "truncated")],
    ),
    "jsonl in Zstandard": (
        "a.jsonl.zst",
        lambda path: path.write_bytes(zstandard.compress(b'{"text":"Sound."}\n')[:-3]),
        [(1, "truncated")],
    ),
    "plain-text": (
        "a.txt", lambda path: path.write_bytes(b"\xff\xfe broken"), [(1, "not-utf-8")],
    ),
    "parquet": ("a.parquet", parquet, [(2, "text-missing")]),
    "hplt": (
        "a.jsonl",
        lambda path: path.write_bytes(b'{"text":"Sound.","surprise":1}\n{}\n'),
        [],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", sorted(BROKEN))
def test_broken_places_are_listed(case: str, empty: Home, tmp_path: Path) -> None:
    home = copied(empty, tmp_path / "home")
    name, write, wanted = BROKEN[case]
    recipe = write_corpus(tmp_path / "corpus")
    text = recipe.read_text().replace('reader = "jsonl"', f'reader = "{case.split(maxsplit=1)[0]}"')
    text = text.replace('settings = { notes = "licence robots tdm-reservation author" }\n', "")
    text = text.replace('"web/*.jsonl"', f'"web/{name}"').replace('"rights"', '"rights"\n'
                        'unknown = "keep"').replace("share = 0.2", "share = 0.0")  # fmt: skip
    recipe.write_text(text)
    write(recipe.parent / "web" / name)
    with seeded(home) as env:
        with pytest.raises(Refused, match="places could not be read") as caught:
            build_dataset(env, recipe, 1)
        (folder,) = {path.name for path in (home.store / "corpora").iterdir()}
        rows = list(quarantined(env, folder[:8]))
    found = [(row["line"], row["reason"]) for row in rows]
    assert found == wanted or (not wanted and found)
    assert len(caught.value.reasons) == len(rows)
    assert all(row["file"] == f"web/{name}" and row["source"] == "web" for row in rows)
    assert "Sound" not in json.dumps(rows)
    printed = bastide(home, "quarantine", folder, "--json").stdout.splitlines()
    assert [json.loads(line) for line in printed] == rows


def test_a_dataset_without_broken_places_and_none_at_all(built: Home) -> None:
    with seeded(built) as env:
        assert list(quarantined(env, "tiny")) == []
        with pytest.raises(NotFound):
            list(quarantined(env, "tiney"))
        with pytest.raises(NotFound, match="no builds begin with"):
            list(quarantined(env, "0123456789abcdef"))
