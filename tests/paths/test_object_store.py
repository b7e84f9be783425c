# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""An environment whose sealed objects lie in a real object store: builds, faults, and moves."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import zstandard

from bastide.app.bucket_account import open_account
from bastide.app.config import Home, Settings, read_settings
from bastide.app.corpora import explain_document, export_dataset
from bastide.app.corpus_build import build_dataset
from bastide.app.environment import open_environment, read_passphrase
from bastide.app.services import start_services
from bastide.app.store_move import move, objects
from bastide.app.wiring import clock
from bastide.core.errors import Misconfigured, NotProven, Refused, Unavailable
from contracts.s3_server import S3Server, running_server
from paths.corpus_rig import CANARY, copied, found_home, seeded, write_corpus
from paths.demo import ARGV, environment


def quiet(what: str, done: int, total: int) -> None:
    pass


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    with running_server() as server:
        yield server


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return found_home(tmp_path_factory.mktemp("base"))


def set_in(home: Home, **values: str | int | bool) -> None:
    text = home.config.read_text().splitlines()
    for name, value in values.items():
        row = next(at for at, line in enumerate(text) if line.startswith(f"{name} ="))
        text[row] = f"{name} = {json.dumps(value)}"
    home.config.write_text("\n".join(text) + "\n")


def in_bucket(server: S3Server, base: Home, folder: Path, store: bool = True) -> tuple[Home, str]:
    """A copy of a home with its store in a bucket of its own."""
    home = copied(base, folder / "home")
    bucket = server.new_bucket()
    file = server.credentials_file(folder / "credentials")
    set_in(
        home,
        store=f"s3://{bucket}/env" if store else "",
        s3_endpoint=server.endpoint,
        s3_credentials=f"file:{file}#bastide",
        s3_allow_http=True,
        s3_retries=1,
        s3_wait_s=3,
    )
    return home, bucket


def build(home: Home, recipe: Path, workers: int = 1) -> str:
    with seeded(home) as env:
        return build_dataset(env, recipe, workers).body["root"]


def exported(home: Home, to: Path) -> bytes:
    """All documents of the dataset, as JSON lines without compression."""
    with open_environment(home, read_passphrase(home)) as env:
        export_dataset(env, "tiny", to, "jsonl")
    return b"".join(zstandard.ZstdDecompressor().decompress(path.read_bytes(), 1 << 24)
                    for path in sorted(to.rglob("*.zst")))  # fmt: skip


@pytest.fixture(scope="module")
def local_root(base: Home, tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("local")
    return build(copied(base, folder / "home"), write_corpus(folder / "corpus"))


@pytest.mark.attacks("C199")
def test_a_build_into_a_bucket_is_the_same_and_lies_there_sealed(
    server: S3Server, base: Home, local_root: str, tmp_path: Path
) -> None:
    home, bucket = in_bucket(server, base, tmp_path)
    recipe = write_corpus(tmp_path / "corpus")
    assert build(home, recipe, workers=2) == local_root
    keys = server.keys(bucket)
    assert {key.split("/")[1] for key in keys} == {"corpora"}
    assert any("/shards/" in key for key in keys)
    assert not [key for key in keys if "/parts/" in key or "/merge/" in key or "/key." in key]
    assert not list(home.store.rglob("shards/*"))
    client = server.client()
    for key in keys:
        data = client.get_object(Bucket=bucket, Key=key)["Body"].read()
        assert CANARY.encode() not in data
        if key.endswith(".header"):
            assert data.startswith(b"age-encryption.org/v1\n")
    with open_environment(home, read_passphrase(home)) as env:
        assert explain_document(env, "tiny", "d20")  # its life stayed on the disk
    assert CANARY.encode() in exported(home, tmp_path / "out")

    # A flipped byte in a shard is found before it is a document.
    key = next(key for key in keys if "/shards/" in key and key.endswith(".body"))
    data = bytearray(client.get_object(Bucket=bucket, Key=key)["Body"].read())
    data[len(data) // 2] ^= 1
    client.put_object(Bucket=bucket, Key=key, Body=bytes(data))
    with pytest.raises(NotProven):
        exported(home, tmp_path / "again")


@pytest.mark.attacks("C207")
def test_a_server_that_dies_in_the_middle_of_a_build(
    server: S3Server, base: Home, local_root: str, tmp_path: Path
) -> None:
    home, _ = in_bucket(server, base, tmp_path)
    recipe = write_corpus(tmp_path / "corpus")
    seen: list[str] = []

    def progress(what: str, done: int, total: int) -> None:
        if what not in seen:
            seen.append(what)
            if what == "writing shards":
                server.kill()

    with seeded(home) as env, pytest.raises(Unavailable, match=r"no connection|broke") as caught:
        build_dataset(env, recipe, 1, progress)
    assert caught.value.fix
    assert "writing shards" in seen
    server.start()
    assert build(home, recipe) == local_root
    assert CANARY.encode() in exported(home, tmp_path / "out")


def test_a_builder_that_is_killed_goes_on(
    server: S3Server, base: Home, local_root: str, tmp_path: Path
) -> None:
    home, _ = in_bucket(server, base, tmp_path)
    recipe = write_corpus(tmp_path / "corpus")
    driver = Path(__file__).with_name("corpus_driver.py")
    child = subprocess.Popen(
        [sys.executable, str(driver), str(home.root), str(recipe)],
        stdout=subprocess.PIPE, text=True, env=environment(), start_new_session=True,
    )  # fmt: skip
    assert child.stdout is not None
    for line in child.stdout:
        if line.startswith("writing shards"):
            break
    os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    assert build(home, recipe) == local_root


def test_a_store_moves_to_a_bucket_and_back(
    server: S3Server, base: Home, local_root: str, tmp_path: Path
) -> None:
    home, bucket = in_bucket(server, base, tmp_path, store=False)
    recipe = write_corpus(tmp_path / "corpus")
    build(home, recipe)
    before = exported(home, tmp_path / "out")
    server.client().put_object(Bucket=bucket, Key="other/x", Body=b"")
    with pytest.raises(Refused, match="holds objects") as caught:
        move(home, read_passphrase(home), f"s3://{bucket}/other", quiet)
    assert caught.value.reasons == ("x",)
    done = subprocess.run(
        [*ARGV, "store", "move", "--to", f"s3://{bucket}/env", "--home", str(home.root), "--json"],
        capture_output=True, text=True, env=environment(), check=True,
    )  # fmt: skip
    assert json.loads(done.stdout)["objects"] == len(server.keys(bucket)) - 1
    assert read_settings(home).store == f"s3://{bucket}/env"
    assert not list(home.store.rglob("shards/*.body"))
    assert exported(home, tmp_path / "far") == before
    assert objects(home) == {"objects": f"s3://{bucket}/env", "conditional": True}
    with pytest.raises(Misconfigured, match="already"):
        move(home, read_passphrase(home), f"s3://{bucket}/env", quiet)
    move(home, read_passphrase(home), f"local:{tmp_path / 'elsewhere'}", quiet)
    assert server.keys(bucket) == ["other/x"]
    assert exported(home, tmp_path / "near") == before
    assert build(home, recipe) == local_root


def test_a_move_that_is_cut_off_goes_on(server: S3Server, base: Home, tmp_path: Path) -> None:
    home, bucket = in_bucket(server, base, tmp_path, store=False)
    build(home, write_corpus(tmp_path / "corpus"))
    before = exported(home, tmp_path / "out")

    def progress(what: str, done: int, total: int) -> None:
        if done == total // 2:
            server.kill()

    with pytest.raises(Unavailable):
        move(home, read_passphrase(home), f"s3://{bucket}/env", progress)
    server.start()
    assert read_settings(home).store == ""
    assert exported(home, tmp_path / "still") == before
    assert server.keys(bucket)
    move(home, read_passphrase(home), f"s3://{bucket}/env", quiet)
    assert exported(home, tmp_path / "far") == before
    move(home, read_passphrase(home), "home", quiet)
    assert exported(home, tmp_path / "near") == before
    assert server.keys(bucket) == []


@pytest.mark.attacks("C205")
def test_the_access_key_is_where_the_setting_says_and_nowhere_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def settings(**values: str) -> Settings:
        return Settings("test", s3_endpoint="https://127.0.0.1:9", **values)

    monkeypatch.delenv("AWS_ACCESS_KEY_ID", raising=False)
    with pytest.raises(Misconfigured, match="the environment has no access key"):
        open_account(settings(), "s3://bucket")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIA1")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "geheim")
    account = open_account(settings(), "s3://bucket/a/b")
    assert (account.access_key, account.secret_key, account.prefix) == ("AKIA1", "geheim", "a/b")
    assert "geheim" not in repr(account)

    file = tmp_path / "credentials"
    file.write_text("[one]\naws_access_key_id = AKIA2\naws_secret_access_key = s\ngeheim2\n")
    file.chmod(0o600)
    for place, words in (
        (f"file:{file}#one", "no profile"),  # the broken line is not shown: it may be the secret
        (f"file:{tmp_path / 'none'}", "cannot be read"),
    ):
        with pytest.raises(Misconfigured, match=words) as caught:
            open_account(settings(s3_credentials=place), "s3://bucket")
        assert "geheim2" not in str(caught.value)
    file.write_text("[one]\naws_access_key_id = AKIA2\naws_secret_access_key = s\n")
    assert (
        open_account(settings(s3_credentials=f"file:{file}#one"), "s3://bucket").secret_key == "s"
    )
    file.chmod(0o644)
    with pytest.raises(Misconfigured, match="others may read"):
        open_account(settings(s3_credentials=f"file:{file}#one"), "s3://bucket")
    with pytest.raises(Misconfigured, match="no setting names"):
        open_account(Settings("test"), "s3://bucket")
    for values in (
        {"s3_credentials": "AKIA:secret"},
        {"s3_endpoint": "http://127.0.0.1"},
        {"s3_endpoint": "https://key:secret@127.0.0.1"},
        {"store": "s3://UPPER"},
        {"store": "s3://bucket/../x"},
        {"store": "local:relative"},
        {"store": "/folder"},
    ):
        with pytest.raises(Misconfigured):
            Settings("test", **values)


@pytest.mark.attacks("C206")
def test_services_do_not_start_without_an_access_key_of_their_own(
    base: Home, tmp_path: Path
) -> None:
    home = copied(base, tmp_path / "home")
    set_in(home, store="s3://bucket/x", s3_endpoint="https://127.0.0.1:9")
    with pytest.raises(Misconfigured, match="nothing of the environment"):
        start_services(home, "", clock(), time.sleep)
    # What needs no object asks no server.
    done = subprocess.run([*ARGV, "ledger", "audit", "--home", str(home.root)],
                          capture_output=True, env=environment(), check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr
