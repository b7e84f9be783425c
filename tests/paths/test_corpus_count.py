# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""`bastide corpus plan --count` counts what a build reads, goes on after a kill, and says what of
the plan is reckoned.

Broken once to prove the tests: where what was counted before is counted again, where the count of a
finished dataset stays, where workers start to count nothing, and where parts are reckoned that were
counted, they fail.
"""

import json
import re
from collections import Counter
from pathlib import Path

import pytest

from bastide.app import corpus_estimate
from bastide.app.config import Home
from bastide.app.corpora import show_dataset
from bastide.app.corpus_build import build_dataset
from bastide.app.corpus_estimate import plan_dataset
from bastide.app.corpus_pool import Pool
from paths.corpus_rig import (
    CANARY,
    PLANTED,
    copied,
    counted_jobs,
    found_home,
    kill_build,
    seeded,
    write_corpus,
)
from paths.test_corpus_cli import bastide
from paths.test_corpus_pieces import pack, write

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return found_home(tmp_path_factory.mktemp("count"))


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    return counted_jobs(monkeypatch)


@pytest.mark.parametrize("kind", ["one member", "many members"])
def test_a_count_is_what_a_build_reads(
    kind: str, empty: Home, tmp_path: Path, done: Counter[str]
) -> None:
    recipe = write(tmp_path / "corpus", "jsonl", 2_000)
    pack(recipe, kind)
    home = copied(empty, tmp_path / "home")
    with seeded(home) as env:
        row = plan_dataset(env, recipe, 2, True)
        (source,) = row["sources"]
        assert (source["documents"], source["broken"]) == (198, 2)
        assert row["parts"] == done["count_part"] > 8
        assert row["exact"] == ["files", "bytes", "documents", "characters", "broken", "parts"]
        assert row["estimated"] == ["seconds", "disk_bytes"]
        again = plan_dataset(env, recipe, 1, True)
        assert again["sources"][0]["documents"] == 198
        assert row["parts"] == done["count_part"]  # nothing was read a second time
        build_dataset(env, recipe, 2)
        (read,) = show_dataset(env, "tiny")["sources"]
        assert read["read"] == 198
        assert not [name for name in env.store.names("corpora") if "/counts/" in name]


def test_the_count_of_what_is_built_leaves_nothing_behind(empty: Home, tmp_path: Path) -> None:
    recipe = write(tmp_path / "corpus", "jsonl", 2_000)
    pack(recipe, "one member")  # decompressed for the workers, in sealed pieces
    home = copied(empty, tmp_path / "home")
    with seeded(home) as env:
        build_dataset(env, recipe, 2)
        names, files = env.store.names("corpora"), files_of(home)
        row = plan_dataset(env, recipe, 2, True)
        assert row["sources"][0]["documents"] == 198
        assert env.store.names("corpora") == names
        assert files_of(home) == files


def test_what_is_known_is_neither_reckoned_nor_asked_of_a_worker(
    empty: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = write(tmp_path / "corpus", "jsonl", 2_000)
    pack(recipe, "one member")
    home = copied(empty, tmp_path / "home")
    started, reckoned = list[int](), list[str]()
    begin, expansion = Pool.__enter__, corpus_estimate._expansion
    monkeypatch.setattr(Pool, "__enter__", lambda self: (started.append(1), begin(self))[1])
    monkeypatch.setattr(
        corpus_estimate, "_expansion", lambda file: (reckoned.append(file.name), expansion(file))[1]
    )
    with seeded(home) as env:
        first = plan_dataset(env, recipe, 2, True)
        assert (len(started), reckoned) == (1, [])
        again = plan_dataset(env, recipe, 2, True)
        assert (len(started), reckoned) == (1, [])
        plan_dataset(env, recipe, 2)
    assert again["parts"] == first["parts"]
    assert len(reckoned) == 1  # one file, as it is packed


def files_of(home: Home) -> int:
    return sum(path.is_file() for path in home.store.rglob("*"))


def test_a_count_that_was_killed_goes_on(empty: Home, tmp_path: Path, done: Counter[str]) -> None:
    recipe = write(tmp_path / "corpus", "jsonl", 2_000)
    home = copied(empty, tmp_path / "home")
    kill_build(
        home, recipe,
        lambda line: line.startswith("counting ") and not line.startswith("counting 0/"), "count",
    )  # fmt: skip
    with seeded(home) as env:
        row = plan_dataset(env, recipe, 2, True)
    assert row["sources"][0]["documents"] == 198
    assert 0 < done["count_part"] < row["parts"]


def test_what_a_build_would_refuse_is_told_and_nothing_lies_in_clear(
    empty: Home, tmp_path: Path
) -> None:
    recipe = write_corpus(tmp_path / "corpus", share=0.0)
    home = copied(empty, tmp_path / "home")
    row = json.loads(bastide(home, "plan", str(recipe), "--count", "--json").stdout)
    assert row["refused"] == ["1 of 61 places could not be read; the recipe allows a share of 0.0"]
    told = bastide(home, "plan", str(recipe)).stdout
    assert re.search(r"B  about \d+ documents", told)
    assert "reckoned from samples: documents, parts, seconds, disk_bytes" in told
    told = bastide(home, "plan", str(recipe), "--count").stdout
    assert "B  60 documents" in told
    assert "reckoned from samples: seconds, disk_bytes" in told
    for path in home.root.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            assert not [text for text in (CANARY, *PLANTED) if text.encode() in data]
