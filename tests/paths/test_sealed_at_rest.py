# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Nothing that is stored can be read from the disk, in whatever form it went in."""

import base64
import gzip
import os
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from bastide.adapters.entropy.system import SystemEntropy
from bastide.adapters.keys.file import create_exit, create_keyring
from bastide.adapters.keys.identities import IdentityKeys
from bastide.adapters.store.local import LocalStore
from bastide.adapters.store.memfd import decrypt_to_memfd
from bastide.adapters.store.sealed import SealedStore
from bastide.core.key import Purpose
from bastide.core.party import Party
from bastide.core.subject import Digest

ENTROPY = SystemEntropy()


def forms(canary: bytes) -> Iterator[bytes]:
    """A canary as it may be found: raw, in hexadecimal, and at the three places of base64."""
    yield canary
    yield canary.hex().encode()
    yield canary.hex().upper().encode()
    yield canary.decode("latin-1").encode("utf-16-le")
    for shift in range(3):
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            yield encode(bytes(shift) + canary)[4 if shift else 0 : -4]


def views(path: Path) -> Iterator[bytes]:
    """A file as it is, and unpacked if it can be."""
    raw = path.read_bytes()
    yield raw
    for unpack in (gzip.decompress, zlib.decompress, base64.b64decode):
        try:
            yield unpack(raw)
        except (OSError, EOFError, ValueError, zlib.error):
            continue


def found_below(root: Path, canary: bytes) -> list[Path]:
    wanted = list(forms(canary))
    return [
        path
        for path in root.rglob("*")
        if path.is_file() and any(form in view for view in views(path) for form in wanted)
    ]


def test_the_search_finds_a_canary_in_every_form(tmp_path: Path) -> None:
    canary = ENTROPY.token(32)
    for number, data in enumerate(
        [
            b"x" + canary,
            b"xy" + base64.b64encode(b"x" + canary),
            gzip.compress(canary * 3),
            canary.hex().encode(),
            base64.b64encode(gzip.compress(canary))[:0] + base64.b64encode(b"ab" + canary + b"c"),
        ]
    ):
        (tmp_path / str(number)).write_bytes(data)
    assert len(found_below(tmp_path, canary)) == 5


@pytest.mark.attacks("C27")
def test_objects_and_keys_are_nowhere_on_the_disk(tmp_path: Path) -> None:
    canary = ENTROPY.token(32)
    passphrase = ENTROPY.token(32).hex()
    keyring = create_keyring(
        tmp_path / "keyring.age", passphrase, tuple(Party), ENTROPY, generated=True
    )
    exit_recipient = create_exit(tmp_path / "exit.age", passphrase, ENTROPY, generated=True)
    store = SealedStore(
        LocalStore(tmp_path / "store"),
        IdentityKeys(keyring.identities()),
        [exit_recipient],
        ENTROPY,
    )
    shapes = {
        "raw": canary * 3000,
        "gz": gzip.compress(canary * 3000),
        "base64": base64.b64encode(b"x" + canary * 3000),
        "hex": canary.hex().encode(),
        "short": canary,
    }
    for name, data in shapes.items():
        store.put(f"objects/{name}", [data])
        store.put(f"objects/{name}", [data, canary])  # replaced: the old one is gone too
        store.rewrap(f"objects/{name}")
    whole = shapes["raw"] + canary
    os.close(decrypt_to_memfd(store, "objects/raw", Digest.of(whole), len(whole)))
    assert found_below(tmp_path, canary) == []

    for purpose in (Purpose.DATABASE, Purpose.PEPPER):
        assert found_below(tmp_path, keyring.secret(purpose)) == []
    for identity in keyring.identities():
        assert found_below(tmp_path, identity.encode()) == []
    assert found_below(tmp_path, passphrase.encode()) == []
    assert found_below(tmp_path, b"objects") != []  # names are not secret, and the search works
