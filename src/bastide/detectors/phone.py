# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Telephone numbers: with ``+`` and a country, or after a word such as "phone".

Digits in groups are mostly something else, so a national number without such a word is not
taken for one. That misses some, and says so.
"""

import re
from typing import Final

from bastide.detectors.detector import DIGITS, Detector, after_word, longest

__all__ = ["DETECTOR"]

_BEGINS = r"(?<![0-9A-Za-z+.,-])[+0]"
_RUN = _BEGINS + r"(?:[ ./()-]{0,2}[0-9]){0,15}[ ./()-]{0,2}"
_WORDS = after_word(
    r"tel|telephone|telefon|telefono|teléfono|téléphone|telefoon|telefone|telemóvel|telefón|puhelin|"
    r"puhelinnumero|phone|mobile|mobil|mobiel|móvil|portable|cell|handy|gsm|fax|call|rufnummer|"
    r"telefonszám|τηλέφωνο|телефон|τηλ|tlf|nummer|komórka"
)
_DATE = re.compile(r"0?[0-9]{1,2}[./-][0-9]{1,2}[./-][0-9]{2,4}(?![0-9])")


def _end(text: str, at: int, stop: int) -> int:
    end = stop
    while end > at and not text[end - 1].isdigit():
        end -= 1
    following = text[end : end + 1]
    digits = sum(letter.isdigit() for letter in text[at:end])
    if following.isalnum() or _DATE.match(text, at):
        return 0
    if text[at] == "+":
        return end if 8 <= digits <= 15 and text[at + 1 : at + 2] != "0" else 0
    return end if 8 <= digits <= 15 and _WORDS(text, at) else 0


DETECTOR: Final = Detector("phone", "+0", longest(_RUN), _end, begins=_BEGINS, marks=DIGITS)
