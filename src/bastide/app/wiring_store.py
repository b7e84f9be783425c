# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Wiring of the stores: where the objects of a home are, by its setting `store`."""

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO, Final, Protocol

from bastide.app.bucket_account import open_account
from bastide.app.config import Home, read_settings
from bastide.ports import Entropy, KeyService, Reader, SealingStore, Store

__all__ = [
    "FarFiles",
    "body_name",
    "far_files",
    "far_store",
    "open_age_file",
    "open_sealed",
    "open_with_headers",
    "plain_store",
    "reader_of_bytes",
    "stays_near",
]

_LOCAL: Final = "local:"
# What a build of a corpus needs until it is finished, and the key of its pseudonyms: to shred a key
# is to delete it, and a bucket may keep versions of what is deleted.
_NEAR: Final = re.compile(r"corpora/[^/]+/((parts|merge|batches|unpacked|counts)/.*|gone|key)")


def open_age_file(file: Reader, keys: KeyService, name: str) -> Reader:
    """The content of an age file that is in no store. Raises NotAllowed, NotProven."""
    from bastide.adapters.store.sealed import open_age_file as open_file

    return open_file(file, keys, name)


def reader_of_bytes(data: bytes) -> Reader:
    """Bytes in memory, as a file."""
    from bastide.adapters.store.memory import MemoryReader

    return MemoryReader(data)


def stays_near(name: str) -> bool:
    """Whether an object is on the disk of the machine, wherever the store is."""
    return _NEAR.fullmatch(name) is not None


def far_store(home: Home, url: str) -> Store:
    """The store that a URL names, without sealing. Raises Misconfigured at its first use."""
    if url.startswith(_LOCAL):
        from bastide.adapters.store.local import LocalStore

        return LocalStore(Path(url.removeprefix(_LOCAL)))
    from bastide.adapters.store.s3 import S3Store

    return S3Store(lambda: open_account(read_settings(home), url))


def body_name(name: str, header: bytes) -> str:
    """Where the body of a sealed object lies, as its header says. Raises NotProven."""
    from bastide.adapters.store.sealed import body_name as name_of

    return name_of(name, header)


def plain_store(home: Home) -> Store:
    """The sealed objects of a home as they lie, headers and bodies apart."""
    url = read_settings(home).store
    if url:
        return far_store(home, url)
    from bastide.adapters.store.local import LocalStore

    return LocalStore(home.store)


class FarFiles(Protocol):
    """Files in a bucket, in clear (adapters/store/s3_files.py)."""

    def sizes(self, prefix: str = "") -> list[tuple[str, int]]:
        """Names that begin so, up to a `/`, with bytes; sorted."""
        ...

    def open(self, name: str) -> BufferedReader:
        """A file to read and to seek in. Raises NotFound."""
        ...

    def mark(self, name: str) -> str:
        """What a file was said to be made of when it was written, or ""."""
        ...

    def writing(self, name: str, mark: str = "") -> AbstractContextManager[BinaryIO]:
        """A file that is there when the block ends well, and not at all otherwise."""
        ...


def far_files(home: Home, url: str) -> FarFiles:
    """Files below ``s3://bucket/prefix``, by the account of a home. Raises at its first use."""
    from bastide.adapters.store.s3_files import BucketFiles

    return BucketFiles(lambda: open_account(read_settings(home), url))


def open_sealed(
    root: Path, keys: KeyService, exits: Sequence[str], source: Entropy
) -> SealingStore:
    """The sealed store in a folder of a home, or where the setting says."""
    return _open(root, lambda inner: inner, keys, exits, source)


def open_with_headers(
    root: Path, keys: KeyService, headers: Mapping[str, bytes], source: Entropy
) -> SealingStore:
    """The store as a node reads it: with headers that it was given."""
    from bastide.adapters.store.given_headers import GivenHeaders

    return _open(root, lambda inner: GivenHeaders(inner, headers), keys, (), source)


def _open(
    root: Path,
    around: Callable[[Store], Store],
    keys: KeyService,
    exits: Sequence[str],
    source: Entropy,
) -> SealingStore:
    from bastide.adapters.store.divided import DividedStore
    from bastide.adapters.store.local import LocalStore
    from bastide.adapters.store.sealed import SealedStore

    near = SealedStore(around(LocalStore(root)), keys, exits, source)
    home = Home(root.parent)
    # The desk keeps tenants' files here, and a home that is being founded has no settings yet.
    if root != home.store or not home.config.exists():
        return near
    url = read_settings(home).store
    if not url:
        return near
    far = SealedStore(around(far_store(home, url)), keys, exits, source)
    return DividedStore(near, far, stays_near)
