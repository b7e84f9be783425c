# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""From a dataset to the runs, models, releases and deployments that rest on it, and back: a
release's bill and provenance name what its model was trained on.

Broken once to prove the tests: where records of runs are sorted by name alone, where a bill has no
trainings, and where a release is not followed to its datasets, they fail.
"""

import base64
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bastide.app.approvals import approve_here
from bastide.app.config import Home
from bastide.app.corpora import list_datasets
from bastide.app.corpus_build import build_dataset
from bastide.app.corpus_erase import erase_subject
from bastide.app.corpus_pack import pack_dataset
from bastide.app.dataset_releases import approval_of, publish_dataset
from bastide.app.models import show_model
from bastide.app.provenance import export_provenance
from bastide.app.public_summary import Answers
from bastide.app.public_summary_files import make_summary, record_summary
from bastide.app.release_bom import release_bom
from bastide.app.trainings import record_training
from bastide.core.erasure_subject import ErasureSubject
from bastide.core.errors import Misconfigured, NotFound
from bastide.core.evidence import Evidence
from bastide.core.subject import Digest
from bastide.core.utc import utc_time
from bastide.ledger.bundle import export_anchors
from paths.corpus_rig import CANARY, PERSONAL_DATA, copied, seeded
from paths.erase_rig import PERSON, SUBJECT, write_person
from paths.loading_rig import served
from paths.test_bom import faults
from paths.test_corpus_cli import TESTS
from paths.test_corpus_cli import bastide as corpus
from paths.test_corpus_megatron import END, made_tokenizer
from paths.test_provenance import check, evidence_key, stages

__all__ = ["served"]
COLUMNS = ("releases", "summaries", "runs", "models", "deployments")


@pytest.fixture(scope="module")
def built(served: Home, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """The served home with a dataset, a release of it and a summary; no model says a word of it."""
    folder = tmp_path_factory.mktemp("trained")
    home = copied(served, folder / "home")
    with seeded(home) as env:
        recipe = write_person(folder / "corpus")
        steps = f'{PERSONAL_DATA}\n[[steps]]\nstep = "decontaminate"'
        recipe.write_text(recipe.read_text().replace(PERSONAL_DATA, steps))
        build_dataset(env, recipe, 2)
        approve_here(env, approval_of(env, "tiny", ""), env.party_signers())
        publish_dataset(env, "tiny")
        record_summary(env, make_summary(env, ["tiny"], Answers()))
    return home


def model(home: Home, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from bastide.cli import main; main()", "model", *arguments,
         "--home", str(home.root)],
        env={"PYTHONPATH": str(TESTS.parent / "src"), "PATH": os.environ["PATH"]},
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def concerned(home: Home, person: ErasureSubject, dry_run: bool = True) -> dict[str, list[Any]]:
    """What rests on the one dataset that names a person, by column: names or kinds."""
    with seeded(home) as env:
        (told,) = erase_subject(env, person, 2, dry_run=dry_run).account["datasets"]
    return {what: [(row["kind"], row["name"]) for row in told[what]] for what in COLUMNS}


@pytest.mark.attacks("C250")
def test_an_erasure_lists_runs_models_and_deployments(built: Home, tmp_path: Path) -> None:
    home = copied(built, tmp_path / "home")
    before = concerned(home, PERSON)
    assert before == {
        "releases": [("dataset-release/v1", "tiny")],
        "summaries": [("summary/v1", "summary")],
        "runs": [], "models": [], "deployments": [],
    }  # fmt: skip
    log, settings = tmp_path / "train.log", tmp_path / "settings.toml"
    log.write_text("step 1\n")
    settings.write_text("steps = 1\n")
    with seeded(home) as env:
        # The model was released and deployed before anybody said what it was trained on.
        row = record_training(env, "tiny", ["tiny"], [log, settings])
        assert record_training(env, "tiny", ["tiny"], [settings, log]).entry == row.entry
        (said,) = show_model(env, "tiny")["trainings"]
    assert said["runs"][1] == {"name": "train.log", "digest": str(Digest.of(b"step 1\n"))}
    wanted = {
        **before,
        "runs": [("training/v1", "settings.toml"), ("training/v1", "train.log")],
        "models": [(f"{kind}/v1", "tiny")
                   for kind in ("admission", "evaluation", "candidate", "release")],
        "deployments": [("deployment/v1", "tiny")],
    }  # fmt: skip
    assert concerned(home, PERSON) == wanted  # and nothing of the model `other`
    assert concerned(home, PERSON, dry_run=False) == wanted
    # Whoever is in the successor was in what was released, and in what the model has seen.
    second = ErasureSubject.parse(json.dumps({"phrases": [CANARY]}))
    assert concerned(home, second) == wanted


def test_the_commands(built: Home, tmp_path: Path) -> None:
    home = copied(built, tmp_path / "home")
    record = tmp_path / "train.log"
    record.write_text("step 1\n")
    (tmp_path / "person.toml").write_text(SUBJECT)
    with seeded(home) as env:
        (dataset,) = list_datasets(env)
    done = model(home, "trained", "other", "--on", "tiny", "--run", str(record))
    assert done.stdout.splitlines()[1:] == [
        f"  on              {dataset['digest']}",
        f"  by train.log    {Digest.of(record.read_bytes())}",
    ]
    shown = corpus(home, "erase", "--subject", str(tmp_path / "person.toml"), "--dry-run").stdout
    assert "  runs            train.log  sha256:" in shown
    assert "  models          other  sha256:" in shown
    assert "no statement links a model" not in shown
    assert model(home, "trained", "tiny").returncode == 2


def test_what_is_not_there_is_told(built: Home, tmp_path: Path) -> None:
    home = copied(built, tmp_path / "home")
    with seeded(home) as env:
        with pytest.raises(NotFound, match="no model 'none'"):
            record_training(env, "none", ["tiny"], [])
        with pytest.raises(NotFound, match="no dataset 'none'"):
            record_training(env, "tiny", ["none"], [])
        with pytest.raises(NotFound, match="no dataset"):
            record_training(env, "tiny", [f"sha256:{'0' * 64}"], [])
        with pytest.raises(Misconfigured, match="at least one dataset"):
            record_training(env, "tiny", [], [])
        assert env.ledger.find("training/v1") == []


def trained(env: Any, folder: Path) -> tuple[Evidence, Evidence]:
    """Pack the dataset and say that the model was trained on the packing; packing and training."""
    packing = pack_dataset(env, "tiny", made_tokenizer(folder / "tokenizer.json"), END, 64)
    return packing, record_training(env, "tiny", [str(packing.subject.digest)], [])


def test_records_of_one_name_stand_beside_each_other(built: Home, tmp_path: Path) -> None:
    records = [tmp_path / str(number) / "train.log" for number in range(4)]
    for number, path in enumerate(records):
        path.parent.mkdir()
        path.write_text(f"step {number}\n")
    with seeded(copied(built, tmp_path / "home")) as env:
        row = record_training(env, "tiny", ["tiny"], records)
        assert record_training(env, "tiny", ["tiny"], records[::-1]).entry == row.entry
        assert record_training(env, "tiny", ["tiny"], [*records, records[0]]).entry == row.entry
        (told,) = erase_subject(env, PERSON, 2, dry_run=True).account["datasets"]
    wanted = [str(Digest.of(path.read_bytes())) for path in records]
    assert [run["digest"] for run in row.body["runs"]] == sorted(wanted)
    assert {run["digest"] for run in told["runs"]} == set(wanted)


def test_the_bill_of_a_release_names_what_its_model_was_trained_on(
    built: Home, tmp_path: Path
) -> None:
    record = tmp_path / "train.log"
    record.write_text("step 1\n")
    with seeded(copied(built, tmp_path / "home")) as env:
        before = json.loads(release_bom(env, "tiny"))
        packing, said = trained(env, tmp_path)
        dataset = env.ledger.find("dataset/v1")[-1]
        first = json.loads(release_bom(env, "tiny"))
        last = record_training(env, "tiny", ["tiny"], [record])
        data = release_bom(env, "tiny")
        env.ledger.rebuild()
        assert release_bom(env, "tiny") == data
    bill = json.loads(data)
    assert faults(data) is None
    assert [one["version"] for one in (before, first, bill)] == [1, 2, 3]
    assert bill["serialNumber"] == before["serialNumber"]
    assert bill["metadata"]["timestamp"] == utc_time(last.body["time_ms"])
    rows = {row["bom-ref"]: row for row in bill["components"]}
    refs = [str(row.subject.digest) for row in (dataset, packing)]
    for ref, made in zip(refs, (dataset, packing), strict=True):
        assert rows[ref]["type"] == "data"
        assert rows[ref]["hashes"] == [{"alg": "SHA-256", "content": made.body["root"]}]
    assert rows[refs[0]]["licenses"] == [{"expression": "CC0-1.0"}]
    card = bill["metadata"]["component"]["modelCard"]
    named = [row["ref"] for row in card["modelParameters"]["datasets"]]
    assert named == [*refs, "evaluation-suite"]
    assert {"ref": refs[1], "dependsOn": refs[:1]} in bill["dependencies"]
    run = {"name": "bastide:training-run",
           "value": f"train.log {Digest.of(record.read_bytes())}"}  # fmt: skip
    assert run in card["properties"]
    stated = [row["value"] for row in bill["metadata"]["component"]["properties"]
              if row["name"] == "bastide:statement:training/v1"]  # fmt: skip
    assert stated == [str(said.digest), str(last.digest)]
    # Before anybody says a word, the bill is what it always was.
    assert [row["bom-ref"] for row in before["components"] if row["type"] == "data"] == [
        "chat-template", "evaluation-suite"]  # fmt: skip


def test_the_provenance_of_a_release_reaches_what_its_model_was_trained_on(
    built: Home, tmp_path: Path
) -> None:
    with seeded(copied(built, tmp_path / "home")) as env:
        keyid, key = evidence_key(export_anchors(env.ledger))
        release = env.ledger.find("release/v1")[-1]
        packing, said = trained(env, tmp_path)
        dataset = env.ledger.find("dataset/v1")[-1]
        rows = export_provenance(env, str(release.subject.digest))
        of_other = export_provenance(env, "other")
    found = [check(row.encode().decode(), keyid, key) for row in rows]
    # The packing is of a dataset that was released.
    assert stages(found) == ["admit", "evaluate", "release", "corpus", "dataset-release", "pack"]
    used = {row["name"]: row for row in material(found[2])}
    assert used["statement training/v1"]["digest"]["sha256"] == said.digest.hex
    for name, made in (("dataset tiny", dataset), ("packing of tiny", packing)):
        assert used[name]["digest"]["sha256"] == made.subject.digest.hex
        assert used[name]["annotations"] == {"root": made.body["root"], "source": "training/v1"}
    packed = {row["name"]: row["digest"]["sha256"] for row in material(found[5])}
    assert packed["dataset tiny"] == dataset.subject.digest.hex
    assert packed["tokenizer"] == packing.body["tokenizer"].removeprefix("sha256:")
    assert found[5]["subject"][0]["digest"]["sha256"] == packing.subject.digest.hex
    assert len(of_other) == 1


def test_what_was_made_without_a_person_rests_on_what_had_the_person(
    built: Home, tmp_path: Path
) -> None:
    with seeded(copied(built, tmp_path / "home")) as env:
        keyid, key = evidence_key(export_anchors(env.ledger))
        older = env.ledger.find("dataset/v1")[-1]
        erase_subject(env, PERSON, 2)
        newer = env.ledger.find("dataset/v1")[-1]
        rows = export_provenance(env, str(newer.subject.digest))
        (form,) = [row for row in export_provenance(env, "summary") if b"summary" in payload(row)]
        with pytest.raises(NotFound, match="is called"):
            export_provenance(env, "subject")
    found = [check(row.encode().decode(), keyid, key) for row in rows]
    assert stages(found) == ["corpus", "corpus", "erase"]
    erased = found[2]
    assert [row["digest"]["sha256"] for row in erased["subject"]] == [newer.subject.digest.hex]
    assert material(erased)[0]["digest"]["sha256"] == older.subject.digest.hex
    assert "erased" in material(found[1])[1]["name"]
    summary = check(form.encode().decode(), keyid, key)
    assert [row["name"] for row in summary["subject"]] == [
        "summary.html", "summary.json", "summary.md"]  # fmt: skip
    assert material(summary)[0]["digest"]["sha256"] == older.subject.digest.hex


def material(statement: dict[str, Any]) -> list[dict[str, Any]]:
    return statement["predicate"]["buildDefinition"]["resolvedDependencies"]


def payload(envelope: Any) -> bytes:
    return base64.b64decode(json.loads(envelope.encode())["payload"])
