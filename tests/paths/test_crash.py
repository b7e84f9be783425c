# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""SIGKILL at 50 random points of founding and of releasing: no half state, nothing lost.

Broken once to prove the tests: founding in place instead of in a draft leaves a home that is
neither absent nor whole; publishing before the bundle is stored makes the load fail.
The same is done to the ledger's append in test_ledger_durability.py and to admission in
test_admit.py.
"""

import subprocess
import sys
from pathlib import Path

import pytest

from paths.demo import ROOT, Demo, driver_environment
from paths.furnished import MODEL, model_arguments

POINTS = 50


def drive(what: str, folder: Path) -> None:
    """Run the driver: it ends well only if every one of the points was killed and checked."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "tests/paths/kill_driver.py"), what, str(POINTS), str(folder)],
        capture_output=True,
        text=True,
        env=driver_environment(),
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.attacks("C8")
@pytest.mark.slow
def test_init_is_whole_or_absent(tmp_path: Path) -> None:
    drive("init", tmp_path)


@pytest.mark.attacks("C8")
@pytest.mark.slow
def test_a_killed_release_goes_on_from_the_ledger(tmp_path: Path) -> None:
    prepared = Demo(tmp_path / "prepared")
    prepared.json("init")
    prepared.run("model", "add", *model_arguments())
    prepared.json("evaluate", MODEL)
    drive("release", tmp_path)
