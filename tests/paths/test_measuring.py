# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What a node measures of its software changes with every file that an import would run.

To see these tests fail I once broke the code: packages by the text of their RECORD, as it was
before, and runners that read compiled caches.
"""

import importlib.metadata
import py_compile
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bastide.app.children import UNCACHED
from paths.demo import ROOT

# A package that Bastide asks for, and that measuring imports by no way.
PACKAGE = "hyperframe"
MEASURE = "from bastide.app.measuring import measure_node; print(measure_node('llamacpp', 'none'))"


def python(folder: Path, code: str, *flags: str) -> str:
    """What a new Python says that finds `folder` before the installed packages."""
    paths = f"{folder}:{ROOT / 'src'}"
    environment = {"PYTHONPATH": paths, "PATH": "/usr/bin:/bin"}
    command = [sys.executable, "-P", *flags, "-c", code]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    return done.stdout


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return copied(tmp_path)


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What an untouched copy gives, in another folder than those of the tests."""
    return python(copied(tmp_path_factory.mktemp("honest")), MEASURE)


def copied(folder: Path) -> Path:
    """The package and what is known of it, copied."""
    for path in {Path(str(row.locate())) for row in importlib.metadata.files(PACKAGE) or ()}:
        inside = path.resolve().relative_to(Path(sys.prefix).resolve())
        parts = inside.parts[inside.parts.index("site-packages") + 1 :]
        if "__pycache__" not in parts:
            (folder / Path(*parts)).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, folder / Path(*parts))
    return folder


def _change(folder: Path) -> None:
    with (folder / PACKAGE / "frame.py").open("a") as file:
        file.write("\n# one line more\n")


def _add(folder: Path) -> None:
    (folder / PACKAGE / "more.py").write_text("")


def _start(folder: Path) -> None:
    (folder / "more.pth").write_text("import os\n")


def _customize(folder: Path) -> None:
    (folder / "sitecustomize.py").write_text("")


@pytest.mark.attacks("C255")
@pytest.mark.parametrize("tamper", [_change, _add, _start, _customize])
def test_a_file_that_python_would_run_changes_the_measurement(
    folder: Path, honest: str, tamper: Callable[[Path], None]
) -> None:
    tamper(folder)
    assert python(folder, MEASURE) != honest


def test_what_a_file_of_paths_imports_is_measured(tmp_path: Path) -> None:
    code = "from bastide.app.measuring import _startup; print(_startup())"
    (tmp_path / "more.pth").write_text("import later; later.begin()\n")
    (tmp_path / "later.py").write_text("")
    before = python(tmp_path, code)
    (tmp_path / "later.py").write_text("begin = print\n")
    assert python(tmp_path, code) != before


def test_an_archive_that_comes_first_is_measured(tmp_path: Path) -> None:
    code = "from bastide.app.measuring import _interpreter; print(_interpreter())"
    archive = tmp_path / "python.zip"
    archive.write_bytes(b"PK\5\6" + bytes(18))
    assert str(archive) in python(archive, code)


def test_an_engine_reads_caches_where_its_runner_does(tmp_path: Path) -> None:
    code = "from bastide.adapters.engine.starting import cache_flags; print(*cache_flags())"
    assert python(tmp_path, code) == "\n"
    assert python(tmp_path, code, *UNCACHED).split() == [*UNCACHED]


def test_where_it_lies_and_what_was_compiled_change_nothing(folder: Path, honest: str) -> None:
    py_compile.compile(str(folder / PACKAGE / "frame.py"))
    assert python(folder, MEASURE) == honest


def test_a_command_and_a_service_measure_the_same(folder: Path) -> None:
    """Python puts the folder of a program first, and of `-P` nothing."""
    (folder / "more.pth").write_text("# what setuptools leaves beside the packages\n")
    (folder / "program").mkdir()
    service = python(folder, MEASURE)
    begin = f"import sys; sys.path.insert(0, {str(folder / 'program')!r}); "
    assert python(folder, begin + MEASURE) == service


@pytest.mark.attacks("C255")
def test_a_forged_cache_is_not_read_where_nodes_are_measured(tmp_path: Path) -> None:
    source = tmp_path / "one.py"
    source.write_text("print('honest')\n")
    (tmp_path / "two.py").write_text("print('forged')\n")
    stamp = source.stat()
    # A cache names its source's time and size, and nothing else of it.
    shutil.copystat(source, tmp_path / "two.py")
    assert (tmp_path / "two.py").stat().st_size == stamp.st_size
    forged = py_compile.compile(str(tmp_path / "two.py"))
    assert forged is not None
    cache = Path(forged.replace("two.", "one."))
    Path(forged).rename(cache)
    assert python(tmp_path, "import one") == "forged\n"
    assert python(tmp_path, "import one", *UNCACHED) == "honest\n"
