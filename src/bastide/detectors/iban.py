# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""International bank account numbers (ISO 13616): the country's length and its checksum mod 97."""

from string import ascii_uppercase
from typing import Final

from bastide.detectors.detector import ALONE, DIGITS, Detector, longest

__all__ = ["DETECTOR", "LENGTHS"]

# Characters of an IBAN by country, from the SWIFT registry.
_TABLE = (
    "AD:24 AE:23 AL:28 AT:20 AZ:28 BA:20 BE:16 BG:22 BH:22 BI:27 BR:29 BY:28 CH:21 CR:22 "
    "CY:28 CZ:24 DE:22 DJ:27 DK:18 DO:28 EE:20 EG:29 ES:24 FI:18 FK:18 FO:18 FR:27 GB:22 "
    "GE:22 GI:23 GL:18 GR:27 GT:28 HN:28 HR:21 HU:28 IE:22 IL:23 IQ:23 IS:26 IT:27 JO:30 "
    "KW:30 KZ:20 LB:28 LC:32 LI:21 LT:20 LU:20 LV:21 LY:25 MC:27 MD:24 ME:22 MK:19 MN:20 "
    "MR:27 MT:31 MU:30 NI:28 NL:18 NO:15 OM:23 PK:24 PL:28 PS:29 PT:25 QA:29 RO:24 RS:22 "
    "RU:33 SA:24 SC:31 SD:18 SE:24 SI:19 SK:24 SM:27 SO:23 ST:25 SV:28 TL:23 TN:24 TR:26 "
    "UA:29 VA:22 VG:24 XK:20 YE:30"
)
LENGTHS: Final = {row[:2]: int(row[3:]) for row in _TABLE.split()}

_BARE: Final = str.maketrans("", "", " -")
_VALUES: Final = str.maketrans({letter: str(int(letter, 36)) for letter in ascii_uppercase})
_RUN = longest(
    ALONE + r"[A-Za-z](?:[A-Za-z](?:[ -]?[0-9](?:[ -]?[0-9](?:[ -]?[0-9A-Za-z]){0,29}[ -]?)?)?)?"
)


def _run(text: str, at: int) -> int:
    stop = _RUN(text, at)
    # Of most words of two letters nothing need wait.
    return stop if stop < at + 2 or text[at : at + 2].upper() in LENGTHS else at


def _end(text: str, at: int, stop: int) -> int:
    need = LENGTHS.get(text[at : at + 2].upper(), 0)
    number = text[at:stop].translate(_BARE)[:need]
    if not need or len(number) < need:
        return 0
    end = at + need
    while end < stop and len(text[at:end].translate(_BARE)) < need:
        end += 1
    following = text[end : end + 1]
    whole = not (following.isascii() and following.isalnum())
    return end if whole and _holds(number) else 0


def _holds(number: str) -> bool:
    if not 2 <= int(number[2:4]) <= 98:  # 98 minus a rest: 00, 01 and 99 are never given
        return False
    turned = (number[4:] + number[:4]).upper()
    return int(turned.translate(_VALUES)) % 97 == 1


DETECTOR: Final = Detector(
    "iban",
    "A-Za-z",
    _run,
    _end,
    begins=ALONE + r"[A-Za-z](?=(?:[A-Za-z][ -]?)?(?:[0-9]|\Z))",
    marks=DIGITS,
)
