# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Payment cards (ISO/IEC 7812): a brand's prefix and length, in groups as written, and Luhn."""

import re
from typing import Final

from stdnum import luhn

from bastide.detectors.detector import ALONE, DIGITS, Detector, longest

__all__ = ["DETECTOR"]

# A dot or a comma before the number makes it a fraction or a part of a version.
_RUN = r"(?<![.,])" + ALONE + r"[2-6](?:[ -]?[0-9]){0,18}[ -]?"

_GROUPS = re.compile(
    r"(?:[0-9]{4}([ -])[0-9]{4}\1[0-9]{4}\1[0-9]{1,7}"
    r"|[0-9]{4}([ -])[0-9]{6}\2[0-9]{4,5}"
    r"|[0-9]{13,19})"
    r"(?![0-9A-Za-z])"
)
_BRAND = re.compile(
    r"4(?:[0-9]{12}|[0-9]{15}|[0-9]{18})"  # Visa
    r"|(?:5[1-5]|222[1-9]|22[3-9][0-9]|2[3-6][0-9]{2}|27[01][0-9]|2720)[0-9]+"  # Mastercard
    r"|3[47][0-9]{13}"  # American Express
    r"|3(?:0[0-5]|[689])[0-9]{11,16}"  # Diners
    r"|6(?:011|5|4[4-9])[0-9]+"  # Discover
    r"|(?:5018|5020|5038|5893|6304|6759|676[1-3])[0-9]+"  # Maestro
    r"|35(?:2[89]|[3-8][0-9])[0-9]{12,15}"  # JCB
    r"|62[0-9]{14,17}"  # UnionPay
)
_SIXTEEN = re.compile(r"5[1-5]|2")  # Mastercard has sixteen digits, never another number


def _end(text: str, at: int, stop: int) -> int:
    found = _GROUPS.match(text, at, min(stop + 1, len(text)))
    if found is None or found.end() > stop:
        return 0
    digits = found.group().replace(" ", "").replace("-", "")
    fits = _BRAND.fullmatch(digits) and (len(digits) == 16 or not _SIXTEEN.match(digits))
    same = len(set(digits)) == 1
    return found.end() if fits and not same and luhn.is_valid(digits) else 0


DETECTOR: Final = Detector("card", "2-6", longest(_RUN), _end, begins=ALONE + "[2-6]", marks=DIGITS)
