# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""A build that is killed in the join or in the merge of leaves goes on behind the ranges that were
done, with whatever number of workers, and makes the same bytes.

Broken once to prove the tests: where the number of ranges is not kept, all ranges are done again;
where what was noted outlives a damaged object, the build never ends; where a lost range of leaves
is an error of its own, no later build ends either.
"""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from bastide.app.config import Home
from bastide.app.corpora import export_dataset
from bastide.app.corpus_build import build_dataset
from paths.corpus_rig import copied, counted_jobs, found_home, kill_build, seeded, write_corpus

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
RANGES = 6  # of sixty documents, with nine rows in each at least and two workers
JOIN = ("key_range", "equal_range", "pair_range", "half_range", "edge_range", "large_range",
        "removed_range", "gone_range")  # fmt: skip


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return found_home(tmp_path_factory.mktemp("join"))


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("letters") / "corpus")


def made(home: Home, recipe: Path, target: Path, workers: int) -> tuple[str, dict[str, bytes]]:
    with seeded(home) as env:
        root = build_dataset(env, recipe, workers).body["root"]
        files = export_dataset(env, "tiny", target, "jsonl")
        assert not [name for name in env.store.names("corpora") if "/merge/" in name]
    return root, {path.name: path.read_bytes() for path in files}


@pytest.fixture(scope="module")
def whole(empty: Home, recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("whole")
    return made(copied(empty, folder / "home"), recipe, folder / "out", 1)


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    return counted_jobs(monkeypatch)


@pytest.mark.parametrize(
    ("line", "finished", "begun"),
    [
        ("merging names 2/", (), "key_range"),
        ("comparing signatures 2/", JOIN[:4], "edge_range"),
        ("finding groups, turn 1 2/", JOIN[:5], "large_range"),
        ("writing what goes 2/", JOIN[:6], "removed_range"),
        ("writing shards 1/", JOIN, ""),
        ("hashing leaves 2/", (*JOIN, "merge_leaves"), "subtrees"),
    ],
)
def test_what_was_done_before_a_kill_is_not_done_again(
    line: str, finished: tuple[str, ...], begun: str, empty: Home, recipe: Path, whole: Any,
    done: Counter[str], tmp_path: Path,
) -> None:  # fmt: skip
    home = copied(empty, tmp_path / "home")
    kill_build(home, recipe, lambda told: told.startswith(line), "rows=9")
    assert made(home, recipe, tmp_path / "out", 1) == whole
    assert not [name for name in finished if done[name]]
    if begun:
        assert 0 < done[begun] <= RANGES - 2
    later = [name for name in (*JOIN, "subtrees") if name not in (*finished, begun)]
    assert all(done[name] for name in later)


def flip(home: Home, part: str) -> None:
    (body,) = home.store.glob(f"corpora/*/merge/{part}.*.body")
    data = bytearray(body.read_bytes())
    data[-1] ^= 1
    body.write_bytes(data)


@pytest.mark.attacks("C253")
@pytest.mark.parametrize("part", ["equal-*-0", "done-edge_range-0"])
def test_a_damaged_object_of_the_join_has_it_done_anew(
    part: str, empty: Home, recipe: Path, whole: Any, done: Counter[str], tmp_path: Path
) -> None:
    home = copied(empty, tmp_path / "home")
    kill_build(home, recipe, lambda told: told.startswith("comparing signatures 6/"), "rows=9")
    flip(home, part)
    assert made(home, recipe, tmp_path / "out", 2) == whole
    assert done["key_range"]


@pytest.mark.parametrize("lost", [True, False])
def test_a_range_of_leaves_that_is_lost_or_damaged_has_them_merged_anew(
    lost: bool, empty: Home, recipe: Path, whole: Any, done: Counter[str], tmp_path: Path
) -> None:
    home = copied(empty, tmp_path / "home")
    kill_build(home, recipe, lambda told: told.startswith("hashing leaves 2/"), "rows=9")
    last = f"leaves-{RANGES - 1}"  # what is not hashed yet
    if lost:
        files = list(home.store.glob(f"corpora/*/merge/{last}*"))
        assert files
        for path in files:
            path.unlink()
    else:
        flip(home, last)
    assert made(home, recipe, tmp_path / "out", 2) == whole
    assert done["merge_leaves"]
