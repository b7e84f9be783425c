# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""An export for Megatron-LM that was killed goes on, and trusts no file that it did not finish.

Broken once to prove the tests: with a journal whose digests are not looked at, and with one that
does not say which tokenizer it is of, they fail.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from bastide.app.config import Home
from bastide.app.corpora import export_dataset
from paths.corpus_rig import seeded
from paths.test_corpus_megatron import built, made_tokenizer

__all__ = ["built"]  # a fixture

TESTS = Path(__file__).parents[1]
JOURNAL = ".export.jsonl"


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_tokenizer(tmp_path_factory.mktemp("tokenizer") / "tokenizer.json")


def killed(home: Home, tokenizer: Path, target: Path, after: int) -> None:
    """An export that is killed as it has told so many shards."""
    process = subprocess.Popen(
        [sys.executable, str(TESTS / "paths" / "megatron_driver.py"), str(home.root),
         str(tokenizer), str(target)],
        env={"PYTHONPATH": f"{TESTS.parent / 'src'}:{TESTS}", "PATH": os.environ["PATH"]},
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith(f"exporting {after}/"):
            process.send_signal(signal.SIGKILL)
    process.stdout.close()
    assert process.wait(timeout=30) == -signal.SIGKILL


def exported(home: Home, tokenizer: Path, target: Path) -> dict[str, bytes]:
    with seeded(home) as env:
        files = export_dataset(env, "mix", target, "megatron", tokenizer=tokenizer)
    assert set(target.iterdir()) == set(files)
    return {file.name: file.read_bytes() for file in files}


def times(target: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in target.glob("mix-*[nx]")}


def test_it_goes_on_where_it_was_killed(built: Home, tokenizer: Path, tmp_path: Path) -> None:
    whole = exported(built, tokenizer, tmp_path / "whole")
    target = tmp_path / "out"
    killed(built, tokenizer, target, 2)
    assert (target / JOURNAL).is_file()
    assert not (target / "dataset.json").exists()
    before = times(target)
    assert exported(built, tokenizer, target) == whole
    after = times(target)
    kept = {name for name in before if after[name] == before[name]}
    assert kept >= {f"mix-0000{at}.{end}" for at in (0, 1) for end in ("bin", "idx")}


def test_a_file_that_was_changed_is_written_again(
    built: Home, tokenizer: Path, tmp_path: Path
) -> None:
    whole = exported(built, tokenizer, tmp_path / "whole")
    target = tmp_path / "out"
    killed(built, tokenizer, target, 2)
    data = bytearray((target / "mix-00000.bin").read_bytes())
    data[5] ^= 1
    (target / "mix-00000.bin").write_bytes(data)
    (target / "mix-00001.idx").unlink()
    assert exported(built, tokenizer, target) == whole


def test_a_cut_journal_is_read_as_far_as_it_is_whole(
    built: Home, tokenizer: Path, tmp_path: Path
) -> None:
    whole = exported(built, tokenizer, tmp_path / "whole")
    target = tmp_path / "out"
    killed(built, tokenizer, target, 2)
    lines = (target / JOURNAL).read_bytes().splitlines(keepends=True)
    (target / JOURNAL).write_bytes(b"".join(lines[:2]) + b'{"shard":1,"fil')
    before = times(target)
    killed(built, tokenizer, target, 2)  # what is written behind a cut line is read, too
    assert (target / JOURNAL).read_bytes().splitlines(keepends=True) == lines
    assert exported(built, tokenizer, target) == whole
    after = times(target)
    assert after["mix-00000.bin"] == before["mix-00000.bin"]
    assert after["mix-00001.bin"] != before["mix-00001.bin"]
    (target / JOURNAL).write_bytes(b"no journal\n{}\n")
    assert exported(built, tokenizer, target) == whole


def test_nothing_of_another_tokenizer_is_taken_over(
    built: Home, tokenizer: Path, tmp_path: Path
) -> None:
    other = made_tokenizer(tmp_path / "other.json", padded=66_000)
    target = tmp_path / "out"
    killed(built, tokenizer, target, 2)
    assert exported(built, other, target) == exported(built, other, tmp_path / "whole")
