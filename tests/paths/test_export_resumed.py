# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""An export for Megatron-LM, or as a collection, that was killed goes on, on a disk and in a
bucket, and trusts no file that it did not finish.

Broken once to prove the tests: with a journal whose digests are not looked at, with one that does
not say what is exported, and with a mark that does not, they fail.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bastide.app import corpus_export_megatron, corpus_export_openeurollm
from bastide.app.config import Home
from bastide.app.corpora import export_dataset, show_dataset
from bastide.core.errors import Misconfigured, NotProven, Unavailable
from contracts.s3_server import S3Server, running_server
from paths.corpus_rig import copied, seeded
from paths.test_corpus_megatron import built, made_tokenizer
from paths.test_object_store import in_bucket

__all__ = ["built"]  # a fixture

TESTS = Path(__file__).parents[1]
JOURNAL = ".export.jsonl"
FORMS = ("megatron", "openeurollm")


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_tokenizer(tmp_path_factory.mktemp("tokenizer") / "tokenizer.json")


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    with running_server() as server:
        yield server


def files_of(target: Path) -> dict[str, bytes]:
    return {
        path.relative_to(target).as_posix(): path.read_bytes()
        for path in target.rglob("*")
        if path.is_file()
    }


def times(target: Path) -> dict[str, int]:
    every = ("*.bin", "*.idx", "*.zst")
    return {
        path.relative_to(target).as_posix(): path.stat().st_mtime_ns
        for ending in every
        for path in target.rglob(ending)
    }


def killed(home: Home, target: Path, form: str, tokenizer: Path, after: int) -> None:
    """An export that is killed as it has told so many shards."""
    more = [str(tokenizer)] if form == "megatron" else []
    process = subprocess.Popen(
        [sys.executable, str(TESTS / "paths" / "export_driver.py"), str(home.root), str(target),
         form, *more],
        env={"PYTHONPATH": f"{TESTS.parent / 'src'}:{TESTS}", "PATH": os.environ["PATH"]},
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith(f"exporting {after}/"):
            process.send_signal(signal.SIGKILL)
    process.stdout.close()
    assert process.wait(timeout=60) == -signal.SIGKILL


def exported(home: Home, target: Path | str, form: str, tokenizer: Path) -> list[Path]:
    with seeded(home) as env:
        return export_dataset(
            env, "mix", target, form, tokenizer=tokenizer if form == "megatron" else None
        )


@pytest.mark.parametrize("form", FORMS)
def test_it_goes_on_where_it_was_killed(
    built: Home, tokenizer: Path, tmp_path: Path, form: str
) -> None:
    exported(built, tmp_path / "whole", form, tokenizer)
    target = tmp_path / "out"
    killed(built, target, form, tokenizer, 2)
    assert (target / JOURNAL).is_file()
    assert not (target / "dataset.json").exists()
    before = times(target)
    written = exported(built, target, form, tokenizer)
    assert files_of(target) == files_of(tmp_path / "whole")
    assert len(written) == len(files_of(target))
    after = times(target)
    kept = [name for name in before if after[name] == before[name]]
    assert len(kept) >= (4 if form == "megatron" else 2), "a finished shard was written again"


@pytest.mark.parametrize("form", FORMS)
def test_a_file_that_was_changed_is_written_again(
    built: Home, tokenizer: Path, tmp_path: Path, form: str
) -> None:
    exported(built, tmp_path / "whole", form, tokenizer)
    target = tmp_path / "out"
    killed(built, target, form, tokenizer, 2)
    first, second = sorted(target / name for name in times(target))[:2]
    data = bytearray(first.read_bytes())
    data[5] ^= 1
    first.write_bytes(data)
    second.unlink()
    exported(built, target, form, tokenizer)
    assert files_of(target) == files_of(tmp_path / "whole")


def test_a_cut_journal_is_read_as_far_as_it_is_whole(
    built: Home, tokenizer: Path, tmp_path: Path
) -> None:
    exported(built, tmp_path / "whole", "megatron", tokenizer)
    whole = files_of(tmp_path / "whole")
    target = tmp_path / "out"
    killed(built, target, "megatron", tokenizer, 2)
    lines = (target / JOURNAL).read_bytes().splitlines(keepends=True)[:3]
    (target / JOURNAL).write_bytes(b"".join(lines[:2]) + b'{"shard":1,"fil')
    before = times(target)
    killed(built, target, "megatron", tokenizer, 2)  # what is behind a cut line is read, too
    assert (target / JOURNAL).read_bytes().splitlines(keepends=True)[:3] == lines
    exported(built, target, "megatron", tokenizer)
    assert files_of(target) == whole
    after = times(target)
    assert after["mix-00000.bin"] == before["mix-00000.bin"]
    assert after["mix-00001.bin"] != before["mix-00001.bin"]


def test_nothing_of_another_export_is_taken_over(
    built: Home, tokenizer: Path, tmp_path: Path
) -> None:
    other = made_tokenizer(tmp_path / "other.json", padded=66_000)
    target = tmp_path / "out"
    killed(built, target, "megatron", tokenizer, 2)
    exported(built, target, "megatron", other)
    exported(built, tmp_path / "whole", "megatron", other)
    assert files_of(target) == files_of(tmp_path / "whole")


def test_a_collection_goes_on_in_no_folder_that_holds_something_else(
    built: Home, tokenizer: Path, tmp_path: Path
) -> None:
    target = tmp_path / "out"
    killed(built, target, "openeurollm", tokenizer, 2)
    (target / "mix-letters" / "source" / "more.jsonl.zst").write_bytes(b"a text of somebody else")
    before = files_of(target)
    with pytest.raises(Misconfigured, match="is not empty"):
        exported(built, target, "openeurollm", tokenizer)
    assert files_of(target) == before


@pytest.mark.parametrize("form", FORMS)
def test_a_broken_shard_leaves_nothing_of_itself(
    built: Home, tokenizer: Path, tmp_path: Path, form: str
) -> None:
    home = copied(built, tmp_path / "home")
    with seeded(home) as env:
        shards = [shard["object"] for shard in show_dataset(env, "mix")["shards"]]
        with env.store.open(shards[1]) as reader:
            whole = reader.read_at(0, reader.size)
        for number in (0, 1):
            with env.store.open(shards[number]) as reader:
                own = reader.read_at(0, reader.size)
            with env.store.open(shards[2]) as reader:
                env.store.put(shards[number], [reader.read_at(0, reader.size)])
            target = tmp_path / f"broken-{number}"
            with pytest.raises(NotProven, match=shards[number]):
                exported(home, target, form, tokenizer)
            names = set(files_of(target))
            assert not [name for name in names if f"0000{number}." in name]
            assert (JOURNAL in names) is (number == 1), "what was finished may be gone on with"
            env.store.put(shards[number], [own])
    exported(home, tmp_path / "broken-1", form, tokenizer)
    exported(home, tmp_path / "whole", form, tokenizer)
    assert files_of(tmp_path / "broken-1") == files_of(tmp_path / "whole")
    assert whole


# Buckets


def objects(server: S3Server, bucket: str, prefix: str) -> dict[str, bytes]:
    client = server.client()
    return {
        key.removeprefix(prefix): client.get_object(Bucket=bucket, Key=key)["Body"].read()
        for key in server.keys(bucket)
        if key.startswith(prefix)
    }


@pytest.mark.parametrize("form", FORMS)
def test_an_export_to_a_bucket_that_was_cut_off_goes_on(
    built: Home, tokenizer: Path, server: S3Server, tmp_path: Path, form: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    home, bucket = in_bucket(server, built, tmp_path, store=False)
    module = {"megatron": corpus_export_megatron, "openeurollm": corpus_export_openeurollm}[form]
    original, begun = module.whole, list[str]()

    def whole(path: Path, mark: str = "") -> object:
        begun.append(path.name)
        if len(begun) == 5:
            server.kill()
        return original(path, mark)

    monkeypatch.setattr(module, "whole", whole)
    to = f"s3://{bucket}/cut/it"
    try:
        with pytest.raises(Unavailable):
            exported(home, to, form, tokenizer)
    finally:
        server.start()
    there = objects(server, bucket, "cut/it/")
    assert there
    assert "dataset.json" not in there
    exported(home, to, form, tokenizer)
    again = [name for name in begun if begun.count(name) > 1]
    first = "mix-00000.bin" if form == "megatron" else "00000.jsonl.zst"
    assert first in begun
    assert first not in again, "a finished shard was written again"
    exported(home, tmp_path / "whole", form, tokenizer)
    assert objects(server, bucket, "cut/it/") == files_of(tmp_path / "whole")


def test_in_a_bucket_only_files_with_the_mark_of_the_export_stay(
    built: Home, tokenizer: Path, server: S3Server, tmp_path: Path
) -> None:
    home, bucket = in_bucket(server, built, tmp_path, store=False)
    to, client = f"s3://{bucket}/out", server.client()
    other = made_tokenizer(tmp_path / "other.json", padded=66_000)
    exported(home, to, "megatron", other)
    client.put_object(Bucket=bucket, Key="out/mix-00001.bin", Body=b"not ours")
    exported(home, to, "megatron", tokenizer)
    exported(home, tmp_path / "whole", "megatron", tokenizer)
    assert objects(server, bucket, "out/") == files_of(tmp_path / "whole")
    client.put_object(Bucket=bucket, Key="coll/mix-letters/source/und_Zyyy/00000.jsonl.zst",
                      Body=b"not ours")  # fmt: skip
    with pytest.raises(Misconfigured, match="is not empty"):
        exported(home, f"s3://{bucket}/coll", "openeurollm", tokenizer)
