# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The file that names a person is strict, and no error of it says who it is."""

import json

import pytest

from bastide.core.erasure import ErasureList
from bastide.core.erasure_subject import ErasureSubject
from bastide.core.errors import Misconfigured
from bastide.detectors.erasure import ErasureSearch


def search(**fields: list[str]) -> ErasureSearch:
    subject = ErasureSubject.parse(json.dumps(fields))
    return ErasureSearch(ErasureList.make(subject.forms(), "2026-11-26", bytes(16)))


@pytest.mark.attacks("C130")
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "names nobody"),
        ("names = []", "names nobody"),
        ('{"names": ["Sirkka Lehto"], "names": []}', "neither TOML nor JSON"),
        ('names = ["Sirkka Lehto"', "neither TOML nor JSON"),
        ('names = "Sirkka Lehto"', "names is no list"),
        ('names = ["Sirkka Lehto", 7]', "names, number 2, is no text"),
        ('names = ["Maija Aalto", "Lehto"]', "names, number 2, has 5 letters"),
        ('"Sirkka Lehto" = true', "field number 1 is unknown"),
        ('emails = ["sirkka.lehto"]', "emails, number 1, is no address"),
        ('phones = ["call Sirkka Lehto"]', "phones, number 1, is no telephone number"),
        ('numbers = ["12-34"]', "numbers, number 1, has 4 letters"),
        (f'names = ["Lehto{"o" * 70}"]', "names, number 1, has 75 letters"),
        (f"names = {['Sirkka Lehto'] * 1001}", "names is no list of at most"),
    ],
)
def test_an_error_names_field_and_number_and_nobody(text: str, said: str) -> None:
    with pytest.raises(Misconfigured, match=said) as caught:
        ErasureSubject.parse(text)
    error = caught.value
    told = f"{error.message}{error.fix}{error.place}{error.__cause__}".lower()
    assert "sirkka" not in told
    assert "lehto" not in told


def test_a_subject_shows_nobody() -> None:
    subject = ErasureSubject.parse('names = ["Sirkka Lehto"]\nnumbers = ["131052-308T"]')
    assert "Lehto" not in repr(subject)
    assert "308T" not in repr(subject)


@pytest.mark.parametrize(
    "text",
    [
        "ring +358 40 123 4567 now",
        "(040) 123-4567",
        "00358401234567",
        "tel. 0401234567",
        "40 1234567",
        "358 40 1234567",
    ],
)
def test_a_telephone_is_found_as_it_is_dialled(text: str) -> None:
    assert search(phones=["+358 40 123 4567"]).finds(text)


def test_what_is_found_and_what_is_not() -> None:
    looks = search(names=["Sirkka Lehto"], numbers=["131052-308T"], emails=["s.lehto@mail.fi"])
    for text in ("LEHTO, Sirkka", "S\u0131rkka lehto".replace("\u0131", "i"), "131052 308t",
                 "<S.Lehto@mail.fi>"):  # fmt: skip
        assert looks.finds(text), text
    for text in ("Sirkka Lehtonen", "Sirkkalehto9", "131052-308U", "lehto@mail.fi"):
        assert not looks.finds(text), text


def test_of_a_long_phrase_the_beginning_is_looked_for() -> None:
    phrase = "the youngest daughter of the mayor who sold the old mill by the river to a stranger"
    looks = search(phrases=[phrase])
    assert looks.finds(f"It was {phrase}.")
    assert looks.finds(phrase[:78])
    assert not looks.finds("the youngest daughter of the mayor")


def test_a_text_that_was_cut_within_a_name_is_known() -> None:
    looks = search(names=["Sirkka Lehto"])
    assert looks.may_be_cut("and then came Sirkka Le")
    assert looks.may_be_cut("and then came Sirk")
    assert not looks.may_be_cut(
        "Sirkka is a name, but nothing of it stands at the end of this text"
    )
