# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""docs/tutorial.md works word for word, in a copy of this tree, from `make up` on.

tests/paths/pages.py says how a page is read.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from paths.demo import ROOT
from paths.pages import Step, console, script_of, verify_printed

PAGE = ROOT / "docs" / "tutorial.md"


def steps() -> list[Step]:
    """Commands in order; a Python block becomes a command that runs it."""
    found: list[Step] = []
    for kind, text in re.findall(r"```(console|python)\n(.*?)```", PAGE.read_text(), re.DOTALL):
        if kind == "python":
            run = f"URL=$URL KEY=$KEY {sys.executable} - <<'EOF'\n{text}EOF"
            found.append(Step(run, "...Stockholm..."))
            continue
        found += console(text)
    return found


def copy_of_the_tree(target: Path) -> None:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        source = ROOT / name
        if source.is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target / name)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_tutorial_word_for_word(tmp_path: Path) -> None:
    todo = steps()
    assert len(todo) > 20
    copy_of_the_tree(tmp_path)
    script = script_of(todo)
    # The reader's own shell, with its settings for the package index; nothing of this test run.
    ours = ("PYTHON", "PYTEST", "VIRTUAL_ENV", "BASTIDE", "COV", "MAKE", "MFLAGS")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    try:
        done = subprocess.run(
            ["bash", "-s"],
            input=script,
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=540,
            check=False,
        )
    finally:
        subprocess.run(["make", "down"], cwd=tmp_path, capture_output=True, check=False)
    verify_printed(todo, done.stdout)
