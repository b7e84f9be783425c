# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What a store on a disk promises besides: crashes, full disks, several processes, small memory."""

import contextlib
import gc
import hashlib
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from pathlib import Path

import pytest

import bastide
from bastide.adapters.entropy.system import SystemEntropy
from bastide.adapters.keys.identities import IdentityKeys
from bastide.adapters.store.local import LocalStore
from bastide.adapters.store.sealed import SealedStore
from bastide.core.errors import Misconfigured, Unavailable
from bastide.core.limits import MIB
from bastide.crypto import age
from bastide.ports import Store

IDENTITY = age.X25519Identity(bytes(range(32))).secret()

STORES: dict[str, Callable[[Path], Store]] = {
    "local": LocalStore,
    "sealed-local": lambda root: SealedStore(
        LocalStore(root), IdentityKeys([IDENTITY]), [], SystemEntropy()
    ),
}
ON_DISK = tuple(STORES)


def content(size: int, seed: int = 0) -> bytes:
    return hashlib.shake_128(seed.to_bytes(8)).digest(size)


def read(store: Store, name: str) -> bytes:
    with store.open(name) as reader:
        data = reader.read_at(0, reader.size + 1)
        assert len(data) == reader.size
        return data


@contextlib.contextmanager
def small_disk(folder: Path, size: int) -> Generator[None]:
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
import test_store_on_disk as t
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
import test_store_on_disk as t
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


def test_a_store_that_cannot_be_made_says_where(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises((Unavailable, Misconfigured), match="file"):
        LocalStore(tmp_path / "file" / "store")
