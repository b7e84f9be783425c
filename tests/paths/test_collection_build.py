# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The ways in which packers of collections failed open: each refuses, with reasons and no output.

The fixtures are synthetic, of the shape that was seen in public tooling.
"""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from bastide.app import corpus_files, corpus_part, corpus_pool
from bastide.app.config import Home
from bastide.app.corpora import export_dataset, show_dataset
from bastide.app.corpus_build import build_dataset, folder_of
from bastide.app.corpus_check import check_collection
from bastide.app.corpus_estimate import plan_dataset
from bastide.app.corpus_part import Workbench, read_part
from bastide.app.corpus_plan import Part, find_files, load_recipe
from bastide.core.errors import Misconfigured, NotFound, Refused
from bastide.core.recipe import Step
from contracts.s3_server import running_server
from paths.corpus_rig import copied, found_home, seeded
from paths.test_corpus_cli import bastide
from paths.test_object_store import in_bucket
from paths.test_sealed_at_rest import found_below
from unit.collection_files import (
    BABY,
    DONE,
    FLAG,
    NONE,
    PHONE,
    TEXTS,
    count,
    make_dataset,
    put,
    seal,
)

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "openeurollm.md"
RECIPE = """
name = "mix"
seed = "1"

[[sources]]
name = "letters"
path = "{path}"
reader = "openeurollm"
licence = "CC0-1.0"
basis = "own"
origin = "made by a test"
collected = 2026-11-26

[[steps]]
step = "openeurollm"

[[steps]]
step = "personal-data"
"""
PII = "openai-privacy-filter/ces_Latn/a.jsonl.zst"
ASKED = "nemo-curator/ces_Latn/a.jsonl.zst"
SOURCE = "source/ces_Latn/a.jsonl.zst"


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return found_home(tmp_path_factory.mktemp("collection"))


def made(folder: Path, metadata: str = FLAG, path: str = "flag/*") -> Path:
    make_dataset(folder / "flag" / "letters-1.0", metadata)
    recipe = folder / "mix.toml"
    recipe.write_text(RECIPE.format(path=path))
    return recipe


def exported(home: Home, target: Path) -> dict[str, str]:
    with seeded(home) as env:
        export_dataset(env, "mix", target, "jsonl")
    found = {}
    for path in sorted(target.glob("*.zst")):
        raw = zstandard.ZstdDecompressor().stream_reader(path.read_bytes()).read()
        found.update({row["id"]: row["text"] for row in map(json.loads, raw.splitlines())})
    return found


@pytest.mark.parametrize("metadata", [FLAG, BABY])
def test_a_collection_becomes_a_dataset_without_what_it_marks(
    empty: Home, tmp_path: Path, metadata: str
) -> None:
    home = copied(empty, tmp_path / "home")
    recipe = made(tmp_path / "corpus", metadata.replace("budget: 90%", "budget: 100%"))
    with seeded(home) as env:
        assert plan_dataset(env, recipe, 1)["sources"][0]["files"] == 1
        build_dataset(env, recipe, 1)
        row = show_dataset(env, "mix")
    steps = {step["step"]: step["removed"] for step in row["steps"]}
    assert steps["openeurollm"] == {"openeurollm/blocked": 1, "openeurollm/contaminated": 1}
    texts = exported(home, tmp_path / "out")
    assert sorted(texts) == ["d1", "d3"]
    assert texts["d3"] == TEXTS["d3"]
    for canary in (PHONE, TEXTS["d2"]):
        assert not found_below(home.root, canary.encode())


def test_the_same_input_gives_the_same_root_with_any_workers(empty: Home, tmp_path: Path) -> None:
    roots = set()
    for number, workers in enumerate((1, 2, 1)):
        home = copied(empty, tmp_path / f"home{number}")
        recipe = made(tmp_path / f"corpus{number}", BABY)
        with seeded(home) as env:
            roots.add(build_dataset(env, recipe, workers).body["root"])
    assert len(roots) == 1


def lost(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def edited(old: str, new: str) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        path = folder / "metadata.yaml"
        path.write_text(path.read_text().replace(old, new))

    return edit


def moved(folder: Path) -> None:
    rows = [{"id": name, "text": "Now " + text} for name, text in TEXTS.items()]
    put(folder / SOURCE, rows)


def moved_and_sealed(folder: Path) -> None:
    """Somebody sealed an old annotation for a new text: the spans still show it."""
    moved(folder)
    seal(folder / PII, folder / SOURCE, 4)
    seal(folder / ASKED, folder / SOURCE, 4)


def empty_part(folder: Path) -> None:
    path = folder / "counts" / "ces_Latn" / "release.json"
    path.parent.mkdir(parents=True)
    path.write_text(count(0, 2405))


def contradicting(folder: Path) -> None:
    table = f"| Path | PII | Contamination |\n|---|---|---|\n| letters-1.0 | {NONE} | {DONE} |\n"
    (folder.parent / "README.md").write_text(table)


def mixed(folder: Path) -> None:
    (folder.parent / "datamix.txt").write_text("0.5 letters-1.0/ces_Latn\n0.5 leters-2.0/x\n")


CASES: dict[str, tuple[Callable[[Path], None], str]] = {
    "PII annotation missing": (lost(PII), "annotation-missing"),
    "contamination annotation missing": (lost(ASKED), "annotation-missing"),
    "id missing": (edited("id: id\n", ""), "id-missing"),
    "text changed": (moved, "annotation-stale"),
    "text changed, annotation sealed": (moved_and_sealed, "not the one that was annotated"),
    "annotation not finished": (lost(PII + ".made-for.json"), "annotation-undigested"),
    "filter is code": (edited("sample: full", "filter: ../any.py"), "filter-is-code"),
    "annotation never read": (edited("[nemo", "[jql, nemo"), "annotation-unread"),
    "a part without documents": (empty_part, "no-documents: 0 documents, 2405 errors"),
    "the table contradicts the metadata": (contradicting, "letters-1.0.PII: contradiction"),
    "the mix names what is not there": (mixed, "leters-2.0/x: datamix-unknown"),
    "unknown field": (edited("mask:", "maks:"), "did you mean 'mask'"),
}


@pytest.mark.attacks("C114")
@pytest.mark.parametrize("case", CASES)
def test_each_way_to_fail_open_refuses_and_makes_nothing(
    empty: Home, tmp_path: Path, case: str
) -> None:
    spoil, reason = CASES[case]
    home = copied(empty, tmp_path / "home")
    recipe = made(tmp_path / "corpus")
    spoil(tmp_path / "corpus" / "flag" / "letters-1.0")
    with seeded(home) as env:
        with pytest.raises(Refused) as error:
            build_dataset(env, recipe, 1)
        assert env.ledger.find("dataset/v1") == []
    assert reason in "\n".join(error.value.reasons)
    assert not list(home.store.rglob("manifest*"))
    assert not list(home.store.rglob("report*"))


def test_every_fault_is_a_reason(empty: Home, tmp_path: Path) -> None:
    home = copied(empty, tmp_path / "home")
    recipe = made(tmp_path / "corpus")
    folder = tmp_path / "corpus" / "flag" / "letters-1.0"
    lost(PII)(folder)
    lost(ASKED)(folder)
    edited("shard: 74md", "shard: all")(folder)
    with seeded(home) as env, pytest.raises(Refused) as error:
        build_dataset(env, recipe, 1)
    assert len(error.value.reasons) == 3


@pytest.mark.parametrize("path", ["flag/*", "flag", "flag/letters-1.0"])
def test_a_build_and_a_check_judge_alike(empty: Home, tmp_path: Path, path: str) -> None:
    home = copied(empty, tmp_path / "home")
    recipe = made(tmp_path / "corpus", path=path)
    cycle = tmp_path / "corpus" / "flag"
    for spoil in (empty_part, contradicting, mixed, lost(PII)):
        spoil(cycle / "letters-1.0")
    found = check_collection(tmp_path / "corpus")["faults"]
    assert len(found) == 4
    with seeded(home) as env, pytest.raises(Refused) as error:
        build_dataset(env, recipe, 1)
    told = [reason.partition(": ")[0] for reason in error.value.reasons]
    assert told == [
        ":".join(str(one[key]) for key in ("file", "line", "field") if one[key]) for one in found
    ]


def test_a_recipe_without_the_step_is_refused(empty: Home, tmp_path: Path) -> None:
    home = copied(empty, tmp_path / "home")
    recipe = made(tmp_path / "corpus")
    first = '[[steps]]\nstep = "openeurollm"\n'
    recipe.write_text(recipe.read_text().replace(first, ""))
    with seeded(home) as env, pytest.raises(Misconfigured, match="needs openeurollm as the first"):
        build_dataset(env, recipe, 1)


@pytest.mark.parametrize(
    ("module", "name"), [(corpus_files, "pseudonym"), (corpus_part, "run_filters")]
)
def test_a_masker_or_filter_that_raises_refuses(
    empty: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: object, name: str
) -> None:
    home = copied(empty, tmp_path / "home")
    recipe = load_recipe(made(tmp_path / "corpus"))
    files = find_files(recipe, tmp_path / "corpus")["letters"]
    with seeded(home) as env:
        exits = tuple(env.ledger.charter().body["exit_recipients"])
        bench = Workbench(str(home.store), env.keyring.identities(), exits,
                          folder_of("a" * 64), (Step("openeurollm"),), bytes(32))  # fmt: skip

    def fails(*arguments: object) -> str:
        raise ValueError(PHONE)

    monkeypatch.setattr(module, name, fails)
    ok, told = corpus_pool._do(
        bench, (read_part, Part(0, "letters", "openeurollm", {}, list(files)), ())
    )
    assert not ok
    assert "failed, so nothing is built" in told[1]
    assert PHONE not in repr(told)
    assert not list(home.store.rglob("report.header"))


def test_the_guide_works_word_for_word(empty: Home, tmp_path: Path) -> None:
    make_dataset(tmp_path / "letters-1.0")
    home = copied(empty, tmp_path / "home")
    text = GUIDE.read_text()
    (block,) = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    (tmp_path / "mix.toml").write_text(block)
    commands = re.findall(r"^\$ bastide corpus (.*)\n(?!\$)([^`]*)", text, re.MULTILINE)
    assert len(commands) >= 2
    for line in re.findall(r"^\$ bastide corpus (.*)$", text, re.MULTILINE):
        done = bastide(home, *line.split(), folder=tmp_path)
        assert done.returncode == 0, done.stderr
        expected = dict(commands).get(line, "")
        assert expected in done.stdout


def test_check_prints_faults_and_exits_3(empty: Home, tmp_path: Path) -> None:
    folder = make_dataset(tmp_path / "letters")
    done = bastide(empty, "check", str(folder))
    assert (done.returncode, done.stdout) == (0, "0 faults in 1 dataset, 1 file, 0 counts\n")
    lost(PII)(folder)
    done = bastide(empty, "check", str(folder))
    assert done.returncode == 3
    assert done.stdout.splitlines()[0].startswith(f"{PII}: annotation-missing: ")
    row = json.loads(bastide(empty, "check", str(folder), "--json").stdout)
    assert [one["code"] for one in row["faults"]] == ["annotation-missing"]
    assert bastide(empty, "check", str(tmp_path / "none")).returncode == 1


TABLE = "| Path | PII | Contamination |\n|---|---|---|\n| `letters-1.0` | \u2796 | \u2705 |\n"


def test_check_finds_in_a_bucket_what_it_finds_on_a_disk(empty: Home, tmp_path: Path) -> None:
    """Metadata, annotations, counts, table and mix; the cycle's own file lies above."""
    folder = make_dataset(tmp_path / "flag" / "letters-1.0")
    make_dataset(tmp_path / "eu" / "sound-1.0")
    lost(PII)(folder)
    (folder / "counts" / "ces_Latn").mkdir(parents=True)
    (folder / "counts" / "ces_Latn" / "source.json").write_text('{"documents": 0}')
    (tmp_path / "flag" / "README.md").write_text(TABLE)
    (tmp_path / "flag" / "datamix.txt").write_text("0.5 letters-1.0/ces_Latn\n0.5 none-1.0/x\n")
    with running_server() as server:
        home, bucket = in_bucket(server, empty, tmp_path, store=False)
        for path in [*(tmp_path / "flag").rglob("*"), *(tmp_path / "eu").rglob("*")]:
            if path.is_file():
                key = f"eu/{path.relative_to(tmp_path).as_posix()}"
                server.client().upload_file(str(path), bucket, key)
        for name in ("flag", "flag/letters-1.0"):
            rows = [
                json.loads(bastide(home, "check", place, "--json").stdout)
                for place in (str(tmp_path / name), f"s3://{bucket}/eu/{name}")
            ]
            assert rows[1].pop("directory") == f"s3://{bucket}/eu/{name}"
            del rows[0]["directory"]
            assert rows[0] == rows[1]
            found = {one["code"] for one in rows[1]["faults"]}
            assert found == {
                "annotation-missing", "no-documents", "contradiction", "datamix-unknown"
            }  # fmt: skip
        done = bastide(home, "check", f"s3://{bucket}/eu/eu/sound-1.0")
        assert (done.returncode, done.stdout[:8]) == (0, "0 faults")
        done = bastide(home, "check", f"s3://{bucket}/eu/none")
        assert done.returncode == 1
        assert "there is no directory s3://" in done.stderr


def test_a_collection_in_a_bucket_makes_the_same_dataset(empty: Home, tmp_path: Path) -> None:
    recipe = made(tmp_path)
    near = copied(empty, tmp_path / "near")
    with seeded(near) as env:
        root = build_dataset(env, recipe, 1).body["root"]
    with running_server() as server:
        home, bucket = in_bucket(server, empty, tmp_path, store=False)
        client = server.client()
        for path in (tmp_path / "flag").rglob("*"):
            if path.is_file():
                key = f"eu/{path.relative_to(tmp_path).as_posix()}"
                client.upload_file(str(path), bucket, key)
        client.put_object(Bucket=bucket, Key="eu/flag/letters-1.0/source/.part", Body=b"hidden")
        shutil.rmtree(tmp_path / "flag" / "letters-1.0")
        for number, pattern in enumerate(("eu/flag/*", "eu/flag", "eu/flag/letters-1.0/")):
            own = copied(home, tmp_path / f"home-{number}")
            recipe.write_text(RECIPE.format(path=f"s3://{bucket}/{pattern}"))
            with seeded(own) as env:
                assert build_dataset(env, recipe, 2).body["root"] == root
        recipe.write_text(RECIPE.format(path=f"s3://{bucket}/eu/none*"))
        with seeded(home) as env, pytest.raises(NotFound, match="has no file"):
            build_dataset(env, recipe, 1)
        recipe.write_text(RECIPE.format(path=f"s3://{bucket}/eu/flag/*"))
        client.delete_object(Bucket=bucket, Key=f"eu/flag/letters-1.0/{PII}")
        contradicting(tmp_path / "flag" / "letters-1.0")
        client.upload_file(str(tmp_path / "flag" / "README.md"), bucket, "eu/flag/README.md")
        for pattern in ("eu/flag/*", "eu/flag/letters-1.0/"):
            recipe.write_text(RECIPE.format(path=f"s3://{bucket}/{pattern}"))
            with seeded(home) as env, pytest.raises(Refused) as caught:
                build_dataset(env, recipe, 1)
            assert "annotation-missing" in str(caught.value.reasons)
            assert "flag/README.md:3:letters-1.0.PII: contradiction" in str(caught.value.reasons)
