# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Valid numbers of persons of the 27 states, made from the published definitions.

Nothing of the product and nothing of python-stdnum is used here: what checks the numbers must not
also make them. Every function takes a seeded `random.Random`.
"""

from random import Random

__all__ = ["PERSONS"]


def digits(chance: Random, count: int) -> str:
    return "".join(chance.choice("0123456789") for _ in range(count))


def dot(number: str, weights: str) -> int:
    return sum(
        int(digit) * int(weight) for digit, weight in zip(number, weights.split(), strict=True)
    )


def day(chance: Random) -> tuple[str, str, str]:
    """Year of four digits, month, day."""
    return (
        str(chance.randint(1950, 1999)),
        f"{chance.randint(1, 12):02d}",
        f"{chance.randint(1, 28):02d}",
    )


def short(chance: Random, order: str) -> str:
    year, month, number = day(chance)
    return order.replace("Y", year[2:]).replace("M", month).replace("D", number)


def luhn(number: str) -> str:
    total = 0
    for place, digit in enumerate(reversed(number)):
        value = int(digit) * (2 - place % 2)
        total += value - 9 if value > 9 else value
    return str(-total % 10)


def iso_11_10(number: str) -> str:
    rest = 10
    for digit in number:
        rest = ((rest + int(digit)) % 10 or 10) * 2 % 11
    return str((11 - rest) % 10)


def verhoeff(number: str) -> str:
    """By the dihedral group of five, written out instead of tables."""

    def times(one: int, two: int) -> int:
        if one < 5:
            return (one + two) % 5 if two < 5 else 5 + (one + two) % 5
        return 5 + (one - two) % 5 if two < 5 else (one - two) % 5

    moved = [1, 5, 7, 6, 2, 8, 3, 0, 9, 4]
    check = 0
    for place, digit in enumerate(reversed(number), 1):
        value = int(digit)
        for _ in range(place):
            value = moved[value]
        check = times(check, value)
    return str(next(value for value in range(10) if times(check, value) == 0))


def austrian(chance: Random) -> str:
    while True:
        serial, born = str(chance.randint(100, 999)), short(chance, "DMY")
        check = dot(serial + born, "3 7 9 5 8 4 2 1 6") % 11
        if check < 10:
            return f"{serial}{check} {born}"


def belgian(chance: Random) -> str:
    body = short(chance, "YMD") + f"{chance.randint(1, 997):03d}"
    return f"{body}{97 - int(body) % 97:02d}"


def belgian_written(chance: Random) -> str:
    n = belgian(chance)
    return f"{n[:2]}.{n[2:4]}.{n[4:6]}-{n[6:9]}.{n[9:]}"


def bulgarian(chance: Random) -> str:
    body = short(chance, "YMD") + digits(chance, 3)
    return body + str(dot(body, "2 4 8 5 10 9 7 3 6") % 11 % 10)


def bulgarian_foreigner(chance: Random) -> str:
    body = digits(chance, 9)
    return body + str(dot(body, "21 19 17 13 11 9 7 3 1") % 10)


def croatian(chance: Random) -> str:
    body = digits(chance, 10)
    return body + iso_11_10(body)


def cypriot(chance: Random) -> str:
    body = "0" + digits(chance, 7)
    odd = [1, 0, 5, 7, 9, 13, 15, 17, 19, 21]
    total = sum(odd[int(d)] for d in body[::2]) + sum(map(int, body[1::2]))
    return body + chr(65 + total % 26)


def czech(chance: Random) -> str:
    while True:
        year, month, number = day(chance)
        month = f"{int(month) + chance.choice((0, 50)):02d}"
        body = year[2:] + month + number + digits(chance, 3)
        check = -int(body + "0") % 11
        if int(year) >= 1954 and check < 10:
            return f"{body[:6]}/{body[6:]}{check}"


def danish(chance: Random) -> str:
    return short(chance, "DMY") + "-" + f"{chance.randint(1, 3999):04d}"


def baltic(chance: Random) -> str:
    """Estonia and Lithuania."""
    body = chance.choice("34") + short(chance, "YMD") + digits(chance, 3)
    check = dot(body, "1 2 3 4 5 6 7 8 9 1") % 11
    if check == 10:
        check = dot(body, "3 4 5 6 7 8 9 1 2 3") % 11 % 10
    return body + str(check)


def finnish(chance: Random) -> str:
    born, serial = short(chance, "DMY"), f"{chance.randint(2, 899):03d}"
    return f"{born}-{serial}" + "0123456789ABCDEFHJKLMNPRSTUVWXY"[int(born + serial) % 31]


def french(chance: Random) -> str:
    body = chance.choice("12") + short(chance, "YM") + f"{chance.randint(1, 19):02d}"
    body += f"{chance.randint(1, 900):03d}" + f"{chance.randint(1, 990):03d}"
    return f"{body}{97 - int(body) % 97:02d}"


def french_written(chance: Random) -> str:
    n = french(chance)
    return f"{n[0]} {n[1:3]} {n[3:5]} {n[5:7]} {n[7:10]} {n[10:13]} {n[13:]}"


def french_tax(chance: Random) -> str:
    body = chance.choice("0123") + digits(chance, 9)
    n = f"{body}{int(body) % 511:03d}"
    return chance.choice((n, f"{n[:2]} {n[2:4]} {n[4:7]} {n[7:10]} {n[10:]}"))


def german_tax(chance: Random) -> str:
    pool = list("123456789")
    chance.shuffle(pool)
    body = [*pool[:8], "0", pool[0]]
    while body[0] == "0" or any(body[i] == body[i + 1] for i in range(9)):
        chance.shuffle(body)
    n = "".join(body) + iso_11_10("".join(body))
    return chance.choice((n, f"{n[:2]} {n[2:5]} {n[5:8]} {n[8:]}"))


def german_health(chance: Random) -> str:
    letter, body = chance.choice("ABCDEFGHIJKLMNOPQRSTUVWXYZ"), digits(chance, 8)
    total = 0
    for place, digit in enumerate(f"{ord(letter) - 64:02d}{body}"):
        total += sum(map(int, str(int(digit) * (place % 2 + 1))))
    return f"{letter}{body}{total % 10}"


def greek(chance: Random) -> str:
    body = short(chance, "DMY") + digits(chance, 4)
    return body + luhn(body)


def greek_tax(chance: Random) -> str:
    body = "1" + digits(chance, 7)
    total = sum(int(digit) << (8 - place) for place, digit in enumerate(body))
    return body + str(total % 11 % 10)


def hungarian_health(chance: Random) -> str:
    body = digits(chance, 8)
    n = body + str(dot(body, "3 7 3 7 3 7 3 7") % 10)
    return chance.choice((n, f"{n[:3]}-{n[3:6]}-{n[6:]}", f"{n[:3]} {n[3:6]} {n[6:]}"))


def hungarian_tax(chance: Random) -> str:
    while True:
        body = "8" + digits(chance, 8)
        check = dot(body, "1 2 3 4 5 6 7 8 9") % 11
        if check < 10:
            return body + str(check)


def hungarian(chance: Random) -> str:
    while True:
        body = (
            chance.choice("12")
            + f"{chance.randint(50, 96)}"
            + short(chance, "MD")
            + digits(chance, 3)
        )
        check = dot(body, "1 2 3 4 5 6 7 8 9 10") % 11
        if check < 10:
            n = body + str(check)
            return chance.choice((n, f"{n[0]}-{n[1:7]}-{n[7:]}", f"{n[0]} {n[1:7]} {n[7:]}"))


def irish(chance: Random) -> str:
    body = digits(chance, 7)
    extra = chance.choice(("", "A"))
    total = dot(body, "8 7 6 5 4 3 2") + (9 if extra else 0)
    return body + "WABCDEFGHIJKLMNOPQRSTUV"[total % 23] + extra


def italian(chance: Random) -> str:
    year, month, number = day(chance)
    letters = "".join(chance.choice("BCDFGLMNPRSTVZ") for _ in range(6))
    code = letters + year[2:] + "ABCDEHLMPRST"[int(month) - 1] + number
    code += chance.choice("ABCDEFGHIL") + f"{chance.randint(100, 999)}"
    odd = {}
    for place, value in enumerate((1, 0, 5, 7, 9, 13, 15, 17, 19, 21)):
        odd[str(place)] = odd[chr(65 + place)] = value
    for letter, value in zip(
        "KLMNOPQRSTUVWXYZ", (2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23), strict=True
    ):
        odd[letter] = value
    even = sum(int(s) if s.isdigit() else ord(s) - 65 for s in code[1::2])
    return code + chr(65 + (sum(odd[s] for s in code[::2]) + even) % 26)


def latvian(chance: Random) -> str:
    body = short(chance, "DMY") + "1" + digits(chance, 4)
    return f"{body[:6]}-{body[6:]}"


def latvian_new(chance: Random) -> str:
    while True:
        body = "32" + digits(chance, 8)
        total = dot(body, "10 5 8 4 2 1 6 3 7 9")
        if (1 + total) % 11 < 10:
            return f"{body[:6]}-{body[6:]}{(1 + total) % 11}"


def luxembourgish(chance: Random) -> str:
    body = "".join(day(chance)) + digits(chance, 3)
    return body + luhn(body) + verhoeff(body)


def maltese(chance: Random) -> str:
    return f"{chance.randint(100, 999999)}" + chance.choice("MGAPLHBZ")


def dutch(chance: Random) -> str:
    while True:
        body = chance.choice("12345678") + digits(chance, 7)
        check = dot(body, "9 8 7 6 5 4 3 2") % 11
        if check < 10:
            return body + str(check)


def polish(chance: Random) -> str:
    body = short(chance, "YMD") + digits(chance, 4)
    return body + str(-dot(body, "1 3 7 9 1 3 7 9 1 3") % 10)


def polish_tax(chance: Random) -> str:
    while True:
        body = chance.choice("123456789") + digits(chance, 8)
        check = dot(body, "6 5 7 2 3 4 5 6 7") % 11
        if check < 10:
            n = body + str(check)
            return chance.choice((n, f"{n[:3]}-{n[3:6]}-{n[6:8]}-{n[8:]}"))


def portuguese_tax(chance: Random) -> str:
    body = chance.choice("12") + digits(chance, 7)
    n = body + str((11 - dot(body, "9 8 7 6 5 4 3 2") % 11) % 11 % 10)
    return chance.choice((n, f"{n[:3]} {n[3:6]} {n[6:]}"))


def portuguese_security(chance: Random) -> str:
    body = "1" + digits(chance, 9)
    return body + str(9 - dot(body, "29 23 19 17 13 11 7 5 3 2") % 10)


def romanian(chance: Random) -> str:
    body = (
        chance.choice("12")
        + short(chance, "YMD")
        + f"{chance.randint(1, 46):02d}"
        + digits(chance, 3)
    )
    check = dot(body, "2 7 9 1 4 6 3 5 8 2 7 9") % 11
    return body + str(1 if check == 10 else check)


def slovene(chance: Random) -> str:
    while True:
        year, month, number = day(chance)
        body = number + month + year[1:] + "50" + digits(chance, 3)
        check = -dot(body, "7 6 5 4 3 2 7 6 5 4 3 2") % 11
        if check < 10:
            return body + str(check)


def slovene_tax(chance: Random) -> str:
    while True:
        body = chance.choice("12345678") + digits(chance, 6)
        check = 11 - dot(body, "8 7 6 5 4 3 2") % 11
        if check != 11:
            return body + str(check % 10)


def spanish(chance: Random) -> str:
    body = digits(chance, 8)
    return body + chance.choice(("", "-")) + "TRWAGMYFPDXBNJZSQVHLCKE"[int(body) % 23]


def spanish_foreigner(chance: Random) -> str:
    lead, body = chance.choice("XYZ"), digits(chance, 7)
    return f"{lead}-{body}-" + "TRWAGMYFPDXBNJZSQVHLCKE"[int(str("XYZ".index(lead)) + body) % 23]


def spanish_security(chance: Random) -> str:
    body = f"{chance.randint(1, 50):02d}" + chance.choice("123456789") + digits(chance, 7)
    return f"{body[:2]} {body[2:]} {int(body) % 97:02d}"


def swedish(chance: Random) -> str:
    body = short(chance, "YMD") + digits(chance, 3)
    return f"{body[:6]}-{body[6:]}{luhn(body)}"


# Kind, state, maker, and whether its written form counts without a word.
PERSONS = (
    ("health-number", "AT", austrian, False),
    ("national-id", "BE", belgian, False),
    ("national-id", "BE", belgian_written, True),
    ("national-id", "BG", bulgarian, False),
    ("national-id", "BG", bulgarian_foreigner, False),
    ("national-id", "HR", croatian, False),
    ("tax-number", "CY", cypriot, False),
    ("national-id", "CZ", czech, True),
    ("national-id", "DK", danish, False),
    ("national-id", "EE", baltic, False),
    ("national-id", "FI", finnish, True),
    ("national-id", "FR", french, False),
    ("national-id", "FR", french_written, True),
    ("tax-number", "FR", french_tax, False),
    ("tax-number", "DE", german_tax, False),
    ("health-number", "DE", german_health, False),
    ("national-id", "GR", greek, False),
    ("tax-number", "GR", greek_tax, False),
    ("health-number", "HU", hungarian_health, False),
    ("tax-number", "HU", hungarian_tax, False),
    ("national-id", "HU", hungarian, False),
    ("national-id", "IE", irish, False),
    ("national-id", "IT", italian, True),
    ("national-id", "LV", latvian, False),
    ("national-id", "LV", latvian_new, False),
    ("national-id", "LT", baltic, False),
    ("national-id", "LU", luxembourgish, False),
    ("national-id", "MT", maltese, False),
    ("national-id", "NL", dutch, False),
    ("national-id", "PL", polish, False),
    ("tax-number", "PL", polish_tax, False),
    ("tax-number", "PT", portuguese_tax, False),
    ("health-number", "PT", portuguese_security, False),
    ("national-id", "RO", romanian, False),
    ("national-id", "SK", czech, True),
    ("national-id", "SI", slovene, False),
    ("tax-number", "SI", slovene_tax, False),
    ("national-id", "ES", spanish, False),
    ("national-id", "ES", spanish_foreigner, True),
    ("health-number", "ES", spanish_security, False),
    ("national-id", "SE", swedish, True),
)
