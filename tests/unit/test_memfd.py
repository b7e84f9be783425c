# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Decrypting into a sealed memfd: the right bytes, unchangeable, or nothing."""

import contextlib
import errno
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

import bastide
from bastide.adapters.entropy.seeded import SeededEntropy
from bastide.adapters.keys.identities import IdentityKeys
from bastide.adapters.store.files import FileReader
from bastide.adapters.store.memfd import decrypt_to_memfd
from bastide.adapters.store.memory import MemoryStore
from bastide.adapters.store.sealed import SealedStore
from bastide.core.errors import Misconfigured, NotFound, NotProven, Unavailable
from bastide.core.limits import MIB
from bastide.core.subject import Digest
from bastide.crypto import age

SIZES = [0, 1, 65_536, MIB - 1, MIB, MIB + 1, 9 * MIB + 12_345]


def content(size: int) -> bytes:
    return hashlib.shake_128(b"model").digest(size)


@pytest.fixture
def inner() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def store(inner: MemoryStore) -> SealedStore:
    identity = age.X25519Identity(bytes(range(32))).secret()
    return SealedStore(inner, IdentityKeys([identity]), [], SeededEntropy(b"seed"))


def descriptors() -> set[str]:
    """The memfds that this process holds open."""
    found = set()
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # the listing's own descriptor
            found.add(f"{entry.name} {entry.readlink()}")
    return {entry for entry in found if "memfd:bastide" in entry}


@pytest.mark.attacks("C30")
@pytest.mark.parametrize("size", SIZES)
def test_the_content_is_there_and_cannot_change(store: SealedStore, size: int) -> None:
    data = content(size)
    store.put("m", [data])
    steps: list[tuple[int, int]] = []
    descriptor = decrypt_to_memfd(
        store, "m", Digest.of(data), size, lambda done, total: steps.append((done, total))
    )
    try:
        assert os.fstat(descriptor).st_size == size
        assert os.read(descriptor, size + 1) == data  # it stands at its start
        assert not os.get_inheritable(descriptor)
        for deed in (
            lambda: os.pwrite(descriptor, b"x", 0),
            lambda: os.ftruncate(descriptor, size + 1),
            lambda: (
                os.open(f"/proc/self/fd/{descriptor}", os.O_RDWR | os.O_TRUNC) if size else 1 / 0
            ),
        ):
            with pytest.raises((PermissionError, ZeroDivisionError)):
                deed()
        if size:
            again = os.open(f"/proc/self/fd/{descriptor}", os.O_RDWR)
            with pytest.raises(OSError, match=os.strerror(errno.EPERM)):
                os.write(again, b"x")
            os.close(again)
            assert steps[-1] == (size, size)
            assert [done for done, _ in steps] == sorted(done for done, _ in steps)
        reader = FileReader(Path(f"/proc/self/fd/{descriptor}"))
        assert reader.read_at(0, size) == data
        reader.close()
    finally:
        os.close(descriptor)


@pytest.mark.attacks("C30")
def test_another_digest_or_size_gives_nothing(store: SealedStore) -> None:
    data = content(3 * MIB)
    store.put("m", [data])
    before = descriptors()
    for digest, size in (
        (Digest.of(data[:-1] + b"x"), len(data)),
        (Digest.of(data), len(data) + 1),
        (Digest.of(data), len(data) - 1),
    ):
        with pytest.raises(NotProven, match="m has"):
            decrypt_to_memfd(store, "m", digest, size)
    with pytest.raises(NotFound):
        decrypt_to_memfd(store, "n", Digest.of(data), len(data))
    assert descriptors() == before


def test_a_changed_body_gives_nothing(store: SealedStore, inner: MemoryStore) -> None:
    data = content(3 * MIB)
    store.put("m", [data])
    (body,) = (name for name in inner.names() if name.endswith(".body"))
    with inner.open(body) as reader:
        sealed = bytearray(reader.read_at(0, reader.size))
    before = descriptors()
    for place in (16, MIB + 5, len(sealed) - 100_000, len(sealed) - 1):
        sealed[place] ^= 1
        inner.put(body, [sealed])
        with pytest.raises(NotProven):
            decrypt_to_memfd(store, "m", Digest.of(data), len(data))
        sealed[place] ^= 1
    assert descriptors() == before


def test_a_progress_that_stops_it_leaves_nothing(store: SealedStore) -> None:
    data = content(3 * MIB)
    store.put("m", [data])
    before = descriptors()

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        decrypt_to_memfd(store, "m", Digest.of(data), len(data), stop)
    assert descriptors() == before


LIMITED = """
import resource
from bastide.adapters.entropy.seeded import SeededEntropy
from bastide.adapters.keys.identities import IdentityKeys
from bastide.adapters.store.memfd import decrypt_to_memfd
from bastide.adapters.store.memory import MemoryStore
from bastide.adapters.store.sealed import SealedStore
from bastide.core.errors import Unavailable
from bastide.core.subject import Digest
from bastide.crypto import age
identity = age.X25519Identity(bytes(range(32))).secret()
store = SealedStore(MemoryStore(), IdentityKeys([identity]), [], SeededEntropy(b"seed"))
data = bytes(8 << 20)
store.put("m", [data])
resource.setrlimit(resource.RLIMIT_FSIZE, (4 << 20, 4 << 20))
try:
    decrypt_to_memfd(store, "m", Digest.of(data), len(data))
except Unavailable as error:
    print(error.message, "|", error.fix)
"""


def test_no_memory_says_so() -> None:
    source = str(Path(bastide.__file__).parents[1])
    out = subprocess.run(
        [sys.executable, "-c", LIMITED],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": source},
    )
    assert "m needs 8388608 bytes of memory" in out.stdout
    assert "free memory" in out.stdout


def test_file_reader_reads_one_regular_file_as_it_was_opened(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(content(100_000))
    reader = FileReader(path)
    path.unlink()
    path.write_bytes(b"another")
    assert reader.size == 100_000
    assert reader.read_at(99_990, 100) == content(100_000)[99_990:]
    assert reader.read_at(100_000, 5) == b""
    reader.close()
    reader.close()
    with pytest.raises(NotFound, match="none"):
        FileReader(tmp_path / "none")
    os.mkfifo(tmp_path / "pipe")
    for odd in (tmp_path, tmp_path / "pipe", Path("/dev/null")):
        with pytest.raises(Misconfigured, match="not a regular file"):
            FileReader(odd)


def test_file_reader_reports_a_failing_disk(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"x" * 10)
    reader = FileReader(path)
    os.close(reader._descriptor)
    with pytest.raises(Unavailable, match="cannot be read"):
        reader.read_at(0, 10)
    reader._descriptor = -1
