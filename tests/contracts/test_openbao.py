# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What only a key server can do wrong, through the real `hvac` client."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from bastide.adapters.entropy.system import SystemEntropy
from bastide.adapters.keys.openbao import BaoPlace, OpenBaoKeys
from bastide.adapters.keys.services import key_service, make_store_keys
from bastide.adapters.store.memory import MemoryStore
from bastide.adapters.store.sealed import SealedStore
from bastide.core.errors import Misconfigured, NotProven, Refused, Unavailable
from bastide.crypto import age
from contracts.transit_double import TransitDouble

ENTROPY = SystemEntropy()
FILE_KEY = bytes(range(16))


@pytest.fixture
def double() -> Iterator[TransitDouble]:
    double = TransitDouble()
    yield double
    double.close()


@pytest.fixture
def place(double: TransitDouble, tmp_path: Path) -> str:
    (tmp_path / "token").write_text(double.token + "\n")
    wanted = f"openbao:{double.url}/transit/store?token-source=file:{tmp_path / 'token'}"
    (made,) = make_store_keys(wanted, ENTROPY)
    return made


@pytest.fixture
def keys(place: str) -> OpenBaoKeys:
    return OpenBaoKeys(BaoPlace.parse(place), patience_s=1)


def sealed(keys: OpenBaoKeys) -> list[age.Stanza]:
    return [keys.wrap(FILE_KEY, ENTROPY.token)]


def test_the_stanza_names_server_key_and_version(keys: OpenBaoKeys) -> None:
    (stanza,) = sealed(keys)
    assert stanza.arguments == ("127.0.0.1/transit", "store", "v1")
    assert len(stanza.body) == 44
    assert FILE_KEY not in stanza.body


def test_a_server_that_is_sealed_away_or_slow_opens_nothing(
    keys: OpenBaoKeys, double: TransitDouble
) -> None:
    stanzas = sealed(keys)
    double.sealed = True
    with pytest.raises(Unavailable):
        keys.unwrap(stanzas, "x")
    double.sealed, double.delay_s = False, 3.0
    with pytest.raises(Unavailable, match="Timeout"):
        keys.unwrap(stanzas, "x")
    double.delay_s = 0.0
    assert keys.unwrap(stanzas, "x") == FILE_KEY
    double.close()
    with pytest.raises(Unavailable):
        keys.unwrap(stanzas, "x")


def test_what_the_owner_denies_at_the_server_is_refused(
    keys: OpenBaoKeys, double: TransitDouble
) -> None:
    stanzas = sealed(keys)
    double.denied = {"decrypt"}
    with pytest.raises(Refused, match="does not allow"):
        keys.unwrap(stanzas, "x")
    double.denied = set()
    assert keys.unwrap(stanzas, "x") == FILE_KEY


def test_a_new_token_is_read_from_its_file(
    keys: OpenBaoKeys, double: TransitDouble, tmp_path: Path
) -> None:
    stanzas = sealed(keys)
    double.token = "s.second"
    with pytest.raises(Refused) as caught:
        keys.unwrap(stanzas, "x")
    assert "s.first" not in str(caught.value)
    (tmp_path / "token").write_text(double.token)
    assert keys.unwrap(stanzas, "x") == FILE_KEY


def test_a_server_that_lies_is_found_out(keys: OpenBaoKeys, double: TransitDouble) -> None:
    stanzas = sealed(keys)
    for lie in ({}, {"plaintext": "AAAA"}, {"plaintext": "?"}, {"plaintext": None}):
        double.lie = lie
        with pytest.raises(NotProven):
            keys.unwrap(stanzas, "x")
    double.lie = {"ciphertext": "vault:x"}
    with pytest.raises(NotProven):
        sealed(keys)
    # A false key of the right length: the header's MAC does not hold.
    double.lie = None
    owner = age.X25519Identity(ENTROPY.token(32))
    store = SealedStore(MemoryStore(), keys, [str(owner.recipient())], ENTROPY)
    store.put("x", [b"weights"])
    double.lie = {"plaintext": "AAAAAAAAAAAAAAAAAAAAAA=="}
    with pytest.raises(NotProven, match="MAC"):
        store.open("x")
    # The owner needs no server to leave.
    assert b"".join(age.open_stream(store.export("x"), [owner])) == b"weights"


def test_a_rotation_makes_the_server_rotate(place: str, double: TransitDouble) -> None:
    owner = age.X25519Identity(ENTROPY.token(32))
    exits = [str(owner.recipient())]
    inner = MemoryStore()
    SealedStore(inner, key_service([place]), exits, ENTROPY).put("x", [b"weights"])
    (new,) = make_store_keys(place, ENTROPY)
    assert new != place
    assert double.calls.count("rotate") == 1
    both = SealedStore(inner, key_service([new, place]), exits, ENTROPY)
    body = both.digests("x")[1]
    both.rewrap("x")
    assert both.digests("x")[1] == body
    (stanza, *_) = age.parse_header(both.header("x"))[0].stanzas
    assert stanza.arguments[2] == "v2"
    with SealedStore(inner, key_service([new]), exits, ENTROPY).open("x") as reader:
        assert reader.read_at(0, 7) == b"weights"


def test_places_that_are_none() -> None:
    good = "openbao:https://bao.example:8200/transit/store?token-source=file:/t"
    assert BaoPlace.parse(str(BaoPlace.parse(good))) == BaoPlace.parse(good)
    for wrong in (
        good.replace("https", "http"),  # in clear, and not on loopback
        good.replace("bao.example", "user:word@bao.example"),
        good.replace("/store", ""),
        good.replace("/store", "/../store"),
        good.replace("file:/t", "s.token"),
        good + "&token=s.token",
    ):
        with pytest.raises(Misconfigured):
            make_store_keys(wrong, ENTROPY)


def test_many_callers_share_a_client(keys: OpenBaoKeys) -> None:
    stanzas, found = sealed(keys), []

    def call() -> None:
        found.extend(keys.unwrap(stanzas, "x") for _ in range(10))

    threads = [threading.Thread(target=call) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert found == [FILE_KEY] * 60


@pytest.mark.attacks("C289")
@pytest.mark.parametrize("flag", ["exportable", "allow_plaintext_backup"])
def test_a_key_that_can_be_read_is_not_taken(place: str, double: TransitDouble, flag: str) -> None:
    """Whoever read it before the owner looked needs no server any more, and cannot be denied."""
    for said in (True, None):
        double.about[flag] = said
        with pytest.raises(Misconfigured, match=flag):
            make_store_keys(place, ENTROPY)
    assert len(double.keys["store"]) == 1, "and no new version is made"
    double.about[flag] = False
    make_store_keys(place, ENTROPY)
    assert len(double.keys["store"]) == 2


@pytest.mark.attacks("C289")
def test_a_key_that_was_brought_in_is_not_taken(place: str, double: TransitDouble) -> None:
    double.about["imported_key"] = True
    with pytest.raises(Misconfigured, match="imported_key"):
        make_store_keys(place, ENTROPY)
    assert len(double.keys["store"]) == 1
    del double.about["imported_key"]  # a server that cannot import
    make_store_keys(place, ENTROPY)


@pytest.mark.attacks("C289")
def test_what_is_switched_on_later_is_told(keys: OpenBaoKeys, double: TransitDouble) -> None:
    """Whoever may configure the key can, after it was taken; the flags do not go back."""
    assert keys.health().endswith("it made the key and gives it to nobody")
    double.about["exportable"] = True
    assert keys.health().endswith("can be read from the server (exportable)")
    double.denied.add("keys")
    assert keys.health().endswith("may not read whether the server gives the key away")


def test_the_version_that_the_rotation_made_counts(place: str, double: TransitDouble) -> None:
    """Whoever imports one at the same time has its key."""
    double.brought_in = 1
    (new,) = make_store_keys(place, ENTROPY)
    assert BaoPlace.parse(new).version == 2 and len(double.keys["store"]) == 3
