# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Telephone numbers in whole documents: a country's code, a form that only telephones have, or a
word such as "Tel." near digits.
"""

import re
from typing import Final

__all__ = ["telephone_end"]

# Country codes of ITU-T E.164 that are assigned: what stands before the number of a state.
_ASSIGNED = (
    "1 7 20 27 30 31 32 33 34 36 39 40 41 43 44 45 46 47 48 49 51 52 53 54 55 56 57 58 60 61 62 "
    "63 64 65 66 81 82 84 86 90 91 92 93 94 95 98 211 212 213 216 218 220 221 222 223 224 225 "
    "226 227 228 229 230 231 232 233 234 235 236 237 238 239 240 241 242 243 244 245 248 249 250 "
    "251 252 253 254 255 256 257 258 260 261 262 263 264 265 266 267 268 269 291 297 298 299 350 "
    "351 352 353 354 355 356 357 358 359 370 371 372 373 374 375 376 377 378 380 381 382 383 385 "
    "386 387 389 420 421 423 501 502 503 504 505 506 507 508 509 590 591 592 593 594 595 596 597 "
    "598 670 672 673 674 675 676 677 678 679 680 681 682 683 685 686 687 688 689 690 691 692 850 "
    "852 853 855 856 880 886 960 961 962 963 964 965 966 967 968 970 971 972 973 974 975 976 977 "
    "992 993 994 995 996 998"
)
_CODES: Final = frozenset(_ASSIGNED.split())
_BEHIND: Final = r"(?![0-9A-Za-z_]|[.,:][0-9])"
_ABROAD = re.compile(r"(?:\+\(?|00)([1-9])(?:[ ./()-]{0,3}[0-9]){6,14}(?! ?[0-9])" + _BEHIND)
_GROUPED = re.compile(
    r"(?:0[1-9](?:([ .-])[0-9]{2})(?:\1[0-9]{2}){3}"  # France
    r"|\(0[0-9]{1,5}\)[ -]?[0-9]{3,8}(?:[ -][0-9]{2,6}){0,2})" + _BEHIND
)
_HOME = re.compile(r"\(?[0-9](?:[ ./()-]{0,2}[0-9]){5,12}" + _BEHIND)
_DATE = re.compile(
    r"(?:[0-9]{1,2}([./-]) ?[0-9]{1,2}\1 ?[0-9]{2,4}|[0-9]{4}([./-])[0-9]{1,2}\2[0-9]{1,2}"
    r"|(?:1[89]|20)[0-9]{2} ?[-/] ?(?:1[89]|20)[0-9]{2})(?![0-9])"
)
_NO_DIGITS = re.compile("[^0-9]+")
_LEAST, _MOST = 7, 13
_HOST = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}(?![0-9.])")


def telephone_end(text: str, at: int, spoken: bool, abroad: bool) -> int:
    """Where a telephone number ends that begins here, or 0. spoken: a word says that one does.
    abroad: a number with a country's code may be one, for no other kind was announced.
    """
    first = text[at]
    found = _ABROAD.match(text, at) if first in "+0" else None
    if found is not None:
        digits = _NO_DIGITS.sub("", found.group().removeprefix("00"))
        known = any(digits[:length] in _CODES for length in (1, 2, 3))
        sure = spoken or (abroad and first == "+")
        if known and sure and 8 <= len(digits) <= 15:
            return found.end()
    found = _GROUPED.match(text, at) if first in "0(" else None
    if found is not None and (spoken or abroad):
        return found.end()
    if _DATE.match(text, at):
        return 0
    found = _HOME.match(text, at) if spoken else None
    if found is None:
        return 0
    digits = _NO_DIGITS.sub("", found.group())
    enough = _LEAST <= len(digits) <= _MOST and len(set(digits)) > 1
    other = found.group().count("/") > 1 or _HOST.match(text, at) or text[at - 1 : at] == "<"
    return found.end() if enough and not other else 0
