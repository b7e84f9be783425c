# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What a command says where the packages of its extra are not installed: what to type, exactly.

Each test makes an environment of its own that lacks some packages, and runs the command in it.
"""

import json
import subprocess
import sys
import sysconfig
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from bastide.app.extras import EXTRAS

ROOT = Path(__file__).parents[2]
CORPUS = EXTRAS["corpus"][1]


def told_of(url: str, **more: Any) -> str:
    """What PEP 610 keeps of an installation."""
    return json.dumps({"url": url, **(more or {"dir_info": {}})})


def make_environment(
    place: Path, hidden: Sequence[str], came_from: str | None, pip: bool = False
) -> Path:
    """An environment with the packages of this one but for some. Returns its Python."""
    subprocess.run(
        [sys.executable, "-m", "venv", "--without-pip", str(place)], check=True, timeout=120
    )
    python = place / "bin" / "python"
    (site,) = place.glob("lib/python3*/site-packages")
    for path in Path(sysconfig.get_paths()["purelib"]).iterdir():
        name = path.name.partition(".")[0].partition("-")[0]
        if name not in {*hidden, "bastide", "pip", "__editable__"} and path.suffix != ".pth":
            (site / path.name).symlink_to(path)
    (site / "bastide").symlink_to(ROOT / "src" / "bastide")
    told = site / "bastide-0.1.0.dist-info"
    told.mkdir()
    (told / "METADATA").write_text("Metadata-Version: 2.3\nName: bastide\nVersion: 0.1.0\n")
    if came_from is not None:
        (told / "direct_url.json").write_text(came_from)
    if pip:
        (site / "pip").mkdir()
        (site / "pip" / "__init__.py").touch()
    return python


def asked(python: Path, *arguments: str) -> tuple[int, str]:
    done = subprocess.run(
        [str(python), "-B", "-c", "from bastide.cli import main; main()", *arguments],
        capture_output=True, text=True, check=False, timeout=120, env={"PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    return done.returncode, done.stderr


def test_in_a_checkout_the_first_corpus_command_says_make_corpus(tmp_path: Path) -> None:
    checkout = tmp_path / "a checkout"
    (checkout / "requirements").mkdir(parents=True)
    (checkout / "requirements" / "corpus.txt").touch()
    python = make_environment(checkout / ".venv", CORPUS, told_of(checkout.as_uri()))
    status, told = asked(python, "corpus", "check", str(tmp_path))
    assert status == 2
    assert f"not installed: {', '.join(CORPUS)}\n" in told
    assert f"fix: make -C '{checkout}' corpus\n" in told
    assert asked(python, "corpus", "--help") == (0, "")


@pytest.mark.parametrize(
    ("came_from", "pip", "command"),
    [
        (None, True, "{python} -m pip install 'bastide[corpus]'"),
        (None, False, "uv pip install --python {python} 'bastide[corpus]'"),
        (told_of(Path(__file__).as_uri(), archive_info={}), True, "{python} -m pip install"
         f" 'bastide[corpus] @ {Path(__file__).as_uri()}'"),
        (told_of("file:///gone/bastide-0.1.0-py3-none-any.whl", archive_info={}), True,
         "{python} -m pip install 'bastide[corpus]'"),
        (told_of("https://host/repo.git", vcs_info={"vcs": "git", "commit_id": "0a1b"}), True,
         "{python} -m pip install 'bastide[corpus] @ git+https://host/repo.git@0a1b'"),
    ],
)  # fmt: skip
def test_elsewhere_it_names_the_extra_of_the_same_bastide(
    tmp_path: Path, came_from: str | None, pip: bool, command: str
) -> None:
    python = make_environment(tmp_path / "venv", ["zstandard"], came_from, pip)
    status, told = asked(python, "corpus", "check", str(tmp_path))
    assert status == 2
    assert "not installed: zstandard\n" in told
    assert f"fix: {command.format(python=python)}\n" in told


def test_the_modules_of_an_extra_are_those_of_its_packages() -> None:
    named = {"google-re2": "re2", "pyyaml": "yaml"}
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for extra, (_, modules) in EXTRAS.items():
        wanted = set()
        for line in extras["optional-dependencies"][extra]:
            name = line.partition(">")[0].partition("=")[0].partition("[")[0]
            wanted.add(named.get(name, name))
        assert set(modules) - {"fastwarc"} == wanted  # which comes with resiliparse
