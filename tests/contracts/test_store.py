# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The promise of the Store port, over every store."""

import hashlib
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bastide.adapters.entropy.system import SystemEntropy
from bastide.adapters.keys.identities import IdentityKeys
from bastide.adapters.store.local import LocalStore
from bastide.adapters.store.memory import MemoryStore
from bastide.adapters.store.s3 import S3Store
from bastide.adapters.store.sealed import SealedStore
from bastide.core.errors import Misconfigured, NotFound
from bastide.core.limits import MIB
from bastide.crypto import age
from bastide.ports import Store
from contracts.s3_server import shared_place

CLASSIC = age.X25519Identity(bytes(range(32)))
HYBRID = age.HybridIdentity(bytes(range(32)))
EXIT = age.X25519Identity(bytes(range(7, 39)))
IDENTITIES = (CLASSIC.secret(), HYBRID.secret())
EXITS = (str(EXIT.recipient()),)


def seal(inner: Store) -> SealedStore:
    return SealedStore(inner, IdentityKeys(IDENTITIES), EXITS, SystemEntropy())


def in_bucket() -> S3Store:
    place = shared_place()
    return S3Store(lambda: place)


STORES: dict[str, Callable[[Path], Store]] = {
    "memory": lambda root: MemoryStore(),
    "local": LocalStore,
    "sealed-memory": lambda root: seal(MemoryStore()),
    "sealed-local": lambda root: seal(LocalStore(root)),
    "s3": lambda root: in_bucket(),
    "sealed-s3": lambda root: seal(in_bucket()),
}
ON_DISK = ("local", "sealed-local")


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return STORES[request.param](tmp_path / "store")


def content(size: int, seed: int = 0) -> bytes:
    return hashlib.shake_128(seed.to_bytes(8)).digest(size)


def read(store: Store, name: str) -> bytes:
    with store.open(name) as reader:
        data = reader.read_at(0, reader.size + 1)
        assert len(data) == reader.size
        return data


@pytest.mark.parametrize("size", [0, 1, 65_535, 65_536, 65_537, 3 * MIB + 1, 17 * MIB])
def test_what_is_put_is_read(store: Store, size: int) -> None:
    data = content(size)
    pieces = (data[start : start + 700_001] for start in range(0, size, 700_001))
    assert store.put("a/b/object.bin", pieces) == size
    assert read(store, "a/b/object.bin") == data
    with store.open("a/b/object.bin") as reader:
        for offset, length in [(0, 10), (size // 2, 70_000), (size - 3, 10), (size, 5), (5, 0)]:
            at = max(0, offset)
            assert reader.read_at(at, length) == data[at : at + length]


def test_a_caller_may_reuse_its_buffer(store: Store) -> None:
    buffer = bytearray(MIB)

    def chunks() -> Iterator[memoryview]:
        for seed in range(20):
            buffer[:] = content(MIB, seed)
            yield memoryview(buffer)

    store.put("reused", chunks())
    assert read(store, "reused") == b"".join(content(MIB, seed) for seed in range(20))


def test_put_replaces_as_a_whole(store: Store) -> None:
    store.put("x", [content(200_000, 1)])
    with store.open("x") as old:
        store.put("x", [content(150_000, 2)])
        # Who opened the old object reads the old object.
        assert old.read_at(0, 200_000) == content(200_000, 1)
        assert old.read_at(130_000, 70_000) == content(200_000, 1)[130_000:]
    assert read(store, "x") == content(150_000, 2)
    assert store.names() == ["x"]


@pytest.mark.parametrize("after", [0, 1, 12])
def test_a_failing_source_leaves_the_old_object(store: Store, after: int) -> None:
    store.put("x", [b"old"])

    def chunks() -> Iterator[bytes]:
        for seed in range(after):
            yield content(2 * MIB, seed)
        raise RuntimeError("the source broke")

    for name in ("x", "y"):
        with pytest.raises(RuntimeError, match="the source broke"):
            store.put(name, chunks())
    assert store.names() == ["x"]
    assert read(store, "x") == b"old"


def test_nothing_is_visible_before_all_is_there(store: Store) -> None:
    seen = []

    def chunks() -> Iterator[bytes]:
        for seed in range(3):
            yield content(9 * MIB, seed)
            seen.append(store.names())
            with pytest.raises(NotFound):
                store.open("x")

    store.put("x", chunks())
    assert seen == [[], [], []]
    assert store.names() == ["x"]


def test_missing_objects(store: Store) -> None:
    with pytest.raises(NotFound, match="nothing/here"):
        store.open("nothing/here")
    store.delete("nothing/here")
    store.put("x", [b"1"])
    store.delete("x")
    store.delete("x")
    with pytest.raises(NotFound):
        store.open("x")
    assert store.names() == []


def test_names_are_sorted_and_below_a_prefix(store: Store) -> None:
    names = ["b", "models/2", "models/10", "models/x/y", "models-old/1", "a.b-c_d"]
    for name in names:
        store.put(name, [b"1"])
    assert store.names() == sorted(names)
    assert (
        store.names("models") == store.names("models/") == ["models/10", "models/2", "models/x/y"]
    )
    assert store.names("models/x") == ["models/x/y"]
    assert store.names("none") == []
    store.delete("models/2")
    assert store.names("models") == ["models/10", "models/x/y"]


@pytest.mark.parametrize(
    "name",
    ["", "/", "/x", "x/", "a//b", "..", "../x", "a/../b", ".", "a/./b", ".partial/x", "A", "ä",
     "a b", "a\x00b", "a\n", "x" * 201, "/".join(["x" * 100] * 11)],
)  # fmt: skip
def test_a_bad_name_is_refused(store: Store, name: str) -> None:
    for deed in (
        lambda: store.put(name, [b"1"]),
        lambda: store.open(name),
        lambda: store.delete(name),
    ):
        with pytest.raises(Misconfigured):
            deed()
    assert store.names() == []


def test_closing_twice_is_safe(store: Store) -> None:
    store.put("x", [b"1"])
    with store.open("x") as reader:
        reader.close()
    reader.close()


def test_writers_of_one_name_never_mix(store: Store) -> None:
    def write(seed: int) -> None:
        for _ in range(5):
            store.put("x", [content(100_000, seed), content(100_000, seed)])

    store.put("x", [content(100_000, 0) * 2])
    threads = [threading.Thread(target=write, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    whole = {content(100_000, seed) * 2 for seed in range(4)}
    while any(thread.is_alive() for thread in threads):
        assert read(store, "x") in whole
    assert read(store, "x") in whole
    assert store.names() == ["x"]


@pytest.mark.parametrize("kind", ["memory", "local"])
def test_a_name_cannot_be_object_and_folder(kind: str, tmp_path: Path) -> None:
    store = STORES[kind](tmp_path)
    store.put("a", [b"1"])
    store.put("b/c", [b"2"])
    for name in ("a/b", "b"):
        with pytest.raises(Misconfigured, match="taken"):
            store.put(name, [b"3"])
    assert store.names() == ["a", "b/c"]
