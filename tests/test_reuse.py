# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Every file states its copyright and its licence (REUSE 3.3), and the texts are whole."""

import hashlib
import json
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]


def lint(root: Path) -> tuple[int, dict[str, object]]:
    done = subprocess.run(
        [sys.executable, "-m", "reuse", "--root", str(root), "lint", "--json"],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, json.loads(done.stdout)


def test_the_repository_is_compliant() -> None:
    status, report = lint(ROOT)
    assert status == 0, report["non_compliant"]


def test_a_file_without_a_licence_is_found(tmp_path: Path) -> None:
    (tmp_path / "naked.py").write_text("x = 1\n")
    status, report = lint(tmp_path)
    assert status != 0
    assert "naked.py" in str(report["non_compliant"])


def test_the_licence_at_the_root_is_that_of_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    text = (ROOT / "LICENSE").read_bytes()
    assert text == (ROOT / "LICENSES" / f"{project['license']}.txt").read_bytes()
    # The text at https://www.apache.org/licenses/LICENSE-2.0.txt.
    known = "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30"
    assert hashlib.sha256(text).hexdigest() == known
