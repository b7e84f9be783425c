# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Two sections of the guides work word for word on the slice of real text: "Release a dataset" of
docs/guides/ai-engineer.md and "Keep out what may not be in" of docs/guides/corpus.md.

Console blocks are commands and what they print, as in the tutorial; a TOML block is the file that
the text before it names last.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bastide.app.config import Home
from bastide.app.environment import open_environment, read_passphrase
from bastide.stages.dataset_release import verify_released
from paths.demo import ARGV, ROOT, environment
from paths.pages import Step, console, script_of, verify_printed

GUIDES = ROOT / "docs" / "guides"


def steps(guide: str, heading: str) -> list[Step]:
    """Commands of a section in order; a TOML block becomes a command that writes it."""
    sections = re.split(r"^## ", (GUIDES / guide).read_text(), flags=re.MULTILINE)
    (section,) = [text for text in sections if text.startswith(f"{heading}\n")]
    found: list[Step] = []
    before = ""
    for piece in re.split(r"(```(?:console|toml)\n.*?```)", section, flags=re.DOTALL):
        block = re.fullmatch(r"```(console|toml)\n(.*?)```", piece, re.DOTALL)
        if block is None:
            before = piece
        elif block[1] == "toml":
            name = re.findall(r"`([a-z]+\.toml)`", before)[-1]
            found.append(Step(f"cat > {name} <<'EOF'\n{block[2]}EOF"))
        else:
            found += console(block[2])
    return found


def walk(todo: list[Step], folder: Path) -> None:
    """Run commands in one shell, and compare what each prints."""
    shutil.copytree(ROOT / "tests" / "corpora", folder / "raw")
    shim = folder / "bin" / "bastide"
    shim.parent.mkdir()
    shim.write_text(f'#!/bin/sh\nexec {shlex.join(ARGV)} "$@"\n')
    shim.chmod(0o755)
    path = f"{shim.parent}:{os.environ['PATH']}"
    script = script_of(todo)
    done = subprocess.run(
        ["bash", "-s"],
        input=script,
        cwd=folder,
        env=environment(PATH=path, PYTHON=sys.executable),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=150,
        check=False,
    )
    verify_printed(todo, done.stdout)


@pytest.mark.slow
def test_the_guide_walks_from_raw_files_to_an_approved_dataset(tmp_path: Path) -> None:
    todo = steps("ai-engineer.md", "Release a dataset")
    assert len(todo) >= 14
    walk(todo, tmp_path)
    home = Home(tmp_path / ".bastide")
    with open_environment(home, read_passphrase(home)) as env:
        verify_released(env.ledger, env.ledger.find("dataset/v1")[-1])
    assert "Example AI AB" in (tmp_path / "summary.html").read_text()
    assert json.loads((tmp_path / "out" / "croissant.json").read_text())["name"] == "welcome"


@pytest.mark.slow
def test_the_guide_keeps_out_what_may_not_be_in(tmp_path: Path) -> None:
    todo = steps("corpus.md", "Keep out what may not be in")
    assert len(todo) >= 13
    walk([Step("bastide init >/dev/null"), *todo], tmp_path)
