# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The import contracts of pyproject.toml hold, and each breaks when one import offends it."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"][
    "contracts"
]
PURE = next(row for row in CONTRACTS if row["type"] == "forbidden")

DOWN = "Imports point down"
APART = "Stages never import each other: they meet in the ledger"
WIRING = "Only the wiring in app may import adapters"
ADAPTERS = "Adapter folders stay apart"
PURITY = "The pure core touches no disk, no network, no clock"
CYCLES = "No cycles anywhere"

# Per case: the contract that must break, and what is planted. Nothing else may break.
OFFENCES: dict[str, tuple[str, dict[str, str]]] = {
    "catalogue reads catalogue": (
        DOWN,
        {"gates/planted.py": "from bastide.dialects import frames"},
    ),
    "package without a place": (DOWN, {"planted/__init__.py": ""}),
    "crypto knows a suite": (DOWN, {"crypto/planted.py": "import bastide.suites.scoring"}),
    "stage calls stage": (APART, {"stages/planted.py": "from bastide.stages import release"}),
    "face reaches an adapter": (
        WIRING,
        {"cli/planted.py": "from bastide.adapters.clock import system"},
    ),
    "use case reaches an adapter": (
        WIRING,
        {"app/planted.py": "from bastide.adapters.clock import fixed"},
    ),
    "adapter borrows from adapter": (
        ADAPTERS,
        {"adapters/clock/planted.py": "from bastide.adapters.entropy import system"},
    ),
    "core reads the disk": (PURITY, {"core/planted.py": "import pathlib"}),
    "gate reaches it through a friend": (
        PURITY,
        {
            "gates/planted.py": "from bastide.core import planted",
            "core/planted.py": "import subprocess",
        },
    ),
    "circle": (
        CYCLES,
        {
            "cli/planted.py": "from bastide.cli import planted_too",
            "cli/planted_too.py": "from bastide.cli import planted",
        },
    ),
}


def lint(source: Path) -> tuple[dict[str, str], str]:
    """Check a source tree: each contract with KEPT or BROKEN, and the whole report."""
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "from importlinter.cli import lint_imports_command as main; main()",
            "--config",
            str(ROOT / "pyproject.toml"),
            "--no-cache",
            "--no-logo",
        ],
        cwd=source.parent,
        env={**os.environ, "PYTHONPATH": str(source), "NO_COLOR": "1", "COLUMNS": "300"},
        capture_output=True,
        text=True,
        check=False,
    )
    found = re.findall(r"^(.+) (KEPT|BROKEN)\b", done.stdout, re.MULTILINE)
    assert found, done.stdout + done.stderr
    assert (done.returncode == 0) == all(state == "KEPT" for _, state in found)
    return dict(found), done.stdout


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A copy of our sources that a test may spoil."""
    return Path(
        shutil.copytree(
            ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__")
        )
    )


def plant(source: Path, files: dict[str, str]) -> None:
    for name, line in files.items():
        path = source / "bastide" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(line + "\n")


def test_every_contract_holds() -> None:
    states, report = lint(ROOT / "src")
    assert states == {row["name"]: "KEPT" for row in CONTRACTS}, report


@pytest.mark.parametrize("case", OFFENCES)
def test_an_offence_breaks_its_contract_alone(case: str, source: Path) -> None:
    contract, files = OFFENCES[case]
    plant(source, files)
    states, report = lint(source)
    assert [name for name, state in states.items() if state == "BROKEN"] == [contract], report


def test_every_contract_has_an_offence() -> None:
    assert {contract for contract, _ in OFFENCES.values()} == {row["name"] for row in CONTRACTS}


def test_every_forbidden_module_is_caught_in_every_pure_folder(source: Path) -> None:
    lines = "\n".join(f"import {name}" for name in PURE["forbidden_modules"])
    for package in PURE["source_modules"]:
        plant(source, {f"{package.removeprefix('bastide.')}/planted.py": lines})
    _, report = lint(source)
    for package in PURE["source_modules"]:
        for name in PURE["forbidden_modules"]:
            assert re.search(rf"{package}\.planted -> {name} ", report), (package, name)
