# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What the sealed store adds to the Store port: standard age files, and pairs that always match."""

import hashlib
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from bastide.adapters.entropy.system import SystemEntropy
from bastide.adapters.keys.identities import IdentityKeys
from bastide.adapters.store.local import LocalStore
from bastide.adapters.store.memory import MemoryStore
from bastide.adapters.store.s3 import S3Store
from bastide.adapters.store.sealed import SealedStore
from bastide.core.errors import Misconfigured, NotAllowed, NotFound, NotProven, Unavailable
from bastide.core.subject import Digest
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


def content(size: int, seed: int = 0) -> bytes:
    return hashlib.shake_128(seed.to_bytes(8)).digest(size)


def read(store: Store, name: str) -> bytes:
    with store.open(name) as reader:
        data = reader.read_at(0, reader.size + 1)
        assert len(data) == reader.size
        return data


@pytest.fixture(params=["memory", "local", "s3"])
def inner(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "s3":
        place = shared_place()
        return S3Store(lambda: place)
    return MemoryStore() if request.param == "memory" else LocalStore(tmp_path / "inner")


def test_header_and_body_are_a_standard_age_file(inner: Store) -> None:
    store = seal(inner)
    data = content(200_000)
    store.put("m/x", [data])
    header, body = inner.names()[1], inner.names()[0]
    assert header == "m/x.header"
    assert body.startswith("m/x.")
    joined = read(inner, header) + read(inner, body)
    assert b"".join(store.export("m/x")) == joined
    for identity in (CLASSIC, EXIT):
        assert b"".join(age.open_stream([joined], [identity])) == data
    assert store.header("m/x") == read(inner, header)
    assert store.digests("m/x") == (Digest.of(read(inner, header)), Digest.of(read(inner, body)))
    assert data[:32] not in joined
    for deed in (store.header, store.digests, lambda name: list(store.export(name))):
        with pytest.raises(NotFound, match="m/y"):
            deed("m/y")


def test_a_header_for_somebody_else_opens_for_them_alone(inner: Store) -> None:
    store, theirs = seal(inner), age.X25519Identity(bytes(range(9, 41)))
    data = content(200_000)
    store.put("m/x", [data])
    before = {name: read(inner, name) for name in inner.names()}
    header = store.header_for("m/x", str(theirs.recipient()))
    assert {name: read(inner, name) for name in inner.names()} == before, "nothing stored changes"
    with store.sealed_file("m/x", header) as file:
        whole = file.read_at(0, file.size)
        for offset in (0, len(header) - 1, len(header), len(header) + 70_000):
            assert file.read_at(offset, 3) == whole[offset : offset + 3]
    assert b"".join(age.open_stream([whole], [theirs])) == data
    for other in (CLASSIC, EXIT):
        with pytest.raises(NotAllowed):
            b"".join(age.open_stream([whole], [other]))
    store.put("m/y", [b"another"])
    with pytest.raises(NotProven, match="another object"):
        store.sealed_file("m/y", header).__enter__()


def test_exits_of_the_other_family_use_the_other_identity(inner: Store) -> None:
    quantum = age.HybridIdentity(bytes(range(3, 35)))
    store = SealedStore(
        inner, IdentityKeys(IDENTITIES), [str(quantum.recipient())], SystemEntropy()
    )
    store.put("x", [b"data"])
    kinds = [stanza.kind for stanza in age.parse_header(store.header("x"))[0].stanzas]
    assert kinds == ["mlkem768x25519", "mlkem768x25519", "bastide.eu/body"]
    assert read(store, "x") == read(seal(inner), "x") == b"data"
    assert b"".join(age.open_stream(store.export("x"), [quantum])) == b"data"
    for exits in ([*EXITS, str(quantum.recipient())], ["age1nonsense"]):
        with pytest.raises(Misconfigured):
            SealedStore(inner, IdentityKeys(IDENTITIES), exits, SystemEntropy())
    with pytest.raises(Misconfigured):
        SealedStore(
            inner, IdentityKeys([CLASSIC.secret()]), [str(quantum.recipient())], SystemEntropy()
        )


def test_other_keys_do_not_open(inner: Store) -> None:
    seal(inner).put("x", [b"data"])
    stranger = age.X25519Identity(bytes(range(9, 41)))
    with pytest.raises(NotAllowed, match="x"):
        SealedStore(inner, IdentityKeys([stranger.secret()]), [], SystemEntropy()).open("x")


def test_rewrap_seals_to_new_keys_and_keeps_the_body(inner: Store) -> None:
    seal(inner).put("x", [content(100_000)])
    new = age.X25519Identity(bytes(range(11, 43)))
    renewing = SealedStore(inner, IdentityKeys([new.secret(), *IDENTITIES]), EXITS, SystemEntropy())
    header, body = renewing.digests("x")
    renewing.rewrap("x")
    assert renewing.digests("x")[0] != header
    assert renewing.digests("x")[1] == body
    only_new = SealedStore(inner, IdentityKeys([new.secret()]), EXITS, SystemEntropy())
    assert read(only_new, "x") == content(100_000)
    with pytest.raises(NotAllowed):
        seal(inner).open("x")


@pytest.mark.attacks("C28")
def test_damage_is_found(inner: Store) -> None:
    store = seal(inner)
    store.put("x", [content(200_000)])
    store.put("y", [content(200_000, 1)])
    body, header = (name for name in inner.names() if name.startswith("x."))
    whole, head = read(inner, body), read(inner, header)
    for changed in (
        whole[:-1],
        whole[:-16],
        whole[: 16 + 65_552],
        whole + b"x",
        b"",
        bytes([whole[0] ^ 1]) + whole[1:],
        whole[:70_000] + bytes([whole[70_000] ^ 1]) + whole[70_001:],
    ):
        inner.put(body, [changed])
        with pytest.raises(NotProven, match="x"):
            read(store, "x")
    inner.put(body, [whole])
    for changed in (
        head[:-1],
        head + b"x",
        b"",
        head.replace(b"bastide.eu/body x ", b"bastide.eu/body y "),
        head.replace(b"bastide.eu/body", b"bastide.eu/none"),
        head[:-5] + b"AAAA\n",
        read(inner, "y.header"),  # a whole, valid header of another object
    ):
        inner.put(header, [changed])
        with pytest.raises(NotProven, match="x"):
            read(store, "x")
    inner.put(header, [head])
    assert read(store, "x") == content(200_000)
    inner.delete(body)
    with pytest.raises(NotProven, match="missing"):
        read(store, "x")


def test_sweep_removes_only_what_no_header_names(inner: Store) -> None:
    store = seal(inner)
    store.put("m/x", [b"data"])
    orphan = "m/x." + "0" * 32 + ".body"
    inner.put(orphan, [b"left by a kill"])
    assert store.sweep() == [orphan]
    assert store.sweep() == []
    assert read(store, "m/x") == b"data"


class Stopping:
    """A store that breaks at the n-th write or delete, before or after it is done."""

    def __init__(self, inner: Store, at: int, late: bool) -> None:
        self.inner, self.left, self.late = inner, at, late

    def _deed(self, deed: Callable[[], object]) -> object:
        self.left -= 1
        if self.left == 0 and not self.late:
            raise Unavailable("the disk went away")
        result = deed()
        if self.left == 0:
            raise Unavailable("the disk went away")
        return result

    def put(self, name: str, chunks):
        return self._deed(lambda: self.inner.put(name, chunks))

    def delete(self, name: str) -> None:
        self._deed(lambda: self.inner.delete(name))

    def open(self, name: str):
        return self.inner.open(name)

    def names(self, prefix: str = "") -> list[str]:
        return self.inner.names(prefix)


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("at", [1, 2, 3])
def test_a_failure_at_any_step_leaves_old_or_new(inner: Store, at: int, late: bool) -> None:
    store = seal(inner)
    store.put("x", [b"old" * 30_000])
    breaking = seal(Stopping(inner, at, late))
    with pytest.raises(Unavailable):
        breaking.put("x", [b"new" * 30_000])
    assert read(store, "x") in {b"old" * 30_000, b"new" * 30_000}
    store.put("x", [b"again"])
    store.sweep()
    assert read(store, "x") == b"again"
    assert len(inner.names()) == 2


def test_threads_may_share_a_reader(inner: Store) -> None:
    store = seal(inner)
    data = content(3_000_000)
    store.put("x", [data])
    wrong: list[int] = []
    with store.open("x") as reader:

        def check(step: int) -> None:
            for offset in range(0, len(data), step):
                if reader.read_at(offset, 100_000) != data[offset : offset + 100_000]:
                    wrong.append(offset)

        threads = [threading.Thread(target=check, args=(step,)) for step in (30_011, 70_001, 9_973)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert wrong == []
