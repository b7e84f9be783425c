# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""In continuous integration a missing tool is a failure; elsewhere its tests are left out."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TESTS = {
    "mark": 'pytestmark = pytest.mark.skipif(True, reason="no age")\ndef test_x(): pass',
    "call": 'def test_x(): pytest.skip("needs OpenSSH")',
    "import": 'pytest.importorskip("bastide_has_no_such_part")\ndef test_x(): pass',
    "unable": 'def test_x(): pytest.skip("only root can mount a small tmpfs")',
}


@pytest.mark.parametrize("kind", TESTS)
@pytest.mark.parametrize("ci", [False, True])
def test_a_missing_tool_fails_where_ci_runs(tmp_path: Path, kind: str, ci: bool) -> None:
    (tmp_path / "conftest.py").write_text((ROOT / "tests/conftest.py").read_text())
    (tmp_path / "test_it.py").write_text(f"import pytest\n{TESTS[kind]}\n")
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    kept = {name: text for name, text in os.environ.items() if name != "BASTIDE_CI"}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", "pytest.ini"],
        cwd=tmp_path,
        env={**kept, "PYTHONPATH": str(ROOT / "tests"), **({"BASTIDE_CI": "1"} if ci else {})},
        capture_output=True,
        text=True,
        check=False,
    )
    failed = ci and kind != "unable"
    assert ("left out, which .ci/run does not allow" in done.stdout) is failed, done.stdout
    assert ("1 skipped" in done.stdout) is not failed, done.stdout
    assert (done.returncode in (1, 2)) is failed


def test_ci_says_that_it_is() -> None:
    assert "export BASTIDE_CI=1\n" in (ROOT / ".ci/run").read_text()
