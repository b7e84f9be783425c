# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""A person is erased: from every dataset, what is kept beside it, and every later build.

Broken once to prove the tests: with lives that are copied as they are, without the pseudonyms,
without the scrubbing of examples, with leaves whose lines are not counted anew, with old shards
that stay, and with a build that does not look at the list again, they fail.
"""

import hashlib
import json
from pathlib import Path

import msgspec
import pytest

from bastide.app.config import Home
from bastide.app.corpora import (
    explain_document,
    export_dataset,
    list_datasets,
    prove_document,
    show_dataset,
)
from bastide.app.corpus_build import build_dataset, folder_of
from bastide.app.corpus_erase import Erased, erase_subject
from bastide.app.corpus_index import build_index, index_folder
from bastide.app.corpus_pseudonyms import end_pseudonym_key
from bastide.app.corpus_quarantine import quarantined
from bastide.app.corpus_search import find_spans
from bastide.app.corpus_standing import list_object, put_list, read_standing
from bastide.app.corpus_successor import Tombstone
from bastide.app.corpus_tombstones import tombstones_of
from bastide.app.guards import import_erasure
from bastide.app.public_summary import Answers
from bastide.app.public_summary_files import make_summary, record_summary
from bastide.core.dataset import document_key
from bastide.core.erasure import ErasureList
from bastide.core.erasure_subject import ErasureSubject
from bastide.core.errors import NotFound, Refused
from bastide.crypto.sorted_tree import verify_absent, verify_present
from paths.corpus_rig import CANARY, PLANTED, copied, found_home, seeded
from paths.erase_rig import (
    GONE,
    NAME,
    PERSON,
    SHORT,
    SUBJECT,
    build_both,
    contents,
    exported,
    key_of,
    naming,
    write_person,
)
from paths.test_corpus import lines_of
from paths.test_corpus_cli import bastide
from paths.test_sealed_at_rest import found_below


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return found_home(tmp_path_factory.mktemp("erase"))


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_person(tmp_path_factory.mktemp("letters") / "corpus")


@pytest.fixture(scope="module")
def built(empty: Home, recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> Home:
    return build_both(empty, recipe, tmp_path_factory.mktemp("built"))


@pytest.fixture(scope="module")
def erased(built: Home, tmp_path_factory: pytest.TempPathFactory) -> tuple[Home, Erased]:
    home = copied(built, tmp_path_factory.mktemp("erased") / "home")
    with seeded(home) as env:
        return home, erase_subject(env, PERSON, 2)


@pytest.fixture(scope="module")
def subject(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("subject") / "person.toml"
    path.write_text(SUBJECT)
    return path


@pytest.mark.attacks("C129")
def test_the_person_is_nowhere_afterwards(
    built: Home, erased: tuple[Home, Erased], recipe: Path, tmp_path: Path
) -> None:
    with seeded(built) as env:
        (row,) = env.ledger.find("dataset/v1", name="tiny")
        key = key_of(env, row)
        before = naming(env, key)
    kinds = {name.split("/")[2] for name in before if name.startswith("corpora/")}
    assert kinds == {"shards", "parts", "search"}  # else this test looks at nothing
    home, _ = erased
    with seeded(home) as env:
        assert naming(env, key) == set()
        assert json.dumps([row.statement.to_json() for row in env.ledger.entries()]).lower().count(
            "kallasvuori"
        ) == 0  # fmt: skip
    for value in (NAME, "Kallasvuori", PLANTED[0]):
        assert found_below(home.root, value.encode()) == []
    lines = lines_of(exported(home, tmp_path / "out"))
    assert not {line["id"] for line in lines} & GONE
    assert CANARY in json.dumps(lines)  # of somebody else
    # Another build of the same files has the same documents, and the same root.
    with seeded(copied(home, tmp_path / "home")) as env:
        again = build_dataset(env, recipe, 2)
        assert naming(env, key_of(env, again)) == set()
        assert again.body["root"] == show_dataset(env, again.body["manifest"])["root"]
        card = show_dataset(env, "tiny", examples=True)
        assert card["digest"] == str(again.subject.digest)
        assert card["steps"][0]["removed"] == {"erasure/subject": len(GONE) + 1}
        assert NAME not in json.dumps(card)
        roots = {row.body["root"] for row in env.ledger.find("dataset/v1", name="tiny")}
    assert len(roots) == 2


@pytest.mark.attacks("C129")
def test_the_account_and_the_links(built: Home, erased: tuple[Home, Erased]) -> None:
    home, done = erased
    (told,) = done.account["datasets"]
    assert told["dataset"] == "tiny"
    assert (told["documents"], told["of_documents"]) == (len(GONE), 58)
    assert 1 <= len(told["shards"]) < told["of_shards"]
    assert told["pseudonym_key"] == "used"
    with seeded(home) as env:
        first, second = env.ledger.find("dataset-erasure/v1")
        old, _, new = env.ledger.find("dataset/v1")
        assert first.body["datasets"] == []
        (made,) = second.body["datasets"]
        assert made["old"] == str(old.subject.digest)
        assert made["new"] == str(new.subject.digest) == told["successor"]
        assert (made["old_root"], made["new_root"]) == (old.body["root"], new.body["root"])
        lines = list(tombstones_of(env, "tiny"))
        stated = "".join(line + "\n" for line in lines).encode()
        assert hashlib.sha256(stated).hexdigest() == made["tombstones"]
        keys = set()
        for line in lines:
            stone = msgspec.json.decode(line, type=Tombstone)
            (shown,) = stone.present.leaves
            keys.add(stone.present.key)
            verify_present(
                stone.present, bytes.fromhex(shown.leaf), bytes.fromhex(made["old_root"])
            )
            key = bytes.fromhex(stone.present.key)
            verify_absent(stone.absent, key, bytes.fromhex(made["new_root"]))
        assert keys == {document_key("letters", ident).hex() for ident in GONE}
        # Only what had the person was written anew; the other dataset is as it was.
        shards = show_dataset(env, "tiny")["shards"]
        own = [
            shard for shard in shards if shard["object"].startswith(folder_of(new.body["build"]))
        ]
        assert len(own) <= made["shards"] < len(shards) + 1
        assert len(own) < len(shards)
        left = env.store.names(folder_of(old.body["build"]))
        assert set(left) == {shard["object"] for shard in shards} - {one["object"] for one in own}


def test_every_other_document_is_found_where_it_is(
    erased: tuple[Home, Erased], tmp_path: Path
) -> None:
    home, _ = erased
    lines = lines_of(exported(home, tmp_path / "out"))
    with seeded(home) as env:
        card = show_dataset(env, "tiny", examples=True)
        starts, total = [], 0
        for shard in card["shards"]:
            starts.append(total)
            total += shard["documents"]
        for number, line in enumerate(lines):
            if number % 6:
                continue
            shown = explain_document(env, "tiny", line["id"])["shard"]
            assert starts[shown["number"]] + shown["line"] - 1 == number
            assert prove_document(env, "tiny", line["id"])["present"]
        gone = explain_document(env, "tiny", "d5")
        assert (gone["removed"], gone["file"], gone["shard"]) == ("erasure/subject", "", None)
        assert not prove_document(env, "tiny", "d5")["present"]
        assert SHORT not in json.dumps(card)
        places = list(quarantined(env, "tiny"))
        assert {place["file"] for place in places} == {"", "letters/2.jsonl"}
        assert sum(source["kept"] for source in card["sources"]) == card["documents"] == total


@pytest.mark.attacks("C129")
def test_the_old_dataset_refuses_and_names_its_successor(
    erased: tuple[Home, Erased], tmp_path: Path
) -> None:
    home, done = copied(erased[0], tmp_path / "home"), erased[1]
    (told,) = done.account["datasets"]
    old = told["digest"]
    with seeded(home) as env:
        for use in (
            lambda: show_dataset(env, old),
            lambda: explain_document(env, old, "d1"),
            lambda: prove_document(env, old, "d1"),
            lambda: export_dataset(env, old, home.root / "out", "jsonl"),
            lambda: find_spans(env, old, "stone"),
            lambda: build_index(env, old, 8),
            lambda: list(quarantined(env, old)),
            lambda: make_summary(env, [old], Answers()),
            lambda: end_pseudonym_key(env, old),
        ):
            with pytest.raises(Refused) as caught:
                use()
            assert told["successor"] in caught.value.fix
        with pytest.raises(NotFound, match="no search index"):
            find_spans(env, "tiny", "stone")
        assert not env.store.names(index_folder(folder_of(env.ledger.find("dataset/v1")[0].body["build"])))  # fmt: skip  # noqa: E501
        build_index(env, "tiny", 8)
        assert find_spans(env, "tiny", NAME).count == 0
        rows = {row["digest"]: row["successor"] for row in list_datasets(env)}
        assert rows[old] == told["successor"]
        assert list(rows.values()).count(None) == 2


def snapshot(home: Home) -> dict[str, bytes]:
    return {
        str(path.relative_to(home.root)): path.read_bytes()
        for path in home.root.rglob("*")
        if path.is_file() and home.database.name not in path.name and path.name != "openings.jsonl"
    }


def test_a_dry_run_says_the_same_and_changes_nothing(
    built: Home, erased: tuple[Home, Erased], tmp_path: Path
) -> None:
    home = copied(built, tmp_path / "home")
    before, folders = snapshot(home), {path for path in home.root.rglob("*") if path.is_dir()}
    with seeded(home) as env:
        record_summary(env, make_summary(env, ["tiny"], Answers()))
        size = env.ledger.size
        would = erase_subject(env, PERSON, 2, dry_run=True)
        assert env.ledger.size == size
        assert read_standing(env) is None
        (summary,) = env.ledger.find("summary/v1")
    assert snapshot(home) == before
    assert {path for path in home.root.rglob("*") if path.is_dir()} == folders
    (told,), (was,) = would.account["datasets"], erased[1].account["datasets"]
    assert {name: told[name] for name in told if told[name] != was[name]}.keys() == {
        "successor", "new_root", "summaries"}  # fmt: skip
    assert [row["entry"] for row in told["summaries"]] == [summary.entry]
    assert (told["models"], told["deployments"]) == ([], [])


def test_the_command(built: Home, subject: Path, tmp_path: Path) -> None:
    home = copied(built, tmp_path / "home")
    shown = bastide(home, "erase", "--subject", str(subject), "--dry-run")
    assert "5 of 58 would go" in shown.stdout
    assert "no statement links a model to these: ask who trained on them" in shown.stdout
    done = bastide(
        home, "erase", "--subject", str(subject), "--json", "--list-out", str(tmp_path / "list")
    )
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert events[-1]["event"] == "erased"
    assert {event["event"] for event in events[:-1]} == {"progress"}
    for text in (done.stdout, shown.stdout):
        assert "kallasvuori" not in text.lower()
        assert "virtanen" not in text.lower()
    assert ErasureList.load((tmp_path / "list").read_bytes()).entries
    assert (tmp_path / "list").stat().st_mode & 0o077 == 0
    stones = bastide(home, "tombstones", "tiny").stdout
    with seeded(home) as env:
        (made,) = env.ledger.find("dataset-erasure/v1")[-1].body["datasets"]
    assert hashlib.sha256(stones.encode()).hexdigest() == made["tombstones"]
    wrong = tmp_path / "wrong.toml"
    wrong.write_text('emails = ["anna at example"]')
    refused = bastide(home, "erase", "--subject", str(wrong))
    assert refused.returncode == 2
    assert "emails, number 1, is no address" in refused.stderr
    assert "anna" not in refused.stderr


def test_a_second_person_and_the_proofs_of_the_first(
    erased: tuple[Home, Erased], tmp_path: Path
) -> None:
    home = copied(erased[0], tmp_path / "home")
    with seeded(home) as env:
        (first,) = erased[1].account["datasets"]
        stones = list(tombstones_of(env, first["successor"]))
        done = erase_subject(env, ErasureSubject.parse(json.dumps({"phrases": [CANARY]})), 1)
        both = {row["dataset"]: row for row in done.account["datasets"]}
        assert {name: row["documents"] for name, row in both.items()} == {"tiny": 1, "other": 1}
        assert both["tiny"]["digest"] == first["successor"]
        assert list(tombstones_of(env, first["successor"])) == stones
        assert len(list(tombstones_of(env, "tiny"))) == 1
        assert [name for name, data in contents(env).items() if CANARY.encode() in data] == []
        listed = read_standing(env)
        assert listed is not None
        assert done.listed == listed
        assert env.store.names("erasures") == [list_object(str(put_list(env, listed)))]
        # The guard's filter takes the list as it is.
        assert import_erasure(env, listed.dump()).body["entries"] == len(listed.entries)
    ids = {line["id"] for line in lines_of(exported(home, tmp_path / "out"))}
    assert not ids & {*GONE, "d4"}
