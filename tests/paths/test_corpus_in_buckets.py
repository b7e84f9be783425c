# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Sources of a corpus in an object store, and exports to one, by a real server that is killed."""

import glob
import hashlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bastide.app import corpus_export_jsonl
from bastide.app.config import Home
from bastide.app.corpora import export_dataset, show_dataset
from bastide.app.corpus_build import build_dataset
from bastide.app.corpus_far_files import _expression
from bastide.app.environment import open_environment, read_passphrase
from bastide.core.errors import Misconfigured, NotFound, Refused, Unavailable
from contracts.s3_server import S3Server, running_server
from paths.corpus_rig import CANARY, PLANTED, copied, found_home, seeded, write_corpus
from paths.demo import ARGV, environment
from paths.test_object_store import build, in_bucket


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    with running_server() as server:
        yield server


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return found_home(tmp_path_factory.mktemp("base"))


def uploaded(server: S3Server, bucket: str, folder: Path) -> Path:
    """A recipe whose texts are in a bucket and nowhere else."""
    recipe = write_corpus(folder)
    for path in sorted((folder / "letters").iterdir()):
        server.client().upload_file(str(path), bucket, f"raw/Letters of 2026/{path.name}")
        path.unlink()
    server.client().put_object(Bucket=bucket, Key="raw/Letters of 2026/.hidden.jsonl", Body=b"{")
    server.client().put_object(Bucket=bucket, Key="raw/other.txt", Body=b"no text of ours")
    text = recipe.read_text()
    recipe.write_text(text.replace("letters/*.jsonl", f"s3://{bucket}/raw/*/*.jsonl"))
    return recipe


def counted(home: Home) -> tuple[int, int]:
    with open_environment(home, read_passphrase(home)) as env:
        row = show_dataset(env, "tiny")
        return row["documents"], row["chars"]


@pytest.mark.attacks("C208")
def test_sources_in_a_bucket_make_the_same_documents(
    server: S3Server, base: Home, tmp_path: Path
) -> None:
    near = copied(base, tmp_path / "near")
    build(near, write_corpus(tmp_path / "local"))
    home, bucket = in_bucket(server, base, tmp_path, store=False)
    recipe = uploaded(server, bucket, tmp_path / "corpus")
    done = subprocess.run(
        [*ARGV, "corpus", "plan", str(recipe), "--home", str(home.root)],
        capture_output=True, text=True, env=environment(), check=True,
    )  # fmt: skip
    assert "6 files" in done.stdout
    one = build(home, recipe, workers=1)
    assert counted(home) == counted(near)
    other = copied(base, tmp_path / "other")
    other.config.write_text(home.config.read_text())
    assert build(other, recipe, workers=2) == one
    for path in home.root.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            assert not [text for text in (CANARY, *PLANTED) if text.encode() in data]


def test_sources_that_are_not_there_or_change(server: S3Server, base: Home, tmp_path: Path) -> None:
    home, bucket = in_bucket(server, base, tmp_path, store=False)
    recipe = uploaded(server, bucket, tmp_path / "corpus")
    text = recipe.read_text()
    for path, error, words in (
        (f"s3://{bucket}/raw/none/*.jsonl", NotFound, "has no file"),
        ("s3://no-such-bucket/raw/*.jsonl", Misconfigured, "has no bucket"),
        ("s3://UPPER/raw/*.jsonl", Misconfigured, "no place"),
    ):
        recipe.write_text(text.replace(f"s3://{bucket}/raw/*/*.jsonl", path))
        with pytest.raises(error, match=words):
            build(home, recipe)
    recipe.write_text(text.replace('reader = "jsonl"', 'reader = "openeurollm"'))
    with pytest.raises(Misconfigured):
        build(home, recipe)
    recipe.write_text(text)
    key = "raw/Letters of 2026/5.jsonl"
    content = server.client().get_object(Bucket=bucket, Key=key)["Body"].read()

    def change(what: str, done: int, total: int) -> None:
        if what != "hashing the sources":
            server.client().put_object(Bucket=bucket, Key=key, Body=content.replace(b"d5", b"e5"))

    with seeded(home) as env, pytest.raises(Refused, match="changed while it was read"):
        build_dataset(env, recipe, 1, change)

    def kill(what: str, done: int, total: int) -> None:
        if what != "hashing the sources" and server.process is not None:
            server.kill()

    try:
        with seeded(home) as env, pytest.raises(Unavailable, match=r"no connection|broke"):
            build_dataset(env, recipe, 1, kill)
    finally:
        server.start()
    assert build(home, recipe)


@pytest.mark.parametrize("form", ["jsonl", "parquet", "croissant", "openeurollm"])
def test_an_export_to_a_bucket_is_what_it_is_on_a_disk(
    form: str, server: S3Server, built: tuple[Home, str], tmp_path: Path
) -> None:
    home, bucket = built
    with open_environment(home, read_passphrase(home)) as env:
        export_dataset(env, "tiny", tmp_path / "out", form)
    to = f"s3://{bucket}/out-{form}"
    done = subprocess.run(
        [*ARGV, "corpus", "export", "tiny", "--to", to, "--form", form, "--home", str(home.root)],
        capture_output=True, text=True, env=environment(), check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    client = server.client()
    wanted = {
        f"out-{form}/{path.relative_to(tmp_path / 'out').as_posix()}": path.read_bytes()
        for path in (tmp_path / "out").rglob("*")
        if path.is_file()
    }
    keys = [key for key in server.keys(bucket) if key.startswith(f"out-{form}/")]
    found = {key: client.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys}
    assert found == wanted


@pytest.fixture(scope="module")
def built(
    server: S3Server, base: Home, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Home, str]:
    folder = tmp_path_factory.mktemp("built")
    home, bucket = in_bucket(server, base, folder, store=False)
    build(home, write_corpus(folder / "corpus"))
    return home, bucket


@pytest.mark.attacks("C209")
def test_an_export_that_was_cut_off_goes_on(
    server: S3Server, built: tuple[Home, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    home, bucket = built
    written: list[str] = []
    original = corpus_export_jsonl._write

    def write(export, shard, file) -> None:
        written.append(shard.object)
        if len(written) == 2:
            file.write(b"half of it")
            server.kill()
        original(export, shard, file)

    monkeypatch.setattr(corpus_export_jsonl, "_write", write)
    with open_environment(home, read_passphrase(home)) as env:
        with pytest.raises(Unavailable):
            export_dataset(env, "tiny", f"s3://{bucket}/cut", "jsonl")
        server.start()
        keys = [key for key in server.keys(bucket) if key.startswith("cut/")]
        assert keys == ["cut/tiny-00000.jsonl.zst"]  # nothing half-written, and no manifest
        export_dataset(env, "tiny", f"s3://{bucket}/cut", "jsonl")
        assert written.count(written[0]) == 1  # it was there already
        export_dataset(env, "tiny", f"s3://{bucket}/whole", "jsonl")
    data = {
        name: [
            server.client().get_object(Bucket=bucket, Key=key)["Body"].read()
            for key in server.keys(bucket)
            if key.startswith(name)
        ]
        for name in ("cut/", "whole/")
    }
    assert len(data["cut/"]) > 2
    assert data["cut/"] == data["whole/"]


def test_a_source_that_fails_leaves_no_file(
    server: S3Server, built: tuple[Home, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    home, bucket = built

    def write(export, shard, file) -> None:
        file.write(bytes(20 << 20))
        raise RuntimeError("the shard is bad")

    monkeypatch.setattr(corpus_export_jsonl, "_write", write)
    with open_environment(home, read_passphrase(home)) as env, pytest.raises(RuntimeError):
        export_dataset(env, "tiny", f"s3://{bucket}/bad", "jsonl")
    assert not [key for key in server.keys(bucket) if key.startswith("bad/")]
    assert not server.client().list_multipart_uploads(Bucket=bucket).get("Uploads")


MEASURE = """
import resource, sys
from pathlib import Path
from bastide.app.config import Home
from bastide.app.corpus_files import InputFile, hash_file
home, url = sys.argv[1:]
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
hash_file(InputFile(url + "-warm", url + "-warm", 0, home=home))
before = peak()
file = hash_file(InputFile(url, url, 0, home=home))
print(file.size, file.digest, peak() - before)
"""


def test_memory_does_not_grow_with_a_source(server: S3Server, base: Home, tmp_path: Path) -> None:
    home, bucket = in_bucket(server, base, tmp_path, store=False)
    data = os.urandom(160 << 20)
    server.client().put_object(Bucket=bucket, Key="raw/x", Body=data)
    server.client().put_object(Bucket=bucket, Key="raw/x-warm", Body=data[: 24 << 20])
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(home.root), f"s3://{bucket}/raw/x"],
        capture_output=True, text=True, env=environment(), check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    size, digest, grown = done.stdout.split()
    assert (int(size), digest) == (len(data), hashlib.sha256(data).hexdigest())
    assert int(grown) < 24 * 1024  # KiB


@pytest.mark.parametrize(
    "pattern",
    ["*.jsonl", "a/*.jsonl", "**/*.jsonl", "a/**/*.jsonl", "*/*/x?.jsonl", "a/b/x[0-9].jsonl",
     "a/b/x[!1].jsonl", "**/.hidden/*", "a/b/x1.jsonl", "*/.*"],
)  # fmt: skip
def test_a_pattern_means_what_it_means_on_a_disk(pattern: str, tmp_path: Path) -> None:
    names = ["x", ".x", "a/x", "a/.x", "a/b/x1", "a/b/x2", "a/b/xy", ".hidden/x", "a/.hidden/x"]
    for name in ["a/b/x1xjsonl", *(f"{name}.jsonl" for name in names)]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    files = [
        path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()
    ]
    wanted = {
        name
        for name in glob.glob(pattern, root_dir=tmp_path, recursive=True)  # noqa: PTH207
        if (tmp_path / name).is_file()
    }
    assert {name for name in files if re.fullmatch(_expression(pattern), name)} == wanted
