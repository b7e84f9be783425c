# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What `bastide corpus` prints, and how it fails."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bastide.app.config import Home
from paths.corpus_rig import copied, found_home, write_corpus
from paths.demo import heard_interrupts

TESTS = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return found_home(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("letters") / "corpus")


def bastide(
    home: Home, *arguments: str, folder: Path | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from bastide.cli import main; main()", "corpus", *arguments,
         "--home", str(home.root)],
        env={"PYTHONPATH": str(TESTS.parent / "src"), "PATH": os.environ["PATH"]},
        capture_output=True, text=True, check=False, cwd=folder,
    )  # fmt: skip


def test_a_build_tells_its_events_in_json(empty: Home, recipe: Path, tmp_path: Path) -> None:
    home = copied(empty, tmp_path / "home")
    done = bastide(home, "build", str(recipe), "--workers", "1", "--json")
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0
    assert [event["event"] for event in events[:-1]] == ["progress"] * (len(events) - 1)
    assert events[-1]["event"] == "built"
    assert events[-1]["documents"] == 57
    shown = json.loads(bastide(home, "show", "tiny", "--json").stdout)
    assert shown["root"] == events[-1]["root"]
    assert "examples" not in shown
    (row,) = json.loads(bastide(home, "ls", "--json").stdout)
    assert row["digest"] == events[-1]["digest"]


def test_a_refused_build_is_one_event_and_exit_3(empty: Home, tmp_path: Path) -> None:
    home = copied(empty, tmp_path / "home")
    recipe = write_corpus(tmp_path / "corpus", personal_data="")
    done = bastide(home, "build", str(recipe), "--json")
    (event,) = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 3
    assert event["event"] == "error"
    assert event["error"] == "refused"
    plan = json.loads(bastide(home, "plan", str(recipe), "--json").stdout)
    assert plan["refused"] == event["reasons"]


def test_a_plan_says_what_would_be_read(empty: Home, recipe: Path, tmp_path: Path) -> None:
    home = copied(empty, tmp_path / "home")
    plan = json.loads(bastide(home, "plan", str(recipe), "--workers", "2", "--json").stdout)
    assert plan["bytes"] == sum(path.stat().st_size for path in recipe.parent.glob("letters/*"))
    assert plan["sources"][0]["files"] == 6
    assert plan["refused"] == []
    assert plan["steps"][-1] == "near-duplicate"
    assert 0 < plan["seconds_alone"] <= plan["seconds"] + 0.1  # duplicates are reckoned too
    assert not (home.store / "corpora").exists()


@pytest.mark.parametrize("as_json", [False, True])
def test_an_interrupted_build_says_that_it_goes_on(
    empty: Home, recipe: Path, tmp_path: Path, as_json: bool
) -> None:
    home = copied(empty, tmp_path / "home")
    with heard_interrupts():
        building = subprocess.Popen(
            [sys.executable, "-c", "from bastide.cli import main; main()", "corpus", "build",
             str(recipe), "--workers", "1", "--home", str(home.root),
             *(["--json"] if as_json else [])],
            env={"PYTHONPATH": str(TESTS.parent / "src"), "PATH": os.environ["PATH"]},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
    while building.poll() is None and not list(home.root.glob("store/**/corpora/**/*")):
        time.sleep(0.02)
    building.send_signal(signal.SIGINT)
    out, told = building.communicate(timeout=60)
    assert building.returncode == 130
    if as_json:
        assert json.loads(out.splitlines()[-1])["error"] == "interrupted"
    else:
        assert "the same command goes on" in told
    done = bastide(home, "build", str(recipe), "--workers", "1")
    assert done.returncode == 0, done.stderr
