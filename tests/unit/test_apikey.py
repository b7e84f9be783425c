# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""API keys: form, checksum, chance, and what may be known about them."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastide.adapters.entropy.seeded import SeededEntropy
from bastide.core import apikey
from bastide.core.errors import Misconfigured

BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase
KEY = apikey.make(SeededEntropy(b"apikey").token)


def test_a_key_has_the_published_form() -> None:
    assert len(KEY) == 40
    assert KEY.startswith("bst_")
    assert set(KEY[4:]) <= set(BASE62)
    assert apikey.parse(KEY) == KEY[4:34]


def test_the_checksum_is_crc32_in_base62() -> None:
    # printf %030d 0 | gzip | tail -c8 | od -An -tx4
    key = "bst_" + "0" * 30
    number = 0x77E5DB82
    digits = ""
    for _ in range(6):
        number, rest = divmod(number, 62)
        digits = BASE62[rest] + digits
    assert apikey.is_key(key + digits)


@given(st.binary(min_size=1, max_size=16))
def test_every_made_key_is_a_key(seed: bytes) -> None:
    key = apikey.make(SeededEntropy(seed).token)
    assert apikey.is_key(key)
    assert apikey.ident_of(key) == apikey.ident_of(key)


@given(st.integers(4, 39), st.sampled_from(BASE62))
def test_one_wrong_character_is_noticed(place: int, letter: str) -> None:
    wrong = KEY[:place] + letter + KEY[place + 1 :]
    assert apikey.is_key(wrong) == (wrong == KEY)


@pytest.mark.attacks("C48")
@given(st.text(max_size=60))
def test_other_text_is_refused_and_not_repeated(text: str) -> None:
    if apikey.is_key(text):
        return
    with pytest.raises(Misconfigured) as caught:
        apikey.parse(text)
    assert len(text) < 8 or text not in caught.value.message


@pytest.mark.parametrize("text", [KEY + "\n", " " + KEY, KEY.upper(), KEY[:-1], "bst_" + "é" * 36])
def test_near_misses_are_refused(text: str) -> None:
    assert not apikey.is_key(text)


def test_letters_are_equally_likely() -> None:
    source = SeededEntropy(b"letters")
    letters = "".join(apikey.parse(apikey.make(source.token)) for _ in range(3_000))
    counts = [letters.count(letter) for letter in BASE62]
    expected = len(letters) / 62
    chi_square = sum((count - expected) ** 2 / expected for count in counts)
    # 61 degrees of freedom: 100 is beyond the 99.9 % point. `byte % 62` alone gives about 1,500.
    assert chi_square < 100


def test_an_endless_source_of_unusable_bytes_is_not_accepted_as_letters() -> None:
    parts = iter([b"\xff" * 36, bytes(36)])
    assert apikey.parse(apikey.make(lambda count: next(parts))) == "0" * 30


def test_the_id_does_not_hold_the_key() -> None:
    ident = apikey.ident_of(KEY)
    assert ident.startswith("k_")
    assert len(ident) == 14
    assert ident[2:] not in KEY
    with pytest.raises(Misconfigured):
        apikey.ident_of("k_123456789012")


def test_the_mac_depends_on_pepper_and_key() -> None:
    other = apikey.make(SeededEntropy(b"other").token)
    macs = {apikey.mac(pepper, key) for pepper in (b"a" * 32, b"b" * 32) for key in (KEY, other)}
    assert len(macs) == 4
    assert all(len(mac) == 64 for mac in macs)
