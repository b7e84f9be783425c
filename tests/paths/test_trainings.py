# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""From a dataset to the runs, models, releases and deployments that rest on it."""

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
from bastide.app.dataset_releases import approval_of, publish_dataset
from bastide.app.models import show_model
from bastide.app.public_summary import Answers
from bastide.app.public_summary_files import make_summary, record_summary
from bastide.app.trainings import record_training
from bastide.core.erasure_subject import ErasureSubject
from bastide.core.errors import Misconfigured, NotFound
from bastide.core.subject import Digest
from paths.corpus_rig import CANARY, PERSONAL_DATA, copied, seeded
from paths.erase_rig import PERSON, SUBJECT, write_person
from paths.loading_rig import served
from paths.test_corpus_cli import TESTS
from paths.test_corpus_cli import bastide as corpus

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
