# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What only looks personal: numbers of books, orders, versions and files; wrong check digits."""

import hashlib
import uuid
from collections.abc import Callable
from random import Random

from personal_data import values
from personal_data.persons import digits, dot

__all__ = ["NEGATIVES", "wrong"]


def isbn(chance: Random) -> str:
    body = "978" + digits(chance, 9)
    check = -sum(int(d) * (1 + 2 * (i % 2)) for i, d in enumerate(body)) % 10
    return f"ISBN {body[:3]}-{body[3]}-{body[4:7]}-{body[7:]}-{check}"


def issn(chance: Random) -> str:
    body = digits(chance, 7)
    return f"ISSN {body[:4]}-{body[4:]}" + "0123456789X"[-dot(body, "8 7 6 5 4 3 2") % 11]


def luhn_number(chance: Random) -> str:
    """Sixteen digits that pass for a card, in a row."""
    return values.card(chance).replace(" ", "").replace("-", "")


def wrong_iban(chance: Random) -> str:
    return values.iban(chance, chance.choice(list(values.ACCOUNTS)), wrong=True)


def sha(chance: Random) -> str:
    return hashlib.sha256(digits(chance, 9).encode()).hexdigest()


def md5(chance: Random) -> str:
    return hashlib.md5(digits(chance, 9).encode()).hexdigest()


def identifier(chance: Random) -> str:
    return str(uuid.UUID(int=chance.getrandbits(128)))


def any_digits(chance: Random) -> str:
    return digits(chance, chance.randint(7, 16))


def wrong(chance: Random, number: str) -> str:
    """A number with one digit changed: another one than was meant, and nobody's."""
    places = [place for place, sign in enumerate(number) if sign.isdigit()]
    place = chance.choice(places)
    other = chance.choice([sign for sign in "0123456789" if sign != number[place]])
    return number[:place] + other + number[place + 1 :]


def _shape(shape: str) -> Callable[[Random], str]:
    return lambda chance: values.filled(chance, shape)


# What is said around it comes from the carrier: {} of "order" or of "other".
NEGATIVES = (
    ("order", any_digits),
    ("order", luhn_number),
    *(
        ("order", _shape(shape))
        for shape in (
            "202#/######", "######-####", "######/####", "########K", "##-######-##",
            "#########",
            "AB ######", "### ### ###", "##.##.####/##", "RX########DE", "####-####-####",
        )
    ),
    ("other", isbn),
    ("other", issn),
    ("other", wrong_iban),
    ("other", sha),
    ("other", md5),
    ("other", identifier),
    ("other", any_digits),
    *(
        ("other", _shape(shape))
        for shape in (
            "v#.##.#", "version 1.#.##.#", "20##-0#-1#", "4#.######, 1#.######",
            "1##.###.###,## EUR", "192.168.1##.##",
            "https://www.eu-portal.eu/doc/###########?id=#########", "10.1###/########",
            "1#:0#:4#.######",
            "199#-201#", "# ### ### ###", "0.#########", "(##, ###, ####)", "#### × ####",
            "202#0#1#T1#0#4#Z", "1##,###,###", "EN 1####-#:201#", "2.#.#.4", "RFC 8###", "+## %",
        )
    ),
)  # fmt: skip
