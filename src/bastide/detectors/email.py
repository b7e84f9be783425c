# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""E-mail addresses (RFC 5321, as they are in use: no quoted local parts)."""

import re
from typing import Final

from bastide.detectors.detector import Detector, longest

__all__ = ["DETECTOR"]

_RUN = r"(?<![\w.+%'-])\w[\w.+%'-]{0,63}(?:@[\w.-]{0,255})?"
_WHOLE = re.compile(
    r"[\w.+%'-]{1,64}@(?:\w[\w-]{0,62}\.){1,8}(?:[^\W\d_]{2,63}|xn--[0-9a-z]{1,59})(?![\w-])"
)
# Addresses that belong to nobody (RFC 2606), and versions in the way packages are named.
_NOBODY = re.compile(r"@(?:[\w-]+\.)*(?:example|invalid|localhost|test)$", re.IGNORECASE)


def _end(text: str, at: int, stop: int) -> int:
    found = _WHOLE.match(text, at, stop)
    if found is None or ".." in found.group() or _NOBODY.search(found.group()):
        return 0
    return found.end()


DETECTOR: Final = Detector(
    "email",
    r"\w",
    longest(_RUN),
    _end,
    begins=r"(?<![\w.+%'-])\w(?=[\w.+%'-]{0,63}(?:@|\Z))",
    marks=("@",),
)
