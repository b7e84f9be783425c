# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Checksums of national numbers that python-stdnum lacks, or judges by today's date.

A rule here must give the same answer every day, so "is not born yet" is no reason.
"""

from collections.abc import Iterable

from stdnum import luhn, verhoeff

__all__ = [
    "belgian",
    "czech",
    "danish",
    "german_health",
    "hungarian_health",
    "hungarian_tax",
    "latvian",
    "luxembourgish",
    "swedish",
]


def belgian(number: str) -> bool:
    """National number: 97 minus the rest of nine digits, with a 2 in front from 2000 on."""
    return int(number[9:]) in (97 - int(lead + number[:9]) % 97 for lead in ("", "2"))


def czech(number: str) -> bool:
    """Birth number of ten digits, Czech and Slovak: a date, and divisible by 11."""
    month = int(number[2:4]) % 50
    return _day(month - 20 if month > 20 else month, int(number[4:6])) and int(number) % 11 == 0


def danish(number: str) -> bool:
    """CPR number: a date. Only numbers from before 2007 have a checksum as well."""
    return _day(int(number[2:4]), int(number[:2]))


def german_health(number: str) -> bool:
    """Health insurance number: a letter counts as its place, weights 1 and 2, sums of digits."""
    digits = [int(digit) for digit in f"{ord(number[0]) - 64:02d}{number[1:9]}"]
    doubled = (digit * (1 + place % 2) for place, digit in enumerate(digits))
    return sum(value // 10 + value % 10 for value in doubled) % 10 == int(number[9])


def hungarian_health(number: str) -> bool:
    """TAJ number: weights 3 and 7."""
    return _weighted(number[:8], (3, 7) * 4) % 10 == int(number[8])


def hungarian_tax(number: str) -> bool:
    """Tax number of a person: begins with 8, weights 1 to 9 modulo 11."""
    return number[0] == "8" and _weighted(number[:9], range(1, 10)) % 11 == int(number[9])


def latvian(number: str) -> bool:
    """Personal code: a date in the old form, a checksum in the one that begins with 32."""
    if number.startswith("32"):
        weights = (10, 5, 8, 4, 2, 1, 6, 3, 7, 9)
        return (1 + _weighted(number[:10], weights)) % 11 % 10 == int(number[10])
    return _day(int(number[2:4]), int(number[:2])) and number[6] in "012"


def luxembourgish(number: str) -> bool:
    """National identification number: a date, a Luhn digit and a Verhoeff digit."""
    born = _day(int(number[4:6]), int(number[6:8])) and number[:2] in {"18", "19", "20"}
    return born and luhn.is_valid(number[:12]) and verhoeff.is_valid(number[:11] + number[12])


def swedish(number: str) -> bool:
    """Personal number: a date (coordination numbers add 60 to the day) and Luhn of ten digits."""
    short = number[-10:]
    return _day(int(short[2:4]), int(short[4:6]) % 60) and luhn.is_valid(short)


def _day(month: int, day: int) -> bool:
    return 1 <= month <= 12 and 1 <= day <= 31


def _weighted(digits: str, weights: Iterable[int]) -> int:
    return sum(int(digit) * weight for digit, weight in zip(digits, weights, strict=True))
