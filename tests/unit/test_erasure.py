# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The erasure list: hashes of names in an open format."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastide.core.erasure import ErasureList, normal, spellings
from bastide.core.errors import Misconfigured
from bastide.core.limits import ERASURE_NAMES_MAX
from bastide.detectors.erasure import erasure_detector
from bastide.detectors.stream_filter import Chain, filtered

SALT = bytes(range(16))
NAMES = ["Anna Schmidt-Müller", "Ødegård, Liv", "Γιώργος Παπαδόπουλος", "Zażółć Gęślą"]
LISTED = ErasureList.make(NAMES, "2026-11-01", SALT)


def masked(text: str) -> str:
    return filtered(Chain(held=(erasure_detector(LISTED),)), text, {})[0]


def test_export_and_import_give_the_same_list() -> None:
    again = ErasureList.load(LISTED.dump())
    assert again == LISTED
    assert again.dump() == LISTED.dump()


def test_the_file_says_its_date_and_no_name() -> None:
    data = LISTED.dump()
    assert json.loads(data)["date"] == "2026-11-01"
    for name in NAMES:
        for form in (name, *name.split(), *spellings(name)):
            assert form.encode() not in data


def test_the_age_is_counted_from_the_date() -> None:
    day = 86_400_000
    made = 20_758 * day  # 2026-11-01
    assert LISTED.age_days(made) == 0
    assert LISTED.age_days(made + 31 * day + 5) == 31
    assert LISTED.age_days(made - day) == -1


def test_another_salt_gives_other_hashes() -> None:
    other = ErasureList.make(NAMES, "2026-11-01", bytes(16))
    assert not other.entries & LISTED.entries


@pytest.mark.parametrize(
    "text",
    [
        "Anna Schmidt-Müller",
        "anna schmidt müller",
        "ANNA SCHMIDT MUELLER",
        "Schmidt-Müller Anna",
        "Schmidt-Müller, Anna",
        "Ａｎｎａ Schmidt-Müller",  # full width
        "Anna Schmidt-Mu\u0308ller",
        "An\u00adna Schmidt\u2011Müller",
        "Anna\n   Schmidt - Müller",
        "anna.schmidt_mueller",
        "Liv Ødegård",
        "LIV OEDEGAARD",
        "Odegard Liv",
        "ΓΙΩΡΓΟΣ ΠΑΠΑΔΟΠΟΥΛΟΣ",
        "zazolc gesla",
    ],
)
def test_every_spelling_is_found(text: str) -> None:
    assert masked(f"It was {text}.") == "It was [erasure]."


@pytest.mark.parametrize(
    "text",
    ["Anna Schmidt", "Joanna Schmidt-Müller", "Anna Schmidt-Müllerin", "Hanna Müller", "Liv"],
)
def test_other_names_get_through(text: str) -> None:
    assert masked(f"It was {text}.") == f"It was {text}."


@given(st.text(max_size=60))
def test_a_normal_form_is_letters_and_digits_only(text: str) -> None:
    form = normal(text)
    assert all(letter.isalnum() for letter in form)
    assert normal("\u200b".join(text)) == form


@pytest.mark.parametrize("name", ["", "Bo", "A. B.", "x" * 65])
def test_a_name_that_is_no_whole_name_is_refused_without_repeating_it(name: str) -> None:
    with pytest.raises(Misconfigured) as caught:
        ErasureList.make(["Anna Schmidt", name], "2026-11-01", SALT)
    assert not name or name not in caught.value.message


BAD = [
    {"type": "x"},
    {"date": "soon"},
    {"date": 5},
    {"salt": "00"},
    {"salt": None},
    {"letters": [2]},
    {"letters": ["a"]},
    {"letters": {}},
    {"heads": ["zz"]},
    {"heads": "abcd"},
    {"entries": ["00" * 15]},
    {"entries": ["ab" * 16] * (ERASURE_NAMES_MAX + 1)},
    {"more": 1},
]


@pytest.mark.parametrize("change", BAD)
def test_a_list_of_another_form_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(Misconfigured):
        ErasureList.from_json({**LISTED.to_json(), **change})


@pytest.mark.parametrize("data", [b"", b"[]", b"{", b"\xff", b"[" * 100_000])
def test_what_is_no_json_is_refused(data: bytes) -> None:
    with pytest.raises(Misconfigured):
        ErasureList.load(data)
