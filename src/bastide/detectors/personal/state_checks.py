# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Checksums of documents and numbers of persons that python-stdnum lacks, by their definitions."""

import re
from collections.abc import Iterable

from stdnum.eu import vat

__all__ = [
    "belgian_card",
    "german_document",
    "hungarian_person",
    "machine_readable",
    "polish_card",
    "polish_passport",
    "portuguese_security",
    "spanish_security",
    "vat_number",
]

_MONTHS_MAX = 12


def machine_readable(text: str) -> bool:
    """ICAO Doc 9303: the check digits of one line of a passport (TD3) or card (TD2): number, date
    of birth, date of expiry.
    """
    fields = ((0, 9), (13, 19), (21, 27))
    return all(_icao(text[start:end]) == text[end] for start, end in fields)


def german_document(number: str) -> bool:
    """Passport and identity card: nine characters, then the check digit of ICAO Doc 9303."""
    return _icao(number[:9]) == number[9]


def polish_card(number: str) -> bool:
    """Dowód osobisty: three letters, a check digit, five digits; weights 7, 3, 1."""
    return _icao(number[:3] + number[4:]) == number[3]


def polish_passport(number: str) -> bool:
    """Two letters, a check digit, six digits; weights 7, 3, 1."""
    return _icao(number[:2] + number[3:]) == number[2]


def belgian_card(number: str) -> bool:
    """Identity card: ten digits modulo 97, where no rest is written as 97."""
    return (int(number[:10]) % 97 or 97) == int(number[10:])


def hungarian_person(number: str) -> bool:
    """Személyi szám: a date, weights 1 to 10 modulo 11, and 10 to 1 for who is born after 1996."""
    digits = [int(digit) for digit in number]
    if not (1 <= int(number[3:5]) <= _MONTHS_MAX and 1 <= int(number[5:7]) <= 31):
        return False
    late = digits[0] in (3, 4) or (digits[0] in (1, 2) and int(number[1:3]) > 96)
    return _weighted(digits, range(10, 0, -1) if late else range(1, 11)) % 11 == digits[10]


def spanish_security(number: str) -> bool:
    """Número de la Seguridad Social: province and number modulo 97; a number below ten million
    is written without its first zero.
    """
    province, serial, check = number[:2], int(number[2:10]), int(number[10:])
    whole = serial + int(province) * 10_000_000 if serial < 10_000_000 else int(number[:10])
    return whole % 97 == check


def portuguese_security(number: str) -> bool:
    """NISS: begins with 1 or 2, weights are the primes from 29 down to 2."""
    weights = (29, 23, 19, 17, 13, 11, 7, 5, 3, 2)
    digits = [int(digit) for digit in number]
    return digits[0] in (1, 2) and 9 - _weighted(digits, weights) % 10 == digits[10]


def vat_number(number: str) -> bool:
    """A VAT number with the letters of its state, by that state's rule in python-stdnum."""
    return vat.is_valid(re.sub("[^0-9A-Z+*]", "", number))


def _icao(text: str) -> str:
    values = (0 if sign == "<" else int(sign, 36) for sign in text)
    return str(sum(value * (7, 3, 1)[place % 3] for place, value in enumerate(values)) % 10)


def _weighted(digits: Iterable[int], weights: Iterable[int]) -> int:
    return sum(digit * weight for digit, weight in zip(digits, weights, strict=False))
