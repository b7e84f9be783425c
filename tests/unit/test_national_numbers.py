# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""National, tax and health numbers of all 27 states, with the words that they need."""

import pytest

from bastide.detectors.catalogue import DETECTORS
from bastide.detectors.national_number import ROWS
from bastide.detectors.stream_filter import Chain, filtered

CHAIN = Chain(held=DETECTORS["national-number"])
STATES = [
    *("AT", "BE", "BG", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GR", "HR", "HU"),
    *("IE", "IT", "LT", "LU", "LV", "MT", "NL", "PL", "PT", "RO", "SE", "SI", "SK"),
]

# State, a word that goes with it, the number. All are test numbers of python-stdnum or made up.
WITH_WORD = [
    ("AT", "SVNR", "1237 010180"),
    ("BE", "rijksregisternummer", "85073003328"),
    ("BE", "NISS", "17 07 30 033 84"),
    ("BG", "ЕГН", "8032056031"),
    ("HR", "OIB", "33392005961"),
    ("CY", "TIN", "10259033P"),
    ("CZ", "rodné číslo", "7103192745"),
    ("DK", "CPR-nummer", "211062-5629"),
    ("EE", "isikukood", "36805280109"),
    ("FR", "numéro fiscal", "3023217600053"),
    ("FR", "sécurité sociale", "295109912611193"),
    ("DE", "Steuer-ID", "36 574 261 809"),
    ("DE", "Krankenversichertennummer", "A123456780"),
    ("GR", "ΑΜΚΑ", "01013099997"),
    ("GR", "ΑΦΜ", "094259216"),
    ("HU", "TAJ szám", "111-111-110"),
    ("HU", "adóazonosító jel", "8123456786"),
    ("IE", "PPSN", "6433435F"),
    ("LV", "personas kods", "161175-19997"),
    ("LV", "personas kods", "328673-00679"),
    ("LT", "asmens kodas", "33309240064"),
    ("LU", "matricule", "1999 04 12 12335"),
    ("MT", "ID card", "12345M"),
    ("MT", "VAT", "1167-9112"),
    ("NL", "BSN", "111222333"),
    ("NL", "burgerservicenummer", "1112.22.333"),
    ("PL", "PESEL", "44051401359"),
    ("PL", "NIP", "856-734-62-15"),
    ("PT", "NIF", "501 964 843"),
    ("RO", "CNP", "1630615123457"),
    ("SK", "rodné číslo", "7103192745"),
    ("SI", "EMŠO", "0101006500006"),
    ("ES", "DNI", "54362315K"),
    ("SE", "personnummer", "8803200016"),
]
BY_FORM = [
    ("BE", "85.07.30-033.28"),
    ("CZ", "710319/2745"),
    ("FI", "131052-308T"),
    ("FR", "2 95 10 99 126 111 93"),
    ("IT", "RCCMNL83S18D969H"),
    ("PT", "00000000 0 ZZ4"),
    ("ES", "X-2482300-W"),
    ("SE", "880320-0016"),
    ("SE", "19880320-0016"),
]


def masked(text: str) -> str:
    return filtered(CHAIN, text, {})[0]


@pytest.mark.parametrize(("state", "word", "number"), WITH_WORD)
def test_a_number_after_its_word_is_found(state: str, word: str, number: str) -> None:
    assert masked(f"{word}: {number}.") == f"{word}: [national-number]."


@pytest.mark.parametrize(("state", "word", "number"), WITH_WORD)
def test_without_the_word_it_is_a_number_like_any_other(state: str, word: str, number: str) -> None:
    assert masked(f"order {number}.") == f"order {number}."


@pytest.mark.parametrize(("state", "word", "number"), WITH_WORD)
def test_a_wrong_check_digit_is_let_through(state: str, word: str, number: str) -> None:
    if (state, word) in {("DK", "CPR-nummer"), ("LV", "personas kods"), ("MT", "ID card")}:
        return  # these forms have no checksum: the word and the date are all there is
    letters = list(number)
    place = max(at for at, letter in enumerate(letters) if letter.isdigit())
    letters[place] = str((int(letters[place]) + 1) % 10)
    wrong = "".join(letters)
    assert masked(f"{word}: {wrong}.") == f"{word}: {wrong}."


@pytest.mark.parametrize(("state", "number"), BY_FORM)
def test_a_form_that_nothing_else_has_counts_by_itself(state: str, number: str) -> None:
    assert masked(f"so {number}, yes") == "so [national-number], yes"


def test_all_states_are_there() -> None:
    found = {state for state, *_ in WITH_WORD} | {state for state, _ in BY_FORM}
    assert sorted(found) == STATES == sorted({row.state for row in ROWS})


@pytest.mark.parametrize(
    "text",
    [
        "1700000000000 ms, build 20240102123045, 123456789 bytes",
        "ISBN 978-3-16-148410-0, ISSN 2049-3630, EAN 4006381333931",
        "pi is 3.14159265358979, e is 2.718281828459045",
        "+49 30 901820, 2024-01-02, 12:30:45, 1.234.567,89 EUR",
        "order 100000001 of 2024/12345, DOI 10.1000/182, RFC 8785, UTF-8",
        "AABBCC12D34E567X is a part number, SKU AB-1234-CD",
    ],
)
def test_numbers_of_everyday_texts_get_through(text: str) -> None:
    assert masked(text) == text
