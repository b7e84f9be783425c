# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Every package that pyproject.toml names is locked, so that a fresh machine has it too."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
REQUIREMENTS = ROOT / "requirements"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
RUNTIME = PROJECT["project"]["dependencies"]
EXTRAS = PROJECT["project"]["optional-dependencies"]
GROUPS = PROJECT["dependency-groups"]


def group(name: str) -> list[str]:
    """The requirements of a dependency group, with those of the groups that it includes."""
    out: list[str] = []
    for row in GROUPS[name]:
        out += [row] if isinstance(row, str) else group(row["include-group"])
    return out


# What `make test` installs serves every test, so it must hold every extra as well.
WANTED = {
    "runtime.txt": RUNTIME,
    "corpus.txt": RUNTIME + EXTRAS["corpus"],
    "model.txt": group("model"),
    "dev.txt": RUNTIME + group("dev") + [row for extra in EXTRAS.values() for row in extra],
}


def named(requirement: str) -> tuple[str, str]:
    """The normalised name of a requirement (PEP 503), and the version it is pinned to, or ''."""
    name = re.split(r"[\[=<>!~; ]", requirement, maxsplit=1)[0]
    pinned = re.search(r"==\s*([^\s;]+)", requirement)
    return re.sub(r"[-_.]+", "-", name).lower(), pinned.group(1) if pinned else ""


@pytest.mark.parametrize("lock", WANTED)
def test_a_lock_holds_what_the_project_names(lock: str) -> None:
    locked = dict(re.findall(r"^([a-z0-9.-]+)==(\S+)", (REQUIREMENTS / lock).read_text(), re.M))
    missing = [row for row in WANTED[lock] if named(row)[0] not in locked]
    assert not missing, f"compile requirements/{lock} again: it lacks {missing}"
    drifted = [row for row in WANTED[lock] if named(row)[1] not in ("", locked[named(row)[0]])]
    assert not drifted, f"requirements/{lock} pins other versions than {drifted}"
