# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The promise of the Store port, over every store; and what each store adds to it."""

import contextlib
import gc
import hashlib
import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import bastide
from bastide.adapters.entropy.system import SystemEntropy
from bastide.adapters.store.local import LocalStore
from bastide.adapters.store.memory import MemoryStore
from bastide.adapters.store.sealed import SealedStore
from bastide.core.errors import Misconfigured, NotAllowed, NotFound, NotProven, Unavailable
from bastide.core.limits import MIB
from bastide.core.subject import Digest
from bastide.crypto import age
from bastide.ports import Store

CLASSIC = age.X25519Identity(bytes(range(32)))
HYBRID = age.HybridIdentity(bytes(range(32)))
EXIT = age.X25519Identity(bytes(range(7, 39)))
IDENTITIES = (CLASSIC.secret(), HYBRID.secret())
EXITS = (str(EXIT.recipient()),)


def seal(inner: Store) -> SealedStore:
    return SealedStore(inner, IDENTITIES, EXITS, SystemEntropy())


STORES: dict[str, Callable[[Path], Store]] = {
    "memory": lambda root: MemoryStore(),
    "local": LocalStore,
    "sealed-memory": lambda root: seal(MemoryStore()),
    "sealed-local": lambda root: seal(LocalStore(root)),
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


# What every store on a disk adds.


@contextlib.contextmanager
def small_disk(folder: Path, size: int) -> Iterator[None]:
    """A disk of `size` bytes: a tmpfs if we may mount one, else a limit on the size of files."""
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    if (
        os.geteuid() == 0
        and subprocess.run(mount, check=False, capture_output=True).returncode == 0
    ):
        try:
            yield
        finally:
            gc.collect()
            subprocess.run(["umount", "-l", str(folder)], check=True)
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def files(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


@pytest.mark.parametrize("kind", ON_DISK)
def test_a_full_disk_says_so_and_leaves_nothing(kind: str, tmp_path: Path) -> None:
    with small_disk(tmp_path, 4 * MIB):
        store = STORES[kind](tmp_path)
        store.put("x", [content(MIB)])
        before = files(tmp_path)
        for name in ("x", "y"):
            with pytest.raises(Unavailable, match="is full") as caught:
                store.put(name, (content(MIB, seed) for seed in range(32)))
            assert "free space" in caught.value.fix
        assert files(tmp_path) == before
        assert read(store, "x") == content(MIB)
        store.put("x", [content(MIB, 2)])  # and it works again
        assert read(store, "x") == content(MIB, 2)


WRITER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
import test_store as t
store = t.STORES[sys.argv[1]](Path(sys.argv[3]))
print("ready", flush=True)
for seed in range(10**9):
    store.put("x", [t.content(400_000, seed % 3)] * 2)
    if sys.argv[4] == "say":
        print(seed, flush=True)
"""


def start_writer(kind: str, root: Path, say: str) -> subprocess.Popen[bytes]:
    source = str(Path(bastide.__file__).parents[1])
    argv = [sys.executable, "-c", WRITER, kind, str(Path(__file__).parent), str(root), say]
    writer = subprocess.Popen(
        argv, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": source}
    )
    assert writer.stdout is not None
    assert writer.stdout.readline() == b"ready\n"
    return writer


@pytest.mark.parametrize("kind", ON_DISK)
def test_a_killed_writer_leaves_the_old_object_or_the_new(kind: str, tmp_path: Path) -> None:
    whole = [content(400_000, seed) * 2 for seed in range(3)]
    for delay_s in (0.011, 0.023, 0.037, 0.052):
        writer = start_writer(kind, tmp_path, "say")
        assert writer.stdout is not None
        writer.stdout.readline()
        time.sleep(delay_s)
        writer.kill()
        acknowledged = [int(line) for line in writer.stdout.read().splitlines()] or [0]
        writer.wait()
        store = STORES[kind](tmp_path)
        found = whole.index(read(store, "x"))
        assert found in {acknowledged[-1] % 3, (acknowledged[-1] + 1) % 3}
        assert store.names() == ["x"]
        if isinstance(store, SealedStore):
            store.sweep()
            assert len(files(tmp_path)) == 2
        assert not [name for name in files(tmp_path) if name.startswith(".partial")]


@pytest.mark.parametrize("kind", ON_DISK)
def test_two_processes_may_write_one_name(kind: str, tmp_path: Path) -> None:
    whole = [content(400_000, seed) * 2 for seed in range(3)]
    store = STORES[kind](tmp_path)
    store.put("x", [whole[0]])
    writers = [start_writer(kind, tmp_path, "quiet") for _ in range(2)]
    try:
        for _ in range(25):
            assert read(store, "x") in whole
            STORES[kind](tmp_path)  # opening the store does not sweep away a living draft
            assert all(writer.poll() is None for writer in writers)
    finally:
        for writer in writers:
            writer.kill()
            writer.wait()
    assert read(STORES[kind](tmp_path), "x") in whole


MEASURE = """
import resource, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
import test_store as t
store = t.STORES[sys.argv[1]](Path(sys.argv[3]))
piece = t.content(1 << 20)
store.put("warm", [piece] * 40)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
store.put("x", (piece for _ in range(160)))
with store.open("x") as reader:
    for offset in range(0, reader.size, 1 << 20):
        assert reader.read_at(offset, 1 << 20) == piece
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.parametrize("kind", ON_DISK)
def test_memory_does_not_grow_with_the_object(kind: str, tmp_path: Path) -> None:
    source = str(Path(bastide.__file__).parents[1])
    argv = [sys.executable, "-c", MEASURE, kind, str(Path(__file__).parent), str(tmp_path)]
    out = subprocess.run(
        argv, capture_output=True, check=True, env={**os.environ, "PYTHONPATH": source}
    )
    assert int(out.stdout) < 40 * 1024  # KiB; the object has 160 MiB


def test_local_flushes_data_before_the_name_and_folders_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deeds: list[tuple[str, str]] = []
    fsync, rename = os.fsync, os.rename

    def watch_fsync(descriptor: int) -> None:
        deeds.append(("flush", str(Path(f"/proc/self/fd/{descriptor}").readlink())))
        fsync(descriptor)

    def watch_rename(source: Path, target: Path) -> None:
        deeds.append(("rename", str(target)))
        rename(source, target)

    store = LocalStore(tmp_path)
    monkeypatch.setattr(os, "fsync", watch_fsync)
    monkeypatch.setattr(os, "rename", watch_rename)
    store.put("a/b", [b"1"])
    root = tmp_path.resolve()
    assert deeds[0][0] == "flush"
    assert deeds[0][1].startswith(f"{root}/.partial/")
    assert deeds[1:] == [
        ("rename", f"{tmp_path}/a/b"),
        ("flush", f"{root}/a"),
        ("flush", str(root)),
    ]


def test_local_keeps_others_out(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "store")
    store.put("a/b", [b"1"])
    for path in (tmp_path / "store", tmp_path / "store/a", tmp_path / "store/a/b"):
        assert path.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("kind", ["memory", "local"])
def test_a_name_cannot_be_object_and_folder(kind: str, tmp_path: Path) -> None:
    store = STORES[kind](tmp_path)
    store.put("a", [b"1"])
    store.put("b/c", [b"2"])
    for name in ("a/b", "b"):
        with pytest.raises(Misconfigured, match="taken"):
            store.put(name, [b"3"])
    assert store.names() == ["a", "b/c"]


def test_a_store_that_cannot_be_made_says_where(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises((Unavailable, Misconfigured), match="file"):
        LocalStore(tmp_path / "file" / "store")


# What the sealed store adds.


@pytest.fixture(params=["memory", "local"])
def inner(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return STORES[request.param](tmp_path / "inner")


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


def test_exits_of_the_other_family_use_the_other_identity(inner: Store) -> None:
    quantum = age.HybridIdentity(bytes(range(3, 35)))
    store = SealedStore(inner, IDENTITIES, [str(quantum.recipient())], SystemEntropy())
    store.put("x", [b"data"])
    kinds = [stanza.kind for stanza in age.parse_header(store.header("x"))[0].stanzas]
    assert kinds == ["mlkem768x25519", "mlkem768x25519", "bastide.eu/body"]
    assert read(store, "x") == read(seal(inner), "x") == b"data"
    assert b"".join(age.open_stream(store.export("x"), [quantum])) == b"data"
    for exits in ([*EXITS, str(quantum.recipient())], ["age1nonsense"]):
        with pytest.raises(Misconfigured):
            SealedStore(inner, IDENTITIES, exits, SystemEntropy())
    with pytest.raises(Misconfigured):
        SealedStore(inner, [CLASSIC.secret()], [str(quantum.recipient())], SystemEntropy())


def test_other_keys_do_not_open(inner: Store) -> None:
    seal(inner).put("x", [b"data"])
    stranger = age.X25519Identity(bytes(range(9, 41)))
    with pytest.raises(NotAllowed, match="x"):
        SealedStore(inner, [stranger.secret()], [], SystemEntropy()).open("x")


def test_rewrap_seals_to_new_keys_and_keeps_the_body(inner: Store) -> None:
    seal(inner).put("x", [content(100_000)])
    new = age.X25519Identity(bytes(range(11, 43)))
    renewing = SealedStore(inner, [new.secret(), *IDENTITIES], EXITS, SystemEntropy())
    header, body = renewing.digests("x")
    renewing.rewrap("x")
    assert renewing.digests("x")[0] != header
    assert renewing.digests("x")[1] == body
    only_new = SealedStore(inner, [new.secret()], EXITS, SystemEntropy())
    assert read(only_new, "x") == content(100_000)
    with pytest.raises(NotAllowed):
        seal(inner).open("x")


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
