# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Kills, a full disk and flipped bits: a build goes on or refuses, and its bytes are the same.

Broken once to prove the tests: without the check of what an earlier run left, and with a damaged
report that ends the build, they fail.
"""

import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from bastide.app.config import Home
from bastide.app.corpora import export_dataset
from bastide.app.corpus_build import build_dataset
from bastide.core.errors import NotAllowed, NotProven
from paths.corpus_rig import copied, found_home, seeded, write_corpus

TESTS = Path(__file__).parents[1]
DRIVER = Path(__file__).with_name("corpus_driver.py")


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return found_home(tmp_path_factory.mktemp("faults"))


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("letters") / "corpus")


@pytest.fixture(scope="module")
def wanted(empty: Home, recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("wanted")
    return finished(copied(empty, folder / "home"), recipe, folder / "out")[0]


class Stop(Exception):
    pass


def finished(home: Home, recipe: Path, target: Path) -> tuple[dict[str, bytes], list[str]]:
    """The files of the finished dataset, and what the build told."""
    told: list[str] = []
    with seeded(home) as env:
        build_dataset(env, recipe, 1, lambda what, done, total: told.append(what))
        files = export_dataset(env, "tiny", target, "jsonl")
        return {path.name: path.read_bytes() for path in files}, told


def stopped(empty: Home, recipe: Path, target: Path) -> Home:
    """A home whose build stopped when all objects were written."""
    home = copied(empty, target)

    def stop(what: str, done: int, total: int) -> None:
        if what == "hashing the dataset" and done:
            raise Stop

    with seeded(home) as env, pytest.raises(Stop):
        build_dataset(env, recipe, 1, stop)
    return home


def kind_of(path: Path) -> str:
    """What a file of a build is: its object without numbers, and header or body."""
    name = re.sub(r"[.][0-9a-f]{32}[.]", ".", "/".join(path.parts[-3:]).partition("/")[2]
                  if path.parent.name.isdigit() else path.name)  # fmt: skip
    # What the join noted is one kind: all of it is read by the same code.
    return re.sub(r"^done-[a-z_]+", "done", re.sub(r"[0-9]+", "N", name))


def flip(path: Path, rng: random.Random) -> None:
    data = bytearray(path.read_bytes())
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    path.write_bytes(data)


@pytest.mark.attacks("C119")
@pytest.mark.slow
@pytest.mark.timeout(400)  # one build for each kind
def test_a_flipped_bit_in_any_intermediate_file(
    empty: Home, recipe: Path, wanted: dict[str, bytes], tmp_path: Path
) -> None:
    rng = random.Random(4)
    base = stopped(empty, recipe, tmp_path / "base")
    kinds: dict[str, list[Path]] = {}
    for path in sorted(base.store.glob("corpora/**/*")):
        if path.is_file() and path.name != "lock":
            kinds.setdefault(kind_of(path.relative_to(base.root)), []).append(path)
    assert len(kinds) >= 20, sorted(kinds)
    for number, (kind, paths) in enumerate(sorted(kinds.items())):
        home = copied(base, tmp_path / f"home{number}")
        flip(home.root / rng.choice(paths).relative_to(base.root), rng)
        if kind.startswith("key."):
            # The key of the pseudonyms cannot be made again.
            with pytest.raises((NotProven, NotAllowed), match="key"):
                finished(home, recipe, tmp_path / f"out{number}")
            continue
        files, told = finished(home, recipe, tmp_path / f"out{number}")
        assert files == wanted, kind
        if "documents" in kind or "report" in kind or "shards" in kind:
            assert any("damaged" in line for line in told), kind
        shutil.rmtree(home.root)


def driven(home: Home, recipe: Path, *full: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-B", str(DRIVER), str(home.root), str(recipe), *full],
        env={"PYTHONPATH": os.pathsep.join([str(TESTS.parent / "src"), str(TESTS)])},
        stdout=subprocess.PIPE,
        text=True,
    )


def begun(home: Home, recipe: Path) -> subprocess.Popen[str]:
    """A build in a process of its own of which something is done: the imports of Python, in the
    workers, too, are most of its time, and a kill then proves nothing."""
    child = driven(home, recipe)
    assert child.stdout is not None
    for line in child.stdout:
        if not line.startswith(("pid ", "hashing the sources", "reading 0/")):
            return child
    raise AssertionError("the build ended before it began")


@pytest.fixture(scope="module")
def length_s(empty: Home, recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> float:
    """Seconds from the first part of a whole build to its end."""
    child = begun(copied(empty, tmp_path_factory.mktemp("measured") / "home"), recipe)
    start = time.monotonic()
    child.communicate()
    assert child.returncode == 0
    return time.monotonic() - start


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize("seed", range(10))
def test_three_kills_at_random_points(
    seed: int, empty: Home, recipe: Path, wanted: dict[str, bytes], tmp_path: Path, length_s: float
) -> None:
    rng, kills, homes, with_parts = random.Random(seed), 0, 1, 0
    home = copied(empty, tmp_path / "home0")
    while kills < 3:
        child = begun(home, recipe)
        try:
            # One kill in each third of a build.
            child.wait(length_s * rng.uniform(kills, kills + 1) / 3)
        except subprocess.TimeoutExpired:
            family = psutil.Process(child.pid).children(recursive=True)
            child.send_signal(signal.SIGKILL)
            child.communicate()
            assert not psutil.wait_procs(family, timeout=20)[1]
            with seeded(home) as env:
                done = env.ledger.find("dataset/v1")
            if not done:
                kills += 1
                with_parts += any(home.store.glob("corpora/*/parts/*/report*"))
                continue
        # It was finished sooner, said or not yet: a kill must meet one that is not.
        home, homes, length_s = copied(empty, tmp_path / f"home{homes}"), homes + 1, length_s * 0.9
    assert with_parts == 3, "a kill left no part that the next build could take over"
    assert finished(home, recipe, tmp_path / "out")[0] == wanted


@pytest.mark.parametrize("step", ["looking for duplicates", "hashing the dataset"])
def test_a_disk_that_takes_no_more(
    step: str, empty: Home, recipe: Path, wanted: dict[str, bytes], tmp_path: Path
) -> None:
    """A limit on the size of files stands for the full disk: a write fails in the middle."""
    home = copied(empty, tmp_path / "home")
    child = driven(home, recipe, step)
    said = child.communicate(timeout=60)[0]
    assert f"{step} 0/" in said
    assert "built" not in said
    assert child.returncode > 0
    with seeded(home) as env:
        assert env.ledger.find("dataset/v1") == []
    assert finished(home, recipe, tmp_path / "out")[0] == wanted
