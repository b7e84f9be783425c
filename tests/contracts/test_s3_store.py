# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What a store in a bucket adds to the Store port: strangers who write, servers that fail, keys
that are wrong, and what lies there.

Broken once to prove the tests: `put_over` that overwrites loses a writer; a reader without
`if_match` mixes two versions; an option left out of `connect` lets the environment decide.
"""

import dataclasses
import hashlib
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bastide.adapters.entropy.system import SystemEntropy
from bastide.adapters.keys.identities import IdentityKeys
from bastide.adapters.store.s3 import S3Store
from bastide.adapters.store.sealed import SealedStore
from bastide.core.bucket import Bucket
from bastide.core.errors import Misconfigured, NotProven, Unavailable
from bastide.core.limits import MIB
from bastide.crypto import age
from contracts.s3_server import S3Server, running_server, shared_place, shared_server
from paths.certificates import Site

IDENTITY = age.X25519Identity(bytes(range(32)))
EXIT = age.X25519Identity(bytes(range(7, 39)))


def store_of(place: Bucket) -> S3Store:
    return S3Store(lambda: place)


def seal(place: Bucket) -> SealedStore:
    keys = IdentityKeys([IDENTITY.secret()])
    return SealedStore(store_of(place), keys, [str(EXIT.recipient())], SystemEntropy())


def content(size: int, seed: int = 0) -> bytes:
    return hashlib.shake_128(seed.to_bytes(8)).digest(size)


def read(store: Any, name: str) -> bytes:
    with store.open(name) as reader:
        return reader.read_at(0, reader.size)


@pytest.fixture
def place() -> Bucket:
    return shared_place()


@pytest.fixture(scope="module")
def fragile() -> Iterator[S3Server]:
    with running_server() as server:
        yield server


@pytest.mark.attacks("C202")
def test_writers_who_know_nothing_of_each_other_lose_nothing(place: Bucket) -> None:
    stores = [seal(place) for _ in range(4)]
    whole = [content(70_000, seed) for seed in range(4)]
    stores[0].put("x", [whole[0]])
    failed: list[BaseException] = []

    def write(seed: int) -> None:
        try:
            for _ in range(4):
                stores[seed].put("x", [whole[seed]])
                stores[seed].rewrap("x")
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=write, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert read(stores[0], "x") in whole
    assert len(store_of(place).names()) == 2  # every replaced body was deleted by who replaced it


def test_a_header_is_not_put_over_one_that_was_not_read(place: Bucket) -> None:
    first, second = store_of(place), store_of(place)
    assert first.put_over("x", b"1", "")
    assert not second.put_over("x", b"2", "")
    _, version = second.read_version("x")
    assert first.put_over("x", b"3", version)
    assert not second.put_over("x", b"4", version)
    assert first.read_version("x")[0] == b"3"
    first.delete("x")
    assert not second.put_over("x", b"5", version)
    assert first.read_version("x") == (b"", "")


@pytest.mark.attacks("C201")
def test_a_reader_never_mixes_two_versions(place: Bucket) -> None:
    store = store_of(place)
    store.put("x", [content(3 * MIB, 1)])
    with store.open("x") as reader:
        store.put("x", [content(3 * MIB, 2)])
        with pytest.raises(Unavailable, match="replaced"):
            reader.read_at(MIB, MIB)
    with store.open("x") as reader:
        store.delete("x")
        with pytest.raises(Unavailable, match="deleted"):
            reader.read_at(MIB, MIB)


@pytest.mark.attacks("C200")
def test_a_flipped_byte_is_never_returned(place: Bucket) -> None:
    store, client = seal(place), shared_server().client()
    store.put("x", [content(600_000)])
    (body,) = [name for name in store_of(place).names() if name.endswith(".body")]
    key = f"{place.prefix}/{body}"
    stored = bytearray(client.get_object(Bucket=place.name, Key=key)["Body"].read())
    stored[400_000] ^= 1
    client.put_object(Bucket=place.name, Key=key, Body=bytes(stored))
    with pytest.raises(NotProven, match="x"):
        read(store, "x")


@pytest.mark.attacks("C198")
def test_the_age_cli_opens_what_a_public_client_fetched(place: Bucket, tmp_path: Path) -> None:
    store, client = seal(place), shared_server().client()
    data = content(300_000)
    store.put("models/x", [data])
    keys = [f"{place.prefix}/{name}" for name in store_of(place).names()]
    parts = {key: client.get_object(Bucket=place.name, Key=key)["Body"].read() for key in keys}
    joined = parts[f"{place.prefix}/models/x.header"]
    joined += next(data for key, data in parts.items() if key.endswith(".body"))
    assert not any(data[at : at + 32] in joined for at in range(0, 300_000, 10_000))
    identity = tmp_path / "identity"
    identity.write_text(EXIT.secret() + "\n")
    opened = subprocess.run(
        ["age", "--decrypt", "-i", str(identity)], input=joined, capture_output=True, check=True
    )
    assert opened.stdout == data


def test_more_names_than_one_answer_holds(place: Bucket) -> None:
    store, client = store_of(place), shared_server().client()
    for number in range(1_003):
        client.put_object(Bucket=place.name, Key=f"{place.prefix}/n/{number:04d}", Body=b"")
    assert store.names("n") == [f"n/{number:04d}" for number in range(1_003)]


def test_a_failed_upload_leaves_no_part(place: Bucket) -> None:
    def chunks() -> Iterator[bytes]:
        for seed in range(5):
            yield content(9 * MIB, seed)
        raise RuntimeError("the source broke")

    with pytest.raises(RuntimeError, match="the source broke"):
        store_of(place).put("x", chunks())
    uploads = shared_server().client().list_multipart_uploads(Bucket=place.name)
    assert not [row for row in uploads.get("Uploads", []) if row["Key"].startswith(place.prefix)]


@pytest.mark.parametrize(
    ("changes", "field", "words"),
    [
        ({"secret_key": "wrong" * 8}, "s3_credentials", "SignatureDoesNotMatch"),
        ({"access_key": "AKIANOBODY"}, "s3_credentials", "InvalidAccessKeyId"),
        ({"name": "no-such-bucket"}, "store", "has no bucket no-such-bucket"),
    ],
)
def test_what_is_set_wrongly_is_one_error(
    changes: dict[str, str], field: str, words: str, place: Bucket
) -> None:
    wrong = dataclasses.replace(place, **changes)
    store = store_of(wrong)
    for deed in (
        lambda: store.put("x", [b"1"]),
        lambda: store.open("x"),
        lambda: store.names(),
        lambda: store.delete("x"),
        lambda: store.put_over("x", b"1", ""),
        lambda: store.read_version("x"),
        lambda: seal(wrong).put("x", [b"1"]),
    ):
        with pytest.raises(Misconfigured, match=words) as caught:
            deed()
        assert caught.value.place == field
        assert wrong.secret_key not in str(caught.value) + caught.value.fix
        assert "\n" not in caught.value.message


@pytest.mark.attacks("C203")
def test_the_environment_has_no_say(place: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
        "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9",
        "AWS_ENDPOINT": "http://127.0.0.1:9",
        "AWS_ACCESS_KEY_ID": "AKIAOTHER",
        "AWS_SECRET_ACCESS_KEY": "other",
        "AWS_SESSION_TOKEN": "other",
        "AWS_BUCKET": "other",
        "AWS_SKIP_SIGNATURE": "true",
        "AWS_ALLOW_HTTP": "false",
        "AWS_VIRTUAL_HOSTED_STYLE_REQUEST": "true",
        "AWS_S3_EXPRESS": "true",
        "AWS_PROXY_URL": "http://127.0.0.1:9",
        "HTTP_PROXY": "http://127.0.0.1:9",
        "http_proxy": "http://127.0.0.1:9",
        "ALL_PROXY": "http://127.0.0.1:9",
    }.items():
        monkeypatch.setenv(name, value)
    store = store_of(place)
    store.put("x", [b"1"])
    assert read(store, "x") == b"1"
    assert store.names() == ["x"]


def test_http_only_where_it_was_allowed(place: Bucket) -> None:
    with pytest.raises(Unavailable, match="https"):
        store_of(dataclasses.replace(place, allow_http=False)).put("x", [b"1"])


@pytest.mark.attacks("C204")
def test_the_authority_of_a_setting_is_trusted_and_no_other(tmp_path: Path) -> None:
    site = Site.make()
    issued = site.issue()
    files = tmp_path / "certificate.pem", tmp_path / "key.pem"
    for path, text in zip(files, (issued.certificate, issued.key), strict=True):
        path.write_bytes(text)
    with running_server(tls=files) as server:
        bucket = server.new_bucket()
        endpoint = f"https://127.0.0.1:{server.ports[4]}"
        trusting = server.place(
            bucket, endpoint=endpoint, allow_http=False, authority=site.authority.decode()
        )
        store_of(trusting).put("x", [b"1"])
        assert read(store_of(trusting), "x") == b"1"
        other = server.place(
            bucket, endpoint=endpoint, allow_http=False, authority=Site.make().authority.decode()
        )
        with pytest.raises(Misconfigured, match="certificate") as caught:
            store_of(other).put("x", [b"1"])
        assert caught.value.place == "s3_ca"


def test_a_server_that_was_killed(fragile: S3Server) -> None:
    place = fragile.place(fragile.new_bucket(), retries=1, wait_s=3.0)
    store = seal(place)
    store.put("x", [content(3 * MIB)])
    with store.open("x") as reader:
        fragile.kill()
        for deed in (
            lambda: reader.read_at(2 * MIB, 100_000),
            lambda: store.put("x", [content(MIB, 1)]),
            lambda: store.put("y", (content(MIB, seed) for seed in range(40))),
            lambda: store.names(),
            lambda: store.delete("x"),
        ):
            with pytest.raises(Unavailable, match=r"no connection|connection broke"):
                deed()
        fragile.start()
        assert reader.read_at(2 * MIB, 100_000) == content(3 * MIB)[2 * MIB : 2 * MIB + 100_000]
    assert read(store, "x") == content(3 * MIB)
    assert store.names() == ["x"]


def test_a_server_that_does_not_answer(fragile: S3Server) -> None:
    store = seal(fragile.place(fragile.new_bucket(), retries=1, wait_s=1.0))
    store.put("x", [b"old"])
    fragile.pause()
    try:
        with pytest.raises(Unavailable, match="too slow"):
            store.put("x", [b"new"])
    finally:
        fragile.resume()
    assert read(store, "x") in {b"old", b"new"}
    store.put("x", [b"newer"])
    assert read(store, "x") == b"newer"


def test_a_kill_in_the_middle_of_an_upload(fragile: S3Server) -> None:
    store = seal(fragile.place(fragile.new_bucket(), retries=0, wait_s=3.0))
    store.put("x", [b"old"])

    def chunks() -> Iterator[bytes]:
        for seed in range(12):
            if seed == 8:
                fragile.kill()
            yield content(6 * MIB, seed)

    with pytest.raises(Unavailable):
        store.put("x", chunks())
    fragile.start()
    assert read(store, "x") == b"old"
    store.put("x", (content(6 * MIB, seed) for seed in range(4)))
    assert read(store, "x") == b"".join(content(6 * MIB, seed) for seed in range(4))
    store.sweep()
    assert store.names() == ["x"]
