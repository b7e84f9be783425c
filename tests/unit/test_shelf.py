# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What a shelf keeps, how long, and what is left of a file that broke off."""

from collections.abc import Iterator

import pytest

from bastide.adapters.clock.fixed import FixedClock
from bastide.adapters.entropy.system import SystemEntropy
from bastide.adapters.keys.identities import IdentityKeys
from bastide.adapters.keys.memory import MemoryKeyring
from bastide.adapters.store.memory import MemoryStore
from bastide.adapters.store.sealed import SealedStore
from bastide.app.shelf import Shelf
from bastide.core.errors import Full, Misconfigured, NotFound, Unavailable

IDENT, OTHER = ("file-" + letter * 26 for letter in "ab")


def make(now_ms: int, store: MemoryStore, bytes_max: int = 1_000) -> Shelf:
    sealed = SealedStore(store, IdentityKeys(KEYS.identities()), (), SystemEntropy())
    return Shelf(sealed, FixedClock(now_ms), 7_200, bytes_max)


KEYS = MemoryKeyring.generate((), SystemEntropy())


def test_a_file_is_gone_when_its_time_is_over_even_before_a_sweep() -> None:
    store = MemoryStore()
    make(0, store).put_file(IDENT, "acme", "n", "batch", [b"x"], size=1, seconds=3_600)
    make(0, store).put_file(OTHER, "acme", "n", "batch", [b"x"], size=1)
    before, after = make(3_599_999, store), make(3_600_000, store)
    assert before.file("acme", IDENT).size == 1 and before.expire() == 0
    for deed in (after.file, after.open_file, after.delete_file):
        with pytest.raises(NotFound):
            deed("acme", IDENT)
    rows, more = after.files("acme", "", 10, True, "")
    assert ([row.ident for row in rows], more) == ([OTHER], False)
    assert after.expire() == 1 and after.expire() == 0
    assert not any(IDENT in name for name in store.names())


def test_a_file_cannot_be_kept_longer_than_the_operator_keeps_any() -> None:
    store = MemoryStore()
    with pytest.raises(Misconfigured, match="7200"):
        make(0, store).put_file(IDENT, "acme", "n", "batch", [b"x"], size=1, seconds=7_201)
    assert store.names() == []


def test_a_file_that_breaks_off_leaves_nothing_and_takes_no_room() -> None:
    store = MemoryStore()
    shelf = make(0, store)

    def broken() -> Iterator[bytes]:
        yield b"x" * 900
        raise Unavailable("the file broke off")

    with pytest.raises(Unavailable):
        shelf.put_file(IDENT, "acme", "n", "batch", broken(), size=1_000)
    assert store.names() == []
    shelf.put_file(IDENT, "acme", "n", "batch", [bytes(1_000)], size=1_000)
    with pytest.raises(Full):
        shelf.put_file(OTHER, "acme", "n", "batch", [b"x"], size=1)
    # Another shelf on the same store knows what is there.
    with pytest.raises(Full):
        make(0, store).put_file(OTHER, "acme", "n", "batch", [b"x"], size=1)
    shelf.delete_file("acme", IDENT)
    assert shelf.put_file(OTHER, "acme", "n", "batch", [b"x"], size=1).size == 1
